"""Read the JSON of a patch, and notice what is written twice.

In:   the bytes of a body.
Out:  its value, and a sentence for each field that stands twice in one object.
By:   the modules for the kinds of patches.
"""

from __future__ import annotations

from typing import Any

from kybern.api import json_text


class Malformed(ValueError):
    """The body is not what it should be; the text is close to upstream's."""


class _Pairs(list[tuple[str, Any]]):
    """An object as it stands in the text."""


def load(data: bytes) -> tuple[Any, list[str]]:
    """Return the value and `duplicate field "spec.replicas"` for each such field.

    Raises:
        Malformed: not JSON.
    """
    try:
        value = json_text.load(data, _Pairs)
    except ValueError as error:
        raise Malformed(str(error)) from None
    duplicates: list[str] = []
    return _plain(value, "", duplicates), duplicates


def load_object(data: bytes) -> tuple[dict[str, Any], list[str]]:
    """Return the same of a body that must be an object."""
    value, duplicates = load(data)
    if not isinstance(value, dict):
        raise Malformed(mistyped(value, "map[string]interface {}"))
    return value, duplicates


def mistyped(value: Any, wanted: str) -> str:
    """Return what Go says of JSON that does not fit a type."""
    return f"json: cannot unmarshal {_json_type(value)} into Go value of type {wanted}"


def _plain(value: Any, path: str, duplicates: list[str]) -> Any:
    if isinstance(value, _Pairs):
        out: dict[str, Any] = {}
        for name, item in value:
            place = f"{path}.{name}" if path else name
            if name in out:
                duplicates.append(f'duplicate field "{place}"')
            out[name] = _plain(item, place, duplicates)
        return out
    if isinstance(value, list):
        return [_plain(item, f"{path}[{i}]", duplicates) for i, item in enumerate(value)]
    return value


def _json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    names = ((str, "string"), (dict, "object"), (list, "array"), (int | float, "number"))
    return next((name for kind, name in names if isinstance(value, kind)), "null")
