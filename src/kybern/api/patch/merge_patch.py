"""RFC 7386: a document with only what changes; null deletes.

In:   the bytes of a patch (`parse`), then a tree and the patch (`apply`).
Out:  the new tree; the old one stays as it was and may share what did not change.
By:   the patch handler, for `application/merge-patch+json`; the status writers of clients.
"""

from __future__ import annotations

from typing import Any

from kybern.api import errors
from kybern.api.patch import bodies

Tree = dict[str, Any]


def parse(data: bytes) -> tuple[Tree, list[str]]:
    """Return the patch in a body, and the duplicate fields in it.

    Raises:
        BadRequest: not a JSON object.
    """
    try:
        return bodies.load_object(data)
    except bodies.Malformed as error:
        raise errors.BadRequest(f"error decoding patch: {error}") from None


def apply(tree: Any, patch: Any) -> Any:
    """Return the tree with the patch merged in."""
    if not isinstance(patch, dict) or not isinstance(tree, dict):
        return without_nulls(patch)
    merged = dict(tree)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(merged.get(key), dict):
            merged[key] = apply(merged[key], value) if isinstance(value, dict) else value
        else:
            merged[key] = without_nulls(value)
    return merged


def without_nulls(value: Any) -> Any:
    """Return the value without the fields that are null, at any depth; items of lists stay."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value
