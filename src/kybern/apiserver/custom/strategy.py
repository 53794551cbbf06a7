"""What the server does with objects of custom kinds when they are written.

In:   CustomObjects, pruned and filled in.
Out:  the same prepared; problems.
By:   registry.generic. Facts: apiextensions-apiserver/pkg/registry/customresource.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import codec, errors, rules
from kybern.api.custom import rules as rules_of
from kybern.api.custom import values
from kybern.api.field_path import invalid
from kybern.apiserver.registry.rules import Rules, default_of
from kybern.apiserver.registry.strategy import Strategy

if TYPE_CHECKING:
    from kybern.api.custom.kinds import CustomKind
    from kybern.api.field_path import Problem
    from kybern.apiserver.context import RequestContext

STATUS = "status"
UNCHECKED = (
    "some validation rules were not checked because the object was invalid; correct the existing "
    "errors to complete validation"
)


class CustomStrategy(Strategy):
    """Objects of one version of a custom kind."""

    def __init__(self, kind: CustomKind) -> None:  # the base reads facts of Structs
        plain = rules.rules(namespaced=kind.namespaced, any_finalizer=True)
        self.kind = kind
        self.custom = kind
        status = plain.status or plain.update
        self.rules = Rules(default_of(kind), plain.create, plain.update, status)
        self.create_on_update = False
        self.unconditional_update = False
        self.returns_deleted = False
        self.generations = True
        self.terminating = False
        """Whether the definition is being deleted."""

    def prepare_for_create(self, ctx: RequestContext, obj: Any) -> None:
        """Drop the status where it is a subresource.

        Raises:
            MethodNotAllowed: the kind is about to be gone.
        """
        del ctx
        if self.terminating:
            raise errors.MethodNotAllowed(
                "create not allowed while custom resource definition is terminating", {}
            )
        if self.kind.has_status:
            obj.content.pop(STATUS, None)
        obj.metadata.generation = 1

    def prepare_for_update(self, ctx: RequestContext, obj: Any, old: Any) -> None:
        """Keep the status where it is a subresource; count the changes of everything else."""
        del ctx
        if self.kind.has_status:
            _carry(obj, old, STATUS)
        generation = old.metadata.generation or 0
        changed = not codec.equal(self._counted(obj), self._counted(old))
        obj.metadata.generation = generation + 1 if changed else old.metadata.generation

    def _counted(self, obj: Any) -> dict[str, Any]:
        hidden = STATUS if self.kind.has_status else ""
        return {name: value for name, value in obj.content.items() if name != hidden}

    def validate(self, ctx: RequestContext, obj: Any) -> list[Problem]:
        """Return what is wrong with a new object."""
        return super().validate(ctx, obj) + self.problems(obj, None)

    def validate_update(self, ctx: RequestContext, obj: Any, old: Any) -> list[Problem]:
        """Return what is wrong with a changed object."""
        return super().validate_update(ctx, obj, old) + self.problems(obj, old)

    def problems(self, obj: Any, old: Any | None) -> list[Problem]:
        """Return where an object is not what its schema asks for, or else breaks its rules."""
        structure = self.custom.structure
        assert structure is not None
        found = values.check(structure, obj.content)
        if not structure.ruled:
            return found
        if found:
            return [*found, invalid(None, None, UNCHECKED)]
        return rules_of.check(structure, obj, old)


class CustomStatusStrategy(CustomStrategy):
    """The `status` of a custom kind: everything else stays as it is."""

    def __init__(self, main: CustomStrategy) -> None:
        super().__init__(main.custom)

    def prepare_for_update(self, ctx: RequestContext, obj: Any, old: Any) -> None:
        """Take only the status from the new object."""
        del ctx
        status = obj.content.get(STATUS)
        managed = obj.metadata.managedFields
        obj.content = dict(old.content)
        obj.content.pop(STATUS, None)
        if status is not None:
            obj.content[STATUS] = status
        version = obj.metadata.resourceVersion
        obj.metadata = codec.clone(old.metadata)
        obj.metadata.resourceVersion, obj.metadata.managedFields = version, managed


def _carry(obj: Any, old: Any, name: str) -> None:
    """Let a field be as it was."""
    if name in old.content:
        obj.content[name] = old.content[name]
    else:
        obj.content.pop(name, None)
