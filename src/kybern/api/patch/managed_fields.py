"""Who owns which field: `metadata.managedFields`, kept by every write.

In:   the object before and after a write, and who wrote it.
Out:  the new entries, for the caller to `store` in the object.
By:   the create, update and patch handlers; apply.py has the rules of server-side apply.

    entries = managed_fields.on_create(pod, "kubectl-create", now, reset=RESET_STATUS)
    entries = managed_fields.on_update(old, new, "kubelet", now, subresource="status")
    managed_fields.store(new, entries)

Call them where upstream does: after decoding and defaulting, before mutating admission, so that
what admission plugins add belongs to nobody. Objects are Structs or trees; entries come back in
the same form. Sets of fields in entries are shared between objects: treat them as values.

`now` is the time as it is stored, `2026-01-02T03:04:05Z`. `reset` holds the fields that this
resource or subresource takes back to what they were, `status` for most main resources.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api import field_path
from kybern.api.patch import field_sets
from kybern.api.patch.compare import Changes, changes
from kybern.api.patch.creation import created
from kybern.api.patch.entries import (
    UPDATE,
    Entry,
    check,
    entries_of,
    is_reset,
    read,
    same_but_times,
    sent_with,
    store,
    version_of,
    write,
)
from kybern.api.patch.field_sets import LEAF, FieldSet
from kybern.api.patch.items import Unkeyed
from kybern.api.patch.schema import NOT_OWNED, Node, owned, schema_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import msgspec

    from kybern.api.field_path import Problem

__all__ = [
    "NOBODYS", "NOTHING", "RESET_SPEC", "RESET_STATUS", "after_update", "capped", "manager_name",
    "name_problems", "on_create", "on_update", "same_but_times", "store", "tracked", "without",
]  # fmt: skip

MAX_NAME: Final = 128
MAX_UPDATERS: Final = 10
ANCIENT: Final = "ancient-changes"
UNKNOWN: Final = "unknown"

NOTHING: Final[FieldSet] = LEAF
NOBODYS: Final = field_sets.of(
    ("f:apiVersion",), ("f:kind",), ("f:metadata",), *(("f:metadata", f"f:{n}") for n in NOT_OWNED)
)
"""Fields that no manager owns."""
RESET_STATUS: Final[FieldSet] = {"f:status": LEAF}
RESET_SPEC: Final[FieldSet] = {"f:spec": LEAF}


def on_create(
    obj: Any,
    manager: str,
    now: str,
    *,
    schema: type[msgspec.Struct] | Node | None = None,
    subresource: str = "",
    reset: FieldSet = NOTHING,
) -> list[Any] | None:
    """Return the entries of an object that is being created; None when there are none.

    Args:
        obj: the object, decoded and defaulted.
        manager: see `manager_name`.
        now: the time of the request.
        schema: of a tree; a Struct brings its own.
        subresource: "" for the object itself.
        reset: fields that the resource does not take from a create.
    """
    mine = entries_of(obj)
    if mine:  # a client that restores an object brings its owners along
        old = {"apiVersion": version_of(obj)} if isinstance(obj, dict) else type(obj)()
        return _record(old, obj, mine, manager, now, schema, subresource, reset)
    try:
        fields = created(tracked(schema or type(obj)), obj)
    except Unkeyed:
        return None
    fields = field_sets.without(fields, reset)
    if not fields:
        return None
    entry = Entry(manager or UNKNOWN, UPDATE, version_of(obj), subresource, now, fields)
    return write([entry], obj)


def on_update(
    old: Any,
    new: Any,
    manager: str,
    now: str,
    *,
    schema: type[msgspec.Struct] | Node | None = None,
    subresource: str = "",
    reset: FieldSet = NOTHING,
) -> list[Any] | None:
    """Return the entries of an object after any write but an apply; None when there are none.

    Whoever changes a field comes to own it, and nobody else does. An object that nobody's fields
    are known of stays that way. Entries stay as they are, times included, when nothing changed.

    Args:
        old: the live object.
        new: what it is to become, with `managedFields` as the client sent them.
        manager: see `manager_name`.
        now: the time of the request.
        schema: of trees; Structs bring their own.
        subresource: the one written to; "" for the object itself.
        reset: fields that this resource or subresource leaves as they were.
    """
    before = entries_of(old)
    entries = before
    if not subresource:
        sent = sent_with(new)
        if sent is not before:
            entries = _trusted(sent, before)
    if not entries:
        return None
    return _record(old, new, entries, manager, now, schema, subresource, reset)


def _trusted(sent: Any, before: Any) -> Any:
    """Return what a client's `managedFields` come to.

    None or nonsense keeps the owners there are, an empty list or an empty entry drops them all.
    """
    if sent is None:
        return before
    if is_reset(sent):
        return []
    if sent == before:
        return before
    try:
        return write([check(entry) for entry in read(sent)], None)
    except ValueError:
        return before


def _record(
    old: Any,
    new: Any,
    entries: Any,
    manager: str,
    now: str,
    schema: type[msgspec.Struct] | Node | None,
    subresource: str,
    reset: FieldSet,
) -> list[Any] | None:
    try:
        found = changes(tracked(schema or type(new)), old, new)
    except Unkeyed:
        return entries_of(old) or None
    found = without(found, reset)
    if not found:
        return (
            list(entries)
            if isinstance(new, dict) == isinstance(entries[0], dict)
            else write(read(entries), new)
        )
    writer = Entry(manager or UNKNOWN, UPDATE, version_of(new), subresource, now, LEAF)
    return write(capped(after_update(read(entries), found, writer)), new)


def after_update(entries: Iterable[Entry], found: Changes, writer: Entry) -> list[Entry]:
    """Return the entries after `writer` changed something: it owns that, the others no longer."""
    touched = field_sets.union(found.modified, found.added)
    out: list[Entry] = []
    for entry in entries:
        fields = field_sets.difference(entry.fields, found.removed)
        if touched and entry.identity == writer.identity:
            writer = writer._replace(fields=fields)
            continue
        fields = field_sets.difference(fields, touched)
        if fields:
            out.append(entry if fields is entry.fields else entry._replace(fields=fields))
    if touched:
        out.append(writer._replace(fields=field_sets.union(writer.fields, touched)))
    return out


def without(found: Changes, reset: FieldSet) -> Changes:
    """Return the changes that are left when some fields are taken back."""
    return Changes(*(field_sets.without(each, reset) for each in found)) if reset else found


def capped(entries: list[Entry]) -> list[Entry]:
    """Return at most ten entries of updates: the oldest are merged into one per version."""
    updates = [entry for entry in entries if entry.operation == UPDATE]
    excess = len(updates) - MAX_UPDATERS
    if excess <= 0:
        return entries
    updates.sort(key=lambda entry: (entry.time, entry.identity))
    kept = {entry.identity: entry for entry in entries}
    first: dict[str, Entry] = {}
    for entry in updates:
        if excess <= 0:
            break
        version = entry.api_version
        if version not in first:
            first[version] = entry
            continue
        bucket = entry._replace(manager=ANCIENT, subresource="")
        older = kept.get(bucket.identity) or kept.pop(first[version].identity)
        kept.pop(entry.identity, None)
        kept[bucket.identity] = bucket._replace(fields=field_sets.union(entry.fields, older.fields))
        excess -= 1
    return list(kept.values())


def tracked(schema: type[msgspec.Struct] | Node) -> Node:
    """Return the Node with which owners of an object's fields are tracked."""
    node = _TRACKED.get(schema)
    if node is None:
        node = _TRACKED[schema] = owned(schema_of(schema))
    return node


_TRACKED: Final[dict[Any, Node]] = {}


def manager_name(field_manager: str, user_agent: str) -> str:
    """Return who writes: the `fieldManager` parameter, or the program's name in its user agent."""
    if field_manager:
        return field_manager
    name = user_agent.split("/", 1)[0]
    return "".join(char for char in name if char.isprintable())[:MAX_NAME]


def name_problems(field_manager: str, *, apply: bool = False) -> list[Problem]:
    """Return what is wrong with a `fieldManager` parameter."""
    where = field_path.Path("fieldManager")
    if apply and not field_manager:
        return [field_path.required(where, "is required for apply patch")]
    problems = []
    if len(field_manager) > MAX_NAME:
        problems.append(field_path.too_long(where, MAX_NAME))
    if not field_manager.isprintable():
        problems.append(
            field_path.invalid(where, field_manager, "should only contain printable characters")
        )
    return problems
