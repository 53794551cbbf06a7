"""OpenAPI v2 as protobuf, for clients that do not read it as JSON: kubectl before 1.27.

In:   the tree of a Swagger 2.0 document.
Out:  the bytes of gnostic's `openapi.v2.Document`.
By:   documents.py, for who asks for it by one of the media types `ASKED`.

Each message is a table from the document's key to field number and encoding. The numbers are those
of gnostic's OpenAPIv2.proto. Three things do not map one to one: maps of any keys become lists of
(name, value); keys that start with `x-` are collected; and values of any form travel as YAML text,
for which JSON will do.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any, Final

from kybern.lib.protobuf_encode import tag, varint

MEDIA_TYPE: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""What the answer says of itself. Clients ask with an `@`, but Go refuses to parse that."""
ASKED: Final = ("application/com.github.proto-openapi.spec.v2@v1.0+protobuf", MEDIA_TYPE)

Encode = Callable[[Any], bytes]
"""Makes the bytes of a message, without tag and length."""
Field = Callable[[Any], bytes]
"""Makes the bytes of a field, tag included."""


def encode(document: dict[str, Any]) -> bytes:
    """Return the message of a Swagger 2.0 document."""
    return _DOCUMENT(document)


def _delimited(number: int, make: Encode) -> Field:
    prefix = tag(number, 2)

    def field(value: Any) -> bytes:
        data = make(value)
        return prefix + varint(len(data)) + data

    return field


def _text(number: int) -> Field:
    return _delimited(number, str.encode)


def _flag(number: int) -> Field:
    prefix = tag(number, 0)
    return lambda value: prefix + b"\x01" if value else b""


def _whole(number: int) -> Field:
    prefix = tag(number, 0)
    return lambda value: prefix + varint(int(value))


def _real(number: int) -> Field:
    prefix = tag(number, 1)
    return lambda value: prefix + struct.pack("<d", float(value))


def _many(field: Field) -> Field:
    return lambda values: b"".join(map(field, values))


def _texts(number: int) -> Field:
    return _many(_text(number))


def _named(number: int, make: Encode) -> Field:
    """A map of any keys, as repeated (name, value)."""
    name, value = _text(1), _delimited(2, make)
    entry = _delimited(number, lambda item: name(item[0]) + value(item[1]))
    return lambda entries: b"".join(map(entry, entries.items()))


def _message(fields: dict[str, Field], extensions: int = 0) -> Encode:
    """A message: the keys of the table, then whatever starts with `x-`."""
    get = fields.get
    extension = _named(extensions, _any) if extensions else None

    def make(tree: dict[str, Any]) -> bytes:
        out: list[bytes] = []
        for key, value in tree.items():
            field = get(key)
            if field is not None:
                out.append(field(value))
            elif extension is not None and key.startswith("x-"):
                out.append(extension({key: value}))
        return b"".join(out)

    return make


def _any(value: Any) -> bytes:
    return _YAML(json.dumps(value, separators=(",", ":"), ensure_ascii=False) + "\n")


_YAML: Final = _text(2)


def _late(name: str) -> Encode:
    """A message that is defined further down, or contains itself."""
    return lambda value: globals()[name](value)


def _type(value: Any) -> bytes:
    return _texts(1)([value] if isinstance(value, str) else value)


def _items(value: Any) -> bytes:
    schemas = value if isinstance(value, list) else [value]
    return _many(_delimited(1, _SCHEMA))(schemas)


def _schema_or_flag(value: Any) -> bytes:
    return tag(2, 0) + bytes([value]) if isinstance(value, bool) else _delimited(1, _SCHEMA)(value)


_EXTERNAL_DOCS: Final = _message({"description": _text(1), "url": _text(2)}, 3)
_XML: Final = _message(
    {
        "name": _text(1),
        "namespace": _text(2),
        "prefix": _text(3),
        "attribute": _flag(4),
        "wrapped": _flag(5),
    },
    6,
)


def _limits(first: int) -> dict[str, Field]:
    """What all values have that are no objects, in the order in which every message numbers it."""
    kinds: tuple[tuple[str, Callable[[int], Field]], ...] = (
        ("maximum", _real), ("exclusiveMaximum", _flag), ("minimum", _real),
        ("exclusiveMinimum", _flag), ("maxLength", _whole), ("minLength", _whole),
        ("pattern", _text), ("maxItems", _whole), ("minItems", _whole), ("uniqueItems", _flag),
    )  # fmt: skip
    return {name: kind(number) for number, (name, kind) in enumerate(kinds, first)}


_SCHEMA: Final[Encode] = _message(
    {
        "$ref": _text(1), "format": _text(2), "title": _text(3), "description": _text(4),
        "default": _delimited(5, _any), "multipleOf": _real(6),
        **_limits(7),
        "maxProperties": _whole(17), "minProperties": _whole(18), "required": _texts(19),
        "enum": _many(_delimited(20, _any)),
        "additionalProperties": _delimited(21, _schema_or_flag),
        "type": _delimited(22, _type), "items": _delimited(23, _items),
        "allOf": _many(_delimited(24, _late("_SCHEMA"))),
        "properties": _delimited(25, _named(1, _late("_SCHEMA"))),
        "discriminator": _text(26), "readOnly": _flag(27), "xml": _delimited(28, _XML),
        "externalDocs": _delimited(29, _EXTERNAL_DOCS), "example": _delimited(30, _any),
    },
    31,
)  # fmt: skip


def _plain(first: int) -> dict[str, Field]:
    """A value that is no object: its type, and all that limits it; `first` is the type's number."""
    return {
        "type": _text(first),
        "format": _text(first + 1),
        "items": _delimited(first + 2, _late("_PLAIN_ITEMS")),
        "collectionFormat": _text(first + 3),
        "default": _delimited(first + 4, _any),
        **_limits(first + 5),
        "enum": _many(_delimited(first + 15, _any)),
        "multipleOf": _real(first + 16),
    }


_PLAIN_ITEMS: Final[Encode] = _message(_plain(1), 18)
_HEADER: Final = _message({**_plain(1), "description": _text(18)}, 19)


def _place(*, empty: bool) -> Encode:
    """A parameter outside the body; where it may be empty, that is a field of its own."""
    fields = {"required": _flag(1), "in": _text(2), "description": _text(3), "name": _text(4)}
    if empty:
        return _message({**fields, "allowEmptyValue": _flag(5), **_plain(6)}, 23)
    return _message({**fields, **_plain(5)}, 22)


_PLACES: Final = {
    "header": _delimited(1, _place(empty=False)),
    "formData": _delimited(2, _place(empty=True)),
    "query": _delimited(3, _place(empty=True)),
    "path": _delimited(4, _place(empty=False)),
}
_BODY_PARAMETER: Final = _message(
    {
        "description": _text(1), "name": _text(2), "in": _text(3), "required": _flag(4),
        "schema": _delimited(5, _SCHEMA),
    },
    6,
)  # fmt: skip
_REFERENCE: Final = _message({"$ref": _text(1), "description": _text(2)})


def _parameter(value: dict[str, Any]) -> bytes:
    if value["in"] == "body":
        return _delimited(1, _BODY_PARAMETER)(value)
    return _delimited(2, _PLACES[value["in"]])(value)


def _either(full: Encode) -> Encode:
    """Something written out, or a reference to it."""
    written, referred = _delimited(1, full), _delimited(2, _REFERENCE)
    return lambda value: referred(value) if "$ref" in value else written(value)


_RESPONSE: Final = _message(
    {
        "description": _text(1),
        "schema": _delimited(2, _delimited(1, _SCHEMA)),
        "headers": _delimited(3, _named(1, _HEADER)),
        "examples": _delimited(4, _named(1, _any)),
    },
    5,
)
_PARAMETERS: Final = _either(_parameter)


def _responses(value: dict[str, Any]) -> bytes:
    codes = {key: each for key, each in value.items() if not key.startswith("x-")}
    extensions = {key: each for key, each in value.items() if key.startswith("x-")}
    return _named(1, _either(_RESPONSE))(codes) + _named(2, _any)(extensions)


_REQUIREMENT: Final = _named(1, _texts(1))
_OPERATION: Final = _message(
    {
        "tags": _texts(1), "summary": _text(2), "description": _text(3),
        "externalDocs": _delimited(4, _EXTERNAL_DOCS), "operationId": _text(5),
        "produces": _texts(6), "consumes": _texts(7),
        "parameters": _many(_delimited(8, _PARAMETERS)),
        "responses": _delimited(9, _responses), "schemes": _texts(10), "deprecated": _flag(11),
        "security": _many(_delimited(12, _REQUIREMENT)),
    },
    13,
)  # fmt: skip
_VERBS: Final = ("get", "put", "post", "delete", "options", "head", "patch")
_PATH_ITEM: Final = _message(
    {
        "$ref": _text(1),
        **{verb: _delimited(number, _OPERATION) for number, verb in enumerate(_VERBS, 2)},
        "parameters": _many(_delimited(9, _PARAMETERS)),
    },
    10,
)


def _paths(value: dict[str, Any]) -> bytes:
    extensions = {key: each for key, each in value.items() if key.startswith("x-")}
    paths = {key: each for key, each in value.items() if key.startswith("/")}
    return _named(1, _any)(extensions) + _named(2, _PATH_ITEM)(paths)


_SCOPES: Final = _named(1, str.encode)
_BASIC: Final = _message({"type": _text(1), "description": _text(2)}, 3)
_API_KEY: Final = _message(
    {"type": _text(1), "name": _text(2), "in": _text(3), "description": _text(4)}, 5
)


def _oauth2(*urls: str) -> Encode:
    """One flow of OAuth 2: it has one or two URLs between scopes and description."""
    fields = {"type": _text(1), "flow": _text(2), "scopes": _delimited(3, _SCOPES)}
    fields |= {url: _text(number) for number, url in enumerate(urls, 4)}
    number = 4 + len(urls)
    return _message({**fields, "description": _text(number)}, number + 1)


_FLOWS: Final = {
    "implicit": _delimited(3, _oauth2("authorizationUrl")),
    "password": _delimited(4, _oauth2("tokenUrl")),
    "application": _delimited(5, _oauth2("tokenUrl")),
    "accessCode": _delimited(6, _oauth2("authorizationUrl", "tokenUrl")),
}


def _security(value: dict[str, Any]) -> bytes:
    kind = value["type"]
    if kind == "basic":
        return _delimited(1, _BASIC)(value)
    return _delimited(2, _API_KEY)(value) if kind == "apiKey" else _FLOWS[value["flow"]](value)


_CONTACT: Final = _message({"name": _text(1), "url": _text(2), "email": _text(3)}, 4)
_LICENSE: Final = _message({"name": _text(1), "url": _text(2)}, 3)
_INFO: Final = _message(
    {
        "title": _text(1), "version": _text(2), "description": _text(3),
        "termsOfService": _text(4), "contact": _delimited(5, _CONTACT),
        "license": _delimited(6, _LICENSE),
    },
    7,
)  # fmt: skip
_TAG: Final = _message(
    {"name": _text(1), "description": _text(2), "externalDocs": _delimited(3, _EXTERNAL_DOCS)}, 4
)
_DOCUMENT: Final = _message(
    {
        "swagger": _text(1), "info": _delimited(2, _INFO), "host": _text(3), "basePath": _text(4),
        "schemes": _texts(5), "consumes": _texts(6), "produces": _texts(7),
        "paths": _delimited(8, _paths),
        "definitions": _delimited(9, _named(1, _SCHEMA)),
        "parameters": _delimited(10, _named(1, _parameter)),
        "responses": _delimited(11, _named(1, _RESPONSE)),
        "security": _many(_delimited(12, _REQUIREMENT)),
        "securityDefinitions": _delimited(13, _named(1, _security)),
        "tags": _many(_delimited(14, _TAG)),
        "externalDocs": _delimited(15, _EXTERNAL_DOCS),
    },
    16,
)  # fmt: skip
