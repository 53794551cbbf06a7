"""Put the resourceVersion into stored JSON, and take it out again; pure.

In:   an object's JSON without resourceVersion, and a revision.
Out:  the JSON as clients get it, and where the text was put.
By:   `interface.Entry`.

Objects are stored without resourceVersion, as upstream stores them: it is the revision of the
write and is not known before. What we write has `metadata` among its first fields, so the text
goes in without parsing. JSON by others (upstream sorts the fields of custom resources) may have
it anywhere: then the top level is put in order first.
"""

from __future__ import annotations

import re

import msgspec

_HEAD = re.compile(rb'\{(?:"(?:kind|apiVersion)":"[^"\\]*",)*"metadata":\{(?=\s*(\}?))')
_FIRST = ("kind", "apiVersion", "metadata")
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_COMMA = 0x2C


def with_revision(data: bytes, revision: int) -> tuple[bytes, int]:
    """Return the object with `"resourceVersion":"<revision>"` first in its metadata, and where.

    Raises:
        ValueError: not a JSON object, or its metadata is not one.
    """
    head = _HEAD.match(data)
    if head is None:
        data = _in_order(data)
        head = _HEAD.match(data)
        if head is None:
            raise ValueError("its metadata, kind or apiVersion is not as it should be")
    at = head.end()
    text = b'"resourceVersion":"%d"' if head[1] else b'"resourceVersion":"%d",'
    return data[:at] + text % revision + data[at:], at


def without_revision(wire: bytes, at: int, revision: int) -> bytes:
    """Return the object as it was before the revision was put in `at` that place."""
    end = at + len(b'"resourceVersion":"%d"' % revision)
    if wire[end] == _COMMA:
        end += 1
    return wire[:at] + wire[end:]


def _in_order(data: bytes) -> bytes:
    fields = _OBJECT.decode(data)
    ordered = {name: bytes(fields.pop(name)) for name in _FIRST if name in fields}
    if ordered.get("metadata", b"null") == b"null":
        ordered["metadata"] = b"{}"
    ordered.update((name, bytes(raw)) for name, raw in fields.items())
    parts = [msgspec.json.encode(name) + b":" + raw for name, raw in ordered.items()]
    return b"{" + b",".join(parts) + b"}"
