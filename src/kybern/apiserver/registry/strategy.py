"""What is special about a kind, as a set of hooks; this one is for kinds with nothing special.

In:   the request's context and objects, decoded and defaulted. They are the caller's: change them.
Out:  the objects prepared, and lists of problems.
By:   registry.generic, in upstream's order. Kinds override what differs, in registry/<group>/.

Hooks do not wait and do not store. What must be taken from somewhere before the object is stored,
and given back when that fails (a cluster IP), is claimed in `claim` and returned by its Claim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from kybern.api import codec
from kybern.apiserver.registry import deletion, facts

if TYPE_CHECKING:
    from kybern.api.field_path import Problem
    from kybern.api.meta.v1 import DeleteOptions
    from kybern.api.scheme import Kind
    from kybern.apiserver.context import RequestContext
    from kybern.apiserver.registry.deletion import Plan
    from kybern.apiserver.registry.rules import Rules

ENVELOPE = frozenset(("kind", "apiVersion", "metadata", "status"))


class Claim(Protocol):
    """What was taken for an object that is about to be stored."""

    def keep(self) -> str:
        """The object is stored; return why it must not be, "" when all is well.

        Only where several servers write can somebody else have been faster.
        """

    def release(self) -> None:
        """It is not: give everything back."""


class Strategy:
    """Hooks of one kind; stateless but for the facts of the kind."""

    keeps_status = False
    """Whether whoever creates an object may say its status, as kubelets do of nodes."""
    orphans = False
    """Whether dependents stay when an object is deleted and nobody says what becomes of them."""
    ttl: float | None = None
    """After how many seconds objects vanish by themselves."""

    def __init__(self, kind: Kind, rules: Rules) -> None:
        """Take the facts of a kind.

        Attributes:
            create_on_update: whether a PUT to a name that does not exist creates it.
            unconditional_update: whether a PUT may leave resourceVersion out.
            returns_deleted: whether DELETE answers with the object when it is gone at once.
            generations: whether metadata.generation counts the changes of the spec.
        """
        self.kind = kind
        self.rules = rules
        named = (kind.group, kind.kind)
        self.create_on_update = named in facts.CREATE_ON_UPDATE
        self.unconditional_update = named not in facts.CONDITIONAL
        self.returns_deleted = named in facts.RETURNS_DELETED
        self.generations = named in facts.GENERATIONS
        struct = kind.struct
        self._has_status = kind.has_status and "status" in struct.__struct_fields__
        self._status = type(struct().status) if self._has_status else None
        self._content = tuple(f for f in struct.__struct_fields__ if f not in ENVELOPE)

    def prepare_for_create(self, ctx: RequestContext, obj: Any) -> None:
        """Drop what is not the creator's to set, and set what always is."""
        del ctx
        if self._status is not None and not self.keeps_status:
            obj.status = self._status()
        if self.generations:
            obj.metadata.generation = 1

    def prepare_for_update(self, ctx: RequestContext, obj: Any, old: Any) -> None:
        """Carry over what is changed elsewhere; count the generation."""
        del ctx
        if self._has_status:
            obj.status = old.status
        self.count_generation(obj, old)

    def count_generation(self, obj: Any, old: Any) -> None:
        """Add one to the generation when anything but metadata and status changed."""
        if self.generations:
            generation = old.metadata.generation or 0
            changed = any(not codec.equal(getattr(obj, f), getattr(old, f)) for f in self._content)
            obj.metadata.generation = generation + 1 if changed else old.metadata.generation

    def validate(self, ctx: RequestContext, obj: Any) -> list[Problem]:
        """Return what is wrong with a new object."""
        del ctx
        return self.rules.create(obj)

    def validate_update(self, ctx: RequestContext, obj: Any, old: Any) -> list[Problem]:
        """Return what is wrong with a changed object."""
        del ctx
        return self.rules.update(obj, old)

    def authorize_write(self, ctx: RequestContext, obj: Any, old: Any | None) -> None:
        """Refuse with Forbidden what the user may not write although they may write the kind."""

    def claim(self, ctx: RequestContext, obj: Any, old: Any | None) -> Claim | None:
        """Take what the object needs and has to share with others; None when there is nothing.

        Raises:
            ApiError: there is nothing left, or what is asked for is taken.
        """

    def removed(self, ctx: RequestContext, obj: Any) -> None:
        """Give back what a deleted object had."""

    def warn(self, ctx: RequestContext, obj: Any, old: Any | None) -> None:
        """Add warnings about what is accepted but unwise."""
        if self.rules.warn is not None:
            for text in self.rules.warn(obj, old):
                ctx.warn(text)

    def finished(self, obj: Any, old: Any) -> bool:
        """Say whether an update took away the last thing that kept a deleted object."""
        return deletion.finished(obj.metadata, old.metadata)

    def adjust_deletion(self, ctx: RequestContext, obj: Any, plan: Plan) -> Plan:
        """Change what deleting means, and the object when it stays for now."""
        del ctx, obj
        return plan

    def grace(self, ctx: RequestContext, obj: Any, options: DeleteOptions) -> int | None:
        """Return how many seconds an object gets before it is gone; None: it goes at once."""


class StatusStrategy(Strategy):
    """The `status` subresource of any kind: everything else stays as it is."""

    def __init__(self, main: Strategy) -> None:
        super().__init__(main.kind, main.rules)
        self.main = main
        self.unconditional_update = main.unconditional_update

    def prepare_for_update(self, ctx: RequestContext, obj: Any, old: Any) -> None:
        """Take only status, labels and annotations from the new object."""
        del ctx
        for field in self._content:
            setattr(obj, field, getattr(old, field))
        obj.metadata.ownerReferences = old.metadata.ownerReferences
        obj.metadata.finalizers = old.metadata.finalizers

    def validate_update(self, ctx: RequestContext, obj: Any, old: Any) -> list[Problem]:
        """Return what is wrong with the status."""
        del ctx
        return self.rules.status(obj, old)

    def warn(self, ctx: RequestContext, obj: Any, old: Any | None) -> None:
        """Say nothing: it is programs which report."""
