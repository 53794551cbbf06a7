"""Who stands in the way of an apply.

In:   for each manager in the way, the fields it owns that the apply would change.
Out:  the Conflict that the client gets, in upstream's words.
By:   apply.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kybern.api import errors
from kybern.api.bad_value import quote
from kybern.api.patch import field_sets
from kybern.api.patch.entries import UPDATE, Entry

if TYPE_CHECKING:
    from kybern.api.patch.field_sets import FieldSet


class Claim(NamedTuple):
    """What one manager owns of what an apply would change."""

    entry: Entry
    fields: FieldSet


def error(claims: list[Claim]) -> errors.Conflict:
    """Return the error that names every field in conflict and its owner."""
    claims = sorted(claims, key=lambda claim: claim.entry.identity)
    found = [
        (_owner(claim.entry), field_sets.text(path))
        for claim in claims
        for path in field_sets.paths(claim.fields)
    ]
    causes: list[dict[str, Any]] = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {owner}", "field": field}
        for owner, field in found
    ]
    return errors.Conflict(_message(found), {"causes": causes})


def _message(found: list[tuple[str, str]]) -> str:
    if len(found) == 1:
        owner, field = found[0]
        return f"Apply failed with 1 conflict: conflict with {owner}: {field}"
    lines: list[str] = []
    for owner in dict.fromkeys(owner for owner, _ in found):
        lines.append(f"conflicts with {owner}:")
        lines += [f"- {field}" for each, field in found if each == owner]
    return f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)


def _owner(entry: Entry) -> str:
    """Return a manager as messages name it: `"kubectl" with subresource "status" using v1`."""
    text = quote(entry.manager)
    if entry.subresource:
        text += f" with subresource {quote(entry.subresource)}"
    return f"{text} using {entry.api_version}" if entry.operation == UPDATE else text
