"""The entries of `metadata.managedFields`: read, sorted, written.

In:   an object, a Struct or a tree.
Out:  its entries in one form to work on, and back in the form that fits the object.
By:   managed_fields.py and apply.py.
"""

from __future__ import annotations

import functools
from typing import Any, Final, NamedTuple

from kybern.api.patch import field_sets
from kybern.api.patch.field_sets import LEAF, FieldSet

UPDATE: Final = "Update"
APPLY: Final = "Apply"


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


def sent_with(obj: Any) -> Any:
    """Return the `managedFields` of an object as they stand there; None when it has none."""
    if isinstance(obj, dict):
        return (obj.get("metadata") or {}).get("managedFields")
    return obj.metadata.managedFields


def entries_of(obj: Any) -> Any:
    """Return the entries of an object; an empty list when it has none."""
    return sent_with(obj) or []


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
    tree: dict[str, Any] = {
        "manager": entry.manager,
        "operation": entry.operation,
        "apiVersion": entry.api_version,
    }
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


def version_of(obj: Any) -> str:
    """Return the `apiVersion` of an object."""
    return str(obj.get("apiVersion") or "") if isinstance(obj, dict) else obj.apiVersion
