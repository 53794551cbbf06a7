"""Kubernetes' protobuf: `application/vnd.kubernetes.protobuf`.

In:   bytes of a client: `k8s` and a zero, then an envelope with the kind and the message.
Out:  Structs, and back.
By:   the codec, for request bodies; answers may be made with `encode`.

The fields are those of the Structs, whose metadata has their numbers; `lib.protobuf` does the
work. What is here is what Kubernetes adds: the envelope, and scalars that are messages of their
own. Go writes the zeros of all that is no pointer, so a zero is taken for nothing unless upstream
holds the field by pointer (`pointers.py`).
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Struct

from kybern.api import codec
from kybern.api.errors import BadRequest
from kybern.api.pointers import is_pointer
from kybern.lib import clock
from kybern.lib.protobuf import Codec, Dialect, PbField, ProtobufError

if TYPE_CHECKING:
    from kybern.api.scheme import Kind

T = TypeVar("T")

MEDIA_TYPE: Final = "application/vnd.kubernetes.protobuf"
PREFIX: Final = b"k8s\x00"


class _TypeMeta(Struct):
    api_version: Annotated[str, PbField(1)] = ""
    kind: Annotated[str, PbField(2)] = ""


class _Unknown(Struct):
    """The envelope: runtime.Unknown."""

    type_meta: Annotated[_TypeMeta | None, PbField(1)] = None
    raw: Annotated[bytes, PbField(2)] = b""
    content_encoding: Annotated[str, PbField(3)] = ""
    content_type: Annotated[str, PbField(4)] = ""


_ENVELOPE: Final = Codec(_Unknown)


def decode_request(data: bytes, kind: Kind) -> Any:
    """Return the object in a request's body, before its scalars are canonical.

    Raises:
        BadRequest: not protobuf, or not of this kind.
    """
    try:
        envelope = _open(data)
    except ProtobufError as error:
        raise codec.unrecognised(kind, str(error)) from None
    meta = envelope.type_meta or _TypeMeta()
    codec.expect(kind, meta.api_version, meta.kind)
    if envelope.content_encoding:
        raise BadRequest(f"unsupported content encoding {envelope.content_encoding!r}")
    try:
        return _message(kind.struct).decode(envelope.raw)
    except ProtobufError as error:
        raise codec.unfit(kind, str(error)) from None


def decode(data: bytes, type_: type[T]) -> T:
    """Return the object of a type in an envelope that a server or we ourselves wrote.

    Raises:
        ProtobufError: no envelope, or no such message in it.
    """
    obj: T = _message(type_).decode(_open(data).raw)
    return obj


def encode(obj: Any) -> bytes:
    """Return an object, which says its own kind, in an envelope."""
    meta = _TypeMeta(obj.apiVersion or "", obj.kind or "")
    return PREFIX + _ENVELOPE.encode(_Unknown(meta, _message(type(obj)).encode(obj)))


def message(obj: Any) -> bytes:
    """Return an object without its envelope. Messages of one type in a row are one, merged."""
    return _message(type(obj)).encode(obj)


def envelope(api_version: str, kind: str, size: int) -> bytes:
    """Return what comes before a message of so many bytes, which are the rest of the answer."""
    head = PREFIX + _ENVELOPE.encode(_Unknown(_TypeMeta(api_version, kind)))
    length = bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return head + b"\x12%b%c" % (bytes(length), size)  # field 2: raw


def _open(data: bytes) -> _Unknown:
    if not data:
        raise ProtobufError("empty data")
    if not data.startswith(PREFIX):
        raise ProtobufError(
            "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
        )
    return _ENVELOPE.decode(data[len(PREFIX) :])


def _message(type_: type[Any]) -> Codec[Any]:
    found = _CODECS.get(type_)
    if found is None:
        found = _CODECS[type_] = Codec(type_, KUBERNETES)
    return found


_CODECS: Final[dict[type, Codec[Any]]] = {}


class _Instant(Struct):
    """Time and MicroTime."""

    seconds: Annotated[int, PbField(1)] = 0
    nanos: Annotated[int, PbField(2, "int32")] = 0


class _Text(Struct):
    """Quantity."""

    string: Annotated[str, PbField(1)] = ""


class _IntOrString(Struct):
    type: Annotated[int, PbField(1)] = 0
    number: Annotated[int, PbField(2, "int32")] = 0
    text: Annotated[str, PbField(3)] = ""


class _Raw(Struct):
    """RawExtension, JSON and FieldsV1."""

    raw: Annotated[bytes, PbField(1)] = b""


class _Items(Struct):
    """ExtraValue and Verbs: a list that protobuf has to wrap."""

    items: Annotated[list[str], PbField(1)] = msgspec.field(default_factory=list)


_INSTANT: Final = Codec(_Instant)
_QUANTITY: Final = Codec(_Text)
_INT_OR_STRING: Final = Codec(_IntOrString)
_RAW: Final = Codec(_Raw)
_ITEMS: Final = Codec(_Items, Dialect())


def _from_time(text: str) -> bytes:
    return _instant(int(clock.parse_rfc3339(text)), 0)


def _to_time(data: bytes) -> str | None:
    return clock.rfc3339(_INSTANT.decode(data).seconds) if data else None


def _from_micro_time(text: str) -> bytes:
    micros = round(clock.parse_rfc3339(text) * 1_000_000)
    return _instant(micros // 1_000_000, micros % 1_000_000 * 1000)


def _to_micro_time(data: bytes) -> str | None:
    if not data:
        return None
    instant = _INSTANT.decode(data)
    return clock.rfc3339_micro(instant.seconds + instant.nanos // 1000 / 1_000_000)


def _instant(seconds: int, nanos: int) -> bytes:
    """Write both numbers also when they are zero: an empty message is no time at all."""
    return _WRITTEN.encode(_Instant(seconds, nanos))


_WRITTEN: Final = Codec(_Instant, Dialect())


def _from_quantity(text: str) -> bytes:
    return _QUANTITY.encode(_Text(text))


def _to_quantity(data: bytes) -> str:
    return _QUANTITY.decode(data).string or "0"


def _from_int_or_string(value: int | str) -> bytes:
    if isinstance(value, str):
        return _INT_OR_STRING.encode(_IntOrString(1, 0, value))
    return _INT_OR_STRING.encode(_IntOrString(0, value))


def _to_int_or_string(data: bytes) -> int | str:
    value = _INT_OR_STRING.decode(data)
    return value.text if value.type else value.number


def _from_tree(tree: Any) -> bytes:
    return _RAW.encode(_Raw(codec.encode(tree)))


def _to_tree(data: bytes) -> Any:
    raw = _RAW.decode(data).raw
    if raw.startswith(PREFIX):
        return _embedded(raw)
    try:
        return codec.decode_tree(raw) if raw else None
    except msgspec.DecodeError as error:
        raise ProtobufError(f"an embedded object is not JSON: {error}") from None


def _embedded(raw: bytes) -> Any:
    """Return the tree of an object that travels as protobuf inside another."""
    from kybern.api.scheme import SCHEME

    envelope = _open(raw)
    meta = envelope.type_meta or _TypeMeta()
    kind = SCHEME.by_kind(meta.api_version, meta.kind)
    if kind is None:
        raise ProtobufError(f"an embedded object is of an unknown kind: {meta.kind}")
    return codec.to_tree(_message(kind.struct).decode(envelope.raw))


def _from_items(items: list[str]) -> bytes:
    return _ITEMS.encode(_Items(items))


def _to_items(data: bytes) -> list[str]:
    return _ITEMS.decode(data).items


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text)


def _to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class _OrBool(Struct):
    allows: Annotated[bool, PbField(1)] = False
    schema: Annotated[bytes | None, PbField(2)] = None


class _OrArray(Struct):
    schema: Annotated[bytes | None, PbField(1)] = None
    items: Annotated[list[bytes], PbField(2)] = msgspec.field(default_factory=list)


class _OrStrings(Struct):
    schema: Annotated[bytes | None, PbField(1)] = None
    items: Annotated[list[str], PbField(2)] = msgspec.field(default_factory=list)


_OR_BOOL: Final = Codec(_OrBool)
_OR_ARRAY: Final = Codec(_OrArray)
_OR_STRINGS: Final = Codec(_OrStrings)


def _schema() -> Codec[Any]:
    from kybern.api.apiextensions.v1 import JSONSchemaProps

    return _message(JSONSchemaProps)


def _from_schema_or_bool(value: Any) -> bytes:
    if isinstance(value, bool):
        return _OR_BOOL.encode(_OrBool(value))
    return _OR_BOOL.encode(_OrBool(True, _schema().encode(value)))


def _to_schema_or_bool(data: bytes) -> Any:
    value = _OR_BOOL.decode(data)
    return value.allows if value.schema is None else _schema().decode(value.schema)


def _from_schema_or_array(value: Any) -> bytes:
    if isinstance(value, list):
        return _OR_ARRAY.encode(_OrArray(None, [_schema().encode(each) for each in value]))
    return _OR_ARRAY.encode(_OrArray(_schema().encode(value)))


def _to_schema_or_array(data: bytes) -> Any:
    value = _OR_ARRAY.decode(data)
    if value.schema is not None:
        return _schema().decode(value.schema)
    return [_schema().decode(each) for each in value.items]


def _from_schema_or_strings(value: Any) -> bytes:
    if isinstance(value, list):
        return _OR_STRINGS.encode(_OrStrings(None, value))
    return _OR_STRINGS.encode(_OrStrings(_schema().encode(value)))


def _to_schema_or_strings(data: bytes) -> Any:
    value = _OR_STRINGS.decode(data)
    return value.items if value.schema is None else _schema().decode(value.schema)


KUBERNETES: Final = Dialect(
    scalars={
        "Time": (_from_time, _to_time),
        "MicroTime": (_from_micro_time, _to_micro_time),
        "Quantity": (_from_quantity, _to_quantity),
        "IntOrString": (_from_int_or_string, _to_int_or_string),
        "RawExtension": (_from_tree, _to_tree),
        "JSON": (_from_tree, _to_tree),
        "FieldsV1": (_from_tree, _to_tree),
        "ExtraValue": (_from_items, _to_items),
        "Verbs": (_from_items, _to_items),
        "bytes": (_from_base64, _to_base64),
        "JSONSchemaPropsOrBool": (_from_schema_or_bool, _to_schema_or_bool),
        "JSONSchemaPropsOrArray": (_from_schema_or_array, _to_schema_or_array),
        "JSONSchemaPropsOrStringArray": (_from_schema_or_strings, _to_schema_or_strings),
    },
    whole=("FieldsV1", "RawExtension", "Verbs"),
    zero_is_absent=lambda struct, attr, _meta: not is_pointer(struct, attr),
)
