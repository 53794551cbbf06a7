"""RFC 6902: a list of operations on a document.

In:   the bytes of a patch (`parse`), then a tree and the operations (`apply`).
Out:  the new tree; the old one stays as it was.
By:   the patch handler, for `application/json-patch+json`.

The semantics are those of the library upstream uses, which departs from the RFC in places that
clients have come to rely on: negative indices count from the end, `replace` of a key that is not
there adds it, a missing `value` is null. Whatever does not apply is one 422 with one text; what
went wrong exactly is chained to it as PatchFailed, for the log.
"""

from __future__ import annotations

import re
from typing import Any, Final

from kybern.api import codec, errors
from kybern.api.patch import bodies

MAX_OPERATIONS: Final = 10_000
REJECTED: Final = "the server rejected our request due to an error in our request"

MAX_COPIED: Final = 3 * 1024 * 1024
"""Bytes that all `copy` operations together may add: each could double the document."""

_INDEX = re.compile(r"[+-]?[0-9]{1,18}").fullmatch
_KNOWN = frozenset({"op", "path", "from", "value"})

Operation = dict[str, Any]


class PatchFailed(Exception):
    """An operation that does not apply to this document."""


class TestFailed(PatchFailed):
    """A `test` that found something else: the patch is not meant for this document."""


def parse(data: bytes, validation: str = "Warn") -> tuple[list[Operation], list[str]]:
    """Return the operations in a body, and what is odd about them.

    Raises:
        BadRequest: not JSON, or not a list of objects.
        RequestEntityTooLarge: too many operations.
    """
    lenient = validation == "Ignore"
    try:
        patch, odd = bodies.load(data)
        _check(patch, "jsonpatch.Patch" if lenient else "[]handlers.jsonPatchOp")
    except bodies.Malformed as error:
        text = str(error) if lenient else f"error decoding patch: {error}"
        raise errors.BadRequest(text) from None
    if len(patch) > MAX_OPERATIONS:
        raise errors.RequestEntityTooLarge(
            f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(patch)}"
        )
    for index, operation in enumerate(patch):
        odd += [f'unknown field "[{index}].{name}"' for name in operation if name not in _KNOWN]
    return patch, [f"json patch {text}" for text in odd]


def _check(patch: Any, wanted: str) -> None:
    if not isinstance(patch, list):
        raise bodies.Malformed(bodies.mistyped(patch, wanted))
    for operation in patch:
        if not isinstance(operation, dict):
            raise bodies.Malformed(bodies.mistyped(operation, wanted))


def apply(tree: Any, patch: list[Operation]) -> Any:
    """Return the document after all operations; none counts if one fails.

    Raises:
        Invalid: an operation does not apply; the cause says which.
    """
    document = _copy(tree)
    copied = 0
    try:
        for operation in patch:
            if operation.get("op") == "copy":
                copied = _weigh(document, operation, copied)
            document = _step(document, operation)
    except PatchFailed as error:
        raise errors.Invalid(REJECTED, {}) from error
    return document


def _step(document: Any, operation: Operation) -> Any:
    op = operation.get("op")
    step = _STEPS.get(op) if isinstance(op, str) else None
    if step is None:
        raise PatchFailed(f"Unexpected kind: {op if isinstance(op, str) else 'unknown'}")
    path = operation.get("path")
    if not isinstance(path, str):
        raise PatchFailed(f"{op} operation failed to decode path: missing value")
    return step(document, path, operation)


def _add(document: Any, path: str, operation: Operation) -> Any:
    where, key = _find(
        document, path, f'add operation does not apply: doc is missing path: "{path}"'
    )
    _insert(where, key, _copy(operation.get("value")), f"error in add for path: '{path}'")
    return document


def _remove(document: Any, path: str, operation: Operation) -> Any:
    del operation
    where, key = _find(
        document, path, f'remove operation does not apply: doc is missing path: "{path}"'
    )
    _take(where, key, f"error in remove for path: '{path}'")
    return document


def _replace(document: Any, path: str, operation: Operation) -> Any:
    value = _copy(operation.get("value"))
    if path == "":
        if not isinstance(value, dict | list):
            raise PatchFailed("replace operation value must be object or array")
        return value
    absent = "replace operation does not apply: doc is missing"
    where, key = _find(document, path, f"{absent} path: {path}")
    if isinstance(where, dict):
        where[key] = value
        return document
    try:
        where[_index(where, key, "")] = value
    except PatchFailed:
        raise PatchFailed(f"{absent} key: {path}: missing value") from None
    return document


def _move(document: Any, path: str, operation: Operation) -> Any:
    source = _source(operation, "move")
    where, key = _find(
        document, source, f"move operation does not apply: doc is missing from path: {source}"
    )
    value = _get(where, key, f"error in move for path: '{key}'")
    _take(where, key, f"error in move for path: '{key}'")
    where, key = _find(
        document, path, f"move operation does not apply: doc is missing destination path: {path}"
    )
    _insert(where, key, value, f"error in move for path: '{path}'")
    return document


def _copy_value(document: Any, path: str, operation: Operation) -> Any:
    source = _source(operation, "copy")
    where, key = _find(
        document, source, f"copy operation does not apply: doc is missing from path: {source}"
    )
    value = _get(where, key, f"error in copy for from: '{source}'")
    where, key = _find(
        document, path, f"copy operation does not apply: doc is missing destination path: {path}"
    )
    _insert(where, key, _copy(value), "error while adding value during copy")
    return document


def _test(document: Any, path: str, operation: Operation) -> Any:
    found = document
    if path:
        where, key = _find(
            document, path, f"test operation does not apply: is missing path: {path}"
        )
        found = _get(where, key, f"error in test for path: '{path}'")
    if not same(found, operation.get("value")):
        raise TestFailed(f"testing value {path} failed: test failed")
    return document


def _weigh(document: Any, operation: Operation, copied: int) -> int:
    """Return how much has been copied with this operation, which is not done yet."""
    value = document
    if source := _source(operation, "copy"):
        where, key = _find(document, source, "")
        value = _get(where, key, "")
    copied += len(codec.encode(value))
    if copied > MAX_COPIED:
        raise PatchFailed(
            f"Unable to complete the copy, the accumulated size increase of copy is {copied}, "
            f"exceeding the limit {MAX_COPIED}"
        )
    return copied


_STEPS: Final = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy_value,
    "test": _test,
}


def _source(operation: Operation, op: str) -> str:
    source = operation.get("from")
    if not isinstance(source, str):
        raise PatchFailed(
            f"{op} operation failed to decode from: operation, missing from field: missing value"
        )
    return source


def _find(document: Any, path: str, missing: str) -> tuple[Any, str]:
    """Return the object or list that holds what the path points at, and the last part."""
    first, *parts = path.split("/")
    del first  # whatever stands before the first slash is not looked at
    if not parts:
        raise PatchFailed(f"{missing}: missing value")
    where = document
    for part in parts[:-1]:
        try:
            where = _get(where, _unescape(part), "")
        except PatchFailed:
            where = None
        if not isinstance(where, dict | list):
            raise PatchFailed(f"{missing}: missing value")
    return where, _unescape(parts[-1])


def _unescape(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~") if "~" in part else part


def _get(where: Any, key: str, context: str) -> Any:
    if isinstance(where, dict):
        return where.get(key)
    return where[_index(where, key, context)]


def _take(where: Any, key: str, context: str) -> None:
    if isinstance(where, list):
        del where[_index(where, key, context)]
    elif key in where:
        del where[key]
    else:
        raise PatchFailed(f"{context}: Unable to remove nonexistent key: {key}: missing value")


def _insert(where: Any, key: str, value: Any, context: str) -> None:
    if isinstance(where, dict):
        where[key] = value
    elif key == "-":
        where.append(value)
    else:
        where.insert(_index(where, key, context, room=1), value)


def _index(where: list[Any], key: str, context: str, room: int = 0) -> int:
    """Return the index a key stands for; `room` is 1 where the place after the last counts."""
    if not _INDEX(key):
        blame = f"value was not a proper array index: '{key}': " if room else ""
        raise PatchFailed(f'{context}: {blame}strconv.Atoi: parsing "{key}": invalid syntax')
    index, size = int(key), len(where) + room
    if not -size <= index < size:
        raise PatchFailed(
            f"{context}: Unable to access invalid index: {index}: invalid index referenced"
        )
    return index if index >= 0 else index + size


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal; true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(v, other[k]) for k, v in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value
