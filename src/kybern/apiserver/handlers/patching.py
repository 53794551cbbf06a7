"""The four kinds of patch, each from a body to a function on trees.

In:   the body of a PATCH.
Out:  a PatchBody: parsed once, applied as often as needed.
By:   handlers.patch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from kybern.api import codec, errors
from kybern.api.custom.kinds import CustomKind
from kybern.api.patch import go_format, json_patch, merge_patch, strategic
from kybern.api.patch.apply import apply
from kybern.apiserver.query import is_true
from kybern.apiserver.registry import managed

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.scheme import Kind
    from kybern.apiserver.context import RequestContext

Tree = dict[str, Any]


class PatchBody(Protocol):
    """A parsed patch.

    Attributes:
        records_owners: whether applying it settles who owns which field.
        keeps_kind: whether what it says of kind and apiVersion is of no account.
        odd: what is wrong with the body besides what is wrong with the object it makes.
    """

    records_owners: bool
    keeps_kind: bool
    odd: list[str]

    def apply(self, ctx: RequestContext, old: Any | None, kind: Kind) -> Tree:
        """Return the tree of the object with the patch applied."""
        ...

    def shown(self, tree: Tree) -> str:
        """Return what a message shows where the patch made no good object."""
        ...

    def told(self, why: str) -> str:
        """Return what a message says of it, given what one about a decoded object would."""
        ...


class JsonPatch:
    """RFC 6902."""

    records_owners = False
    keeps_kind = False

    def __init__(self, ctx: RequestContext, body: bytes, kind: Kind) -> None:
        del kind
        self._operations, self.odd = json_patch.parse(body, ctx.field_validation)

    def apply(self, ctx: RequestContext, old: Any | None, kind: Kind) -> Tree:
        """Return the tree with the operations done."""
        del ctx, kind
        tree: Tree = json_patch.apply(codec.to_tree(old), self._operations)
        return tree

    def shown(self, tree: Tree) -> str:
        """Return the object that came out, as JSON."""
        return codec.encode(tree).decode()

    def told(self, why: str) -> str:
        """Return the same: it was decoded."""
        return why


class MergePatch:
    """RFC 7386."""

    records_owners = False
    keeps_kind = False

    def __init__(self, ctx: RequestContext, body: bytes, kind: Kind) -> None:
        del ctx, kind
        self._patch, self.odd = merge_patch.parse(body)

    def apply(self, ctx: RequestContext, old: Any | None, kind: Kind) -> Tree:
        """Return the tree with the document merged in."""
        del ctx, kind
        tree: Tree = merge_patch.apply(codec.to_tree(old), self._patch)
        return tree

    def shown(self, tree: Tree) -> str:
        """Return the object that came out, as JSON."""
        return codec.encode(tree).decode()

    def told(self, why: str) -> str:
        """Return the same: it was decoded."""
        return why


class StrategicPatch:
    """A merge patch that knows which lists are keyed."""

    records_owners = False
    keeps_kind = True

    def __init__(self, ctx: RequestContext, body: bytes, kind: Kind) -> None:
        del ctx, kind
        self._patch, self.odd = strategic.parse(body)

    def apply(self, ctx: RequestContext, old: Any | None, kind: Kind) -> Tree:
        """Return the tree with the document merged in by its kind's rules."""
        del ctx
        return strategic.apply(codec.to_tree(old), self._patch, kind.struct)

    def shown(self, tree: Tree) -> str:
        """Return the patch, as Go prints it."""
        del tree
        return go_format.plain(self._patch)

    def told(self, why: str) -> str:
        """Return what the conversion of a tree says, which is done here instead."""
        return go_format.conversion(why)


class ApplyPatch:
    """Server-side apply."""

    records_owners = True
    keeps_kind = True

    def __init__(self, ctx: RequestContext, body: bytes, kind: Kind) -> None:
        self._force = is_true(ctx.param("force"))
        self._declared, self._duplicates = _yaml_object(body, kind)
        self.odd: list[str] = []

    def apply(self, ctx: RequestContext, old: Any | None, kind: Kind) -> Tree:
        """Return the tree with what the applier declares."""
        if old is None and (self._declared.get("metadata") or {}).get("uid"):
            # Whoever names a uid means an object that exists.
            raise errors.Conflict.of(
                kind, ctx.name, "uid mismatch: the provided object specified uid "
                f"{self._declared['metadata']['uid']}, and no existing object was found",
            )  # fmt: skip
        custom = isinstance(kind, CustomKind)
        tree = apply(
            None if old is None else codec.to_tree(old), self._declared,
            kind.node if isinstance(kind, CustomKind) and kind.node else kind.struct,
            ctx.field_manager, managed.now(ctx), force=self._force, subresource=ctx.subresource,
            reset=managed.reset_of(ctx, kind),
            expect=(kind.api_version, kind.kind) if custom else None,
        )  # fmt: skip
        self._judge_duplicates(ctx)
        return tree

    def _judge_duplicates(self, ctx: RequestContext) -> None:
        if not self._duplicates or ctx.field_validation == "Ignore":
            return
        text = f"error converting YAML to JSON: {self._duplicates}"
        if ctx.field_validation == "Strict":
            raise errors.BadRequest(f"error strict decoding YAML: {text}")
        ctx.warn(text)

    def shown(self, tree: Tree) -> str:
        """Return the object that came out, as JSON."""
        return codec.encode(tree).decode()

    def told(self, why: str) -> str:
        """Return the same: it was decoded."""
        return why


def _yaml_object(body: bytes, kind: Kind) -> tuple[Tree, str]:
    from kybern.api import yaml_text

    try:
        tree, duplicates = yaml_text.load(body)
    except yaml_text.YamlError as error:
        raise errors.BadRequest(f"error decoding YAML: {error}") from None
    if not isinstance(tree, dict):
        raise errors.BadRequest(f"error decoding YAML: not an object of kind {kind.kind}")
    return tree, yaml_text.duplicates_text(duplicates) if duplicates else ""


CHANGES: dict[str, Callable[[RequestContext, bytes, Kind], PatchBody]] = {
    "application/json-patch+json": JsonPatch,
    "application/merge-patch+json": MergePatch,
    "application/strategic-merge-patch+json": StrategicPatch,
    "application/apply-patch+yaml": ApplyPatch,
}
