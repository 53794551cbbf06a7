"""Who owns which field: `metadata.managedFields`, kept by every write.

In:   the object before and after a write, and who wrote it.
Out:  the new entries, for the caller to `store` in the object.
By:   the create, update and patch handlers; apply.py has the rules of server-side apply.

    entries = managed_fields.on_create(pod, "kubectl-create", now, reset=RESET_STATUS)
    entries = managed_fields.on_update(old, new, "kubelet", now, subresource="status", reset=RESET_SPEC)
    managed_fields.store(new, entries)

Call them where upstream does: after decoding and defaulting, before mutating admission, so that
what admission plugins add belongs to nobody. Objects are Structs or trees; entries come back in
the same form. Sets of fields in entries are shared between objects: treat them as values.

`now` is the time as it is stored, `2026-01-02T03:04:05Z`. `reset` holds the fields that this
resource or subresource takes back to what they were, `status` for most main resources.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kybern.api import field_path
from kybern.api.patch import field_sets
from kybern.api.patch.compare import Changes, changes
from kybern.api.patch.creation import created
from kybern.api.patch.field_sets import LEAF, FieldSet
from kybern.api.patch.items import Unkeyed
from kybern.api.patch.schema import Node, owned, schema_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import msgspec

    from kybern.api.field_path import Problem

MAX_NAME: Final = 128
MAX_UPDATERS: Final = 10
ANCIENT: Final = "ancient-changes"
UNKNOWN: Final = "unknown"
UPDATE: Final = "Update"
APPLY: Final = "Apply"

NOTHING: Final[FieldSet] = LEAF
RESET_STATUS: Final[FieldSet] = {"f:status": LEAF}
RESET_SPEC: Final[FieldSet] = {"f:spec": LEAF}


class Entry(NamedTuple):
    """One manager and what it owns.

    `manager`, `operation`, `subresource` and, for updates, `api_version` say which entry it is.
    """

    manager: str
    operation: str
    api_version: str
    subresource: str
    time: str
    fields: FieldSet

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What tells entries apart: an applier is the same in every version."""
        version = "" if self.operation == APPLY else self.api_version
        return self.manager, self.operation, version, self.subresource


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


def sent_with(obj: Any) -> Any:
    """Return the `managedFields` of an object as they stand there; None when it has none."""
    if isinstance(obj, dict):
        return (obj.get("metadata") or {}).get("managedFields")
    return obj.metadata.managedFields


def entries_of(obj: Any) -> Any:
    """Return the entries of an object; an empty list when it has none."""
    return sent_with(obj) or []


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


def is_reset(sent: Any) -> bool:
    """Whether this is how a client asks to forget all owners: nothing in it, or one blank entry."""
    return sent is not None and (not sent or (len(sent) == 1 and not any(read(sent)[0])))


def check(entry: Entry) -> Entry:
    """Return an entry that a client wrote, with its fields in order; ValueError if it is none."""
    if entry.operation not in (APPLY, UPDATE):
        raise ValueError("operation must be `Apply` or `Update`")
    if not entry.api_version:
        raise ValueError("apiVersion must not be empty")
    return entry._replace(fields=field_sets.parse(entry.fields))


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


def read(entries: Any) -> list[Entry]:
    """Return entries, Structs or trees, in the form in which they are worked on."""
    return [_read_tree(each) if isinstance(each, dict) else _read_struct(each) for each in entries]


def _read_tree(tree: dict[str, Any]) -> Entry:
    get = tree.get
    return Entry(
        get("manager") or "", get("operation") or "", get("apiVersion") or "",
        get("subresource") or "", get("time") or "", get("fieldsV1") or LEAF,
    )  # fmt: skip


def _read_struct(entry: Any) -> Entry:
    return Entry(
        entry.manager or "", entry.operation or "", entry.apiVersion or "",
        entry.subresource or "", entry.time or "", entry.fieldsV1 or LEAF,
    )  # fmt: skip


def write(entries: list[Entry], obj: Any) -> list[Any] | None:
    """Return entries sorted and in the form that fits `obj`; None when there are none."""
    if not entries:
        return None
    if len(entries) > 1:
        entries.sort(key=_rank)
    if isinstance(obj, dict):
        return [_tree(entry) for entry in entries]
    make = _entry_struct()
    return [
        make(
            manager=entry.manager, operation=entry.operation, apiVersion=entry.api_version,
            subresource=entry.subresource or None, time=entry.time or None,
            fieldsType="FieldsV1", fieldsV1=entry.fields,
        )
        for entry in entries
    ]  # fmt: skip


def _rank(entry: Entry) -> tuple[str, ...]:
    return entry.operation, entry.time, entry.manager, entry.api_version, entry.subresource


def _tree(entry: Entry) -> dict[str, Any]:
    tree = {"manager": entry.manager, "operation": entry.operation, "apiVersion": entry.api_version}
    if entry.time:
        tree["time"] = entry.time
    tree |= {"fieldsType": "FieldsV1", "fieldsV1": entry.fields}
    if entry.subresource:
        tree["subresource"] = entry.subresource
    return tree


@functools.cache
def _entry_struct() -> type[Any]:
    from kybern.api.meta.v1 import ManagedFieldsEntry

    return ManagedFieldsEntry


def store(obj: Any, entries: list[Any] | None) -> None:
    """Put entries into an object."""
    if not isinstance(obj, dict):
        obj.metadata.managedFields = entries
    elif entries:
        obj.setdefault("metadata", {})["managedFields"] = entries
    else:
        (obj.get("metadata") or {}).pop("managedFields", None)


def same_but_times(one: Any, other: Any) -> bool:
    """Whether two lists of entries differ in nothing but times.

    A write that changes only these is no write: the handler keeps the old object.
    """
    mine, theirs = read(one or ()), read(other or ())
    return len(mine) == len(theirs) and all(
        a._replace(time="") == b._replace(time="")
        for a, b in zip(
            sorted(mine, key=lambda e: e.identity), sorted(theirs, key=lambda e: e.identity),
            strict=True,
        )
    )  # fmt: skip


@functools.cache
def tracked(schema: type[msgspec.Struct] | Node) -> Node:
    """Return the Node with which owners of an object's fields are tracked."""
    return owned(schema_of(schema))


def version_of(obj: Any) -> str:
    """Return the `apiVersion` of an object."""
    return str(obj.get("apiVersion") or "") if isinstance(obj, dict) else obj.apiVersion


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
