"""What one MutatingAdmissionPolicy makes of one object.

In:   a policy; then subjects and parameters.
Out:  the object after one mutation, as a tree; `Failed` with upstream's words.
By:   mutating. Facts: upstream's `policy/mutating/patch/{smd,json_patch}.go`.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, NamedTuple

from kybern.api import errors
from kybern.api.expressions import admission
from kybern.api.expressions.json_patches import misnamed
from kybern.api.patch import declared, json_patch
from kybern.api.patch.atomics import atomics
from kybern.api.patch.merge import merge
from kybern.apiserver.admission.policies.evaluation import (
    Budget,
    Compiled,
    Expression,
    Failed,
    OutOfBudget,
)
from kybern.lib.cel import times
from kybern.lib.cel.values import Duration, Message, Optional, Timestamp

if TYPE_CHECKING:
    from kybern.api.admissionregistration import v1
    from kybern.api.patch.schema import Node
    from kybern.apiserver.admission.policies.subjects import Subject

    Tree = dict[str, Any]


class Mutation(NamedTuple):
    """One mutation of a policy."""

    expression: Expression
    merges: bool


class Mutator(Compiled):
    """A compiled policy."""

    def __init__(self, policy: v1.MutatingAdmissionPolicy) -> None:
        super().__init__(policy, mutation=True)
        self.again = policy.spec.reinvocationPolicy == "IfNeeded"
        self.mutations = [self._read(each) for each in policy.spec.mutations or ()]

    def _read(self, spec: v1.Mutation) -> Mutation:
        if spec.applyConfiguration is not None:
            text = spec.applyConfiguration.expression or ""
            return Mutation(self.compile(text, admission.OBJECT), merges=True)
        text = (spec.jsonPatch.expression if spec.jsonPatch is not None else "") or ""
        return Mutation(self.compile(text, admission.PATCH), merges=False)

    def mutate(self, mutation: Mutation, subject: Subject, param: Any, node: Node) -> Tree:
        """Return the subject's object after a mutation; the old tree stays as it was.

        Raises:
            Failed.
        """
        scope = self.scope(subject, param, Budget())
        try:
            value = mutation.expression.evaluate(scope)
        except OutOfBudget as error:
            raise Failed(str(error)) from None
        live: Tree = subject["object"]
        return _merged(live, value, node) if mutation.merges else _patched(live, value)


def _merged(live: Tree, value: Message, node: Node) -> Tree:
    if told := misnamed(value):
        raise Failed(f"type mismatch: {told}")
    wanted = plain(value)
    wanted.update(apiVersion=live["apiVersion"], kind=live["kind"])
    if problems := declared.problems(node, wanted):
        text = problems[0] if len(problems) == 1 else "errors:\n  " + "\n  ".join(problems)
        told = f"failed to convert patch object to typed object: {text}"
        raise Failed(f"error applying patch: {told}")
    if found := atomics(node, wanted):
        told = f"may not mutate atomic arrays, maps or structs: {', '.join(found)}"
        raise Failed(f"error applying patch: invalid ApplyConfiguration: {told}")
    return merge(node, live, wanted)


def _patched(live: Tree, value: list[Message]) -> Tree:
    operations: list[Tree] = []
    for each in value:
        held = each.get("value")
        if isinstance(held, Message) and (told := misnamed(held, held.type_name)):
            raise Failed(f"type mismatch: {told}")
        operations.append(plain(each))
    try:
        patched = json_patch.apply(live, operations)
    except errors.Invalid as error:
        if isinstance(error.__cause__, json_patch.TestFailed):
            return live  # the patch is not for this object
        raise Failed(f"JSON Patch: {error.__cause__ or error}") from None
    if not isinstance(patched, dict):
        raise Failed("JSON Patch: the result is not an object")
    return patched


def plain(value: Any) -> Any:
    """Return a value of an expression as JSON has it."""
    if isinstance(value, dict):
        return {str(key): plain(held) for key, held in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, Timestamp):
        return times.shown(value)
    if isinstance(value, Duration):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Optional):
        return plain(value.value) if value.present else None
    if value is None or isinstance(value, (bool, str, float)):
        return value
    if isinstance(value, int):
        return int(value)
    raise Failed(f"type mismatch: {type(value).__name__} cannot be part of an object")
