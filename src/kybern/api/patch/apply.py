"""Server-side apply: what a manager declares is its own, and what it stops declaring goes.

In:   the tree of the live object, the tree that was applied, the schema, and who applies.
Out:  the tree of the new object, with `managedFields`; or a Conflict.
By:   the patch handler, for `application/apply-patch+yaml`; admission policies that apply.

    new = apply(live, declared, Pod, "kubectl", "2026-01-02T03:04:05Z", force=True)

The steps are upstream's: check the declaration against the schema, merge it into the live object,
take out what this manager declared last time and nobody owns now, then see whose fields changed.
An apply that changes nothing leaves the times as they are. The result still has to be defaulted;
afterwards `managed_fields.same_but_times` tells whether there is anything to write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api import errors
from kybern.api.patch import conflicts, declared, field_sets, last_applied
from kybern.api.patch.compare import changes
from kybern.api.patch.conflicts import Claim
from kybern.api.patch.creation import created
from kybern.api.patch.entries import (
    APPLY,
    UPDATE,
    Entry,
    entries_of,
    read,
    sent_with,
    store,
    version_of,
    write,
)
from kybern.api.patch.items import Unkeyed
from kybern.api.patch.managed_fields import NOBODYS, NOTHING, tracked, without
from kybern.api.patch.merge import merge
from kybern.api.patch.prune import prune
from kybern.api.patch.schema import Node, schema_of

if TYPE_CHECKING:
    import msgspec

    from kybern.api.patch.field_sets import FieldSet

Tree = dict[str, Any]

BEFORE_FIRST: Final = "before-first-apply"


def apply(
    live: Tree | None,
    applied: Tree,
    schema: type[msgspec.Struct] | Node,
    manager: str,
    now: str,
    *,
    force: bool = False,
    subresource: str = "",
    reset: FieldSet = NOTHING,
    expect: tuple[str, str] | None = None,
) -> Tree:
    """Return the object after an apply.

    Args:
        live: the object as it is; None when there is none yet.
        applied: what the client sent.
        schema: its Struct type, or a Node for custom resources (`schema.DEDUCED` without schema).
        manager: the `fieldManager` parameter, which an apply must have.
        now: the time of the request, as it is stored.
        force: take fields from whoever owns them.
        subresource: "" for the object itself.
        reset: fields that this resource or subresource leaves as they were.
        expect: `apiVersion` and `kind` that the path calls for; a Struct brings its own.

    Raises:
        BadRequest: another kind of object, or one that comes with `managedFields`.
        ApiError: something that the schema does not have (500, as upstream).
        Conflict: somebody else owns a field that would change.
    """
    node = schema_of(schema)
    _check(applied, node, schema, expect)
    me = Entry(manager, APPLY, version_of(applied), subresource, now, field_sets.LEAF)
    before = _owners(live, node, me)
    try:
        return _apply(live or {}, applied, node, me, before, reset, force=force)
    except Unkeyed as error:
        raise errors.ApiError(
            f"failed to create typed live object ({_name(applied)}): {error}"
        ) from None


def _apply(
    live: Tree, applied: Tree, node: Node, me: Entry, before: list[Entry], reset: FieldSet,
    *, force: bool,
) -> Tree:  # fmt: skip
    others = [entry for entry in before if entry.identity != me.identity]
    mine = next((entry for entry in before if entry.identity == me.identity), None)
    names = field_sets.without(declared.fields(node, applied), reset)
    me = me._replace(fields=field_sets.difference(names, NOBODYS))

    new = merge(node, live, applied)
    if mine is not None:
        theirs = NOBODYS
        for entry in others:
            theirs = field_sets.union(theirs, entry.fields)
        new = prune(node, new, mine.fields, names, theirs)

    found = without(changes(tracked(node), live, new), reset)
    touched = field_sets.union(found.modified, found.added)
    if not force:
        _insist(live, node, me, _claims(others, touched))

    lost = field_sets.union(touched, found.removed)
    entries = [e._replace(fields=field_sets.difference(e.fields, lost)) for e in others]
    changed = new != live
    if not changed:
        me = me._replace(time=mine.time if mine else "")
    elif me.manager == last_applied.MANAGER:
        new = last_applied.refresh(new, applied)
    new = {**new, "metadata": dict(new.get("metadata") or {})}
    store(new, write([entry for entry in [*entries, me] if entry.fields], new))
    return new


def _owners(live: Tree | None, node: Node, me: Entry) -> list[Entry]:
    """Return who owns what; an object that nobody's fields are known of gets an owner for all."""
    if live is None:
        return []
    entries = read(entries_of(live))
    if entries:
        return entries
    fields = created(tracked(node), live)
    first = me._replace(manager=BEFORE_FIRST, operation=UPDATE, fields=fields)
    return [first] if fields else []


def _claims(others: list[Entry], touched: FieldSet) -> list[Claim]:
    """Return who owns something of what would change."""
    found = [Claim(e, field_sets.intersection(e.fields, touched)) for e in others]
    return [claim for claim in found if claim.fields]


def _insist(live: Tree, node: Node, me: Entry, claims: list[Claim]) -> None:
    """Raise the Conflict, unless kubectl takes over what it applied by itself before."""
    if claims and me.manager == last_applied.MANAGER:
        allowed = last_applied.still_true(live, node, me.api_version)
        claims = [c._replace(fields=field_sets.difference(c.fields, allowed)) for c in claims]
        claims = [claim for claim in claims if claim.fields]
    if claims:
        raise conflicts.error(claims)


def _check(
    applied: Tree, node: Node, schema: type[msgspec.Struct] | Node, expect: tuple[str, str] | None
) -> None:
    if expect is None and not isinstance(schema, Node):
        zero: Any = schema()
        expect = zero.apiVersion, zero.kind
    found = version_of(applied), applied.get("kind") or ""
    if expect is not None and found != expect:
        raise errors.BadRequest(f"invalid object type: {_gvk(*found)}")
    if sent_with(applied) is not None:
        raise errors.BadRequest("metadata.managedFields must be nil")
    wrong = declared.problems(node, applied)
    if wrong:
        text = wrong[0] if len(wrong) == 1 else "errors:" + "".join(f"\n  {each}" for each in wrong)
        raise errors.ApiError(f"failed to create typed patch object ({_name(applied)}): {text}")


def _name(applied: Tree) -> str:
    metadata = applied.get("metadata") or {}
    gvk = _gvk(version_of(applied), applied.get("kind") or "")
    return f"{metadata.get('namespace', '')}/{metadata.get('name', '')}; {gvk}"


def _gvk(api_version: str, kind: str) -> str:
    return f"{api_version if '/' in api_version else '/' + api_version}, Kind={kind}"
