"""Bytes and trees to Structs, and back.

In:   JSON, YAML or protobuf.
Out:  typed objects with canonical scalars; BadRequest in upstream's words where it does not fit.
By:   handlers (`decode_request`), clients and caches (`decode`), patches (`from_tree`, `to_tree`).

The fast path is one pass of msgspec: the Structs forbid unknown fields, so a body that decodes has
none. Only a body that it refuses is walked (`conform.py`), to prune it or to say what is wrong.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from kybern.api import bounds, json_text, known_bodies, zeros
from kybern.api.conform import Mismatch, Pairs, conform
from kybern.api.custom import objects
from kybern.api.errors import BadRequest, UnsupportedMediaType
from kybern.api.normalise import normalise
from kybern.api.scheme import Kind

if TYPE_CHECKING:
    from kybern.api.custom.kinds import CustomKind

T = TypeVar("T")

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
MEDIA_TYPES = (JSON, YAML, PROTOBUF)

_encode = msgspec.json.Encoder(enc_hook=objects.written).encode
_decode_tree = msgspec.json.Decoder().decode
_KEY = re.compile(rb'"\s*:')


_decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {}


def _decoder(type_: type[T]) -> msgspec.json.Decoder[T]:
    found = _decoders.get(type_)
    if found is None:
        found = _decoders[type_] = msgspec.json.Decoder(type_, dec_hook=objects.read)
    return found


def decode(data: bytes, type_: type[T]) -> T:
    """Return the object in JSON that a server wrote; fields we do not know are dropped.

    Raises:
        msgspec.DecodeError: not JSON.
        Mismatch: JSON of another shape.
    """
    try:
        return _decoder(type_).decode(data)
    except msgspec.ValidationError:
        return msgspec.convert(conform(_decode_tree(data), type_)[0], type_)


def encode(obj: Any) -> bytes:
    """Return the JSON of a Struct or a tree."""
    return _encode(obj)


def decode_tree(data: bytes) -> Any:
    """Return the tree of JSON; msgspec.DecodeError when it is none."""
    return _decode_tree(data)


def to_tree(obj: Any) -> dict[str, Any]:
    """Return the tree of a Struct, with wire names, as it would be encoded."""
    tree: dict[str, Any] = msgspec.to_builtins(obj, enc_hook=objects.written)
    return tree


def from_tree(tree: Any, type_: type[T]) -> T:
    """Return the Struct of a tree of our own making; unknown fields are dropped.

    Raises:
        Mismatch: a value has the wrong type.
        ValueError: a quantity or time is none.
    """
    try:
        obj = msgspec.convert(tree, type_, dec_hook=objects.read)
    except msgspec.ValidationError:
        obj = msgspec.convert(conform(tree, type_)[0], type_)
    normalise(obj)
    return obj


def clone(obj: T) -> T:
    """Return a deep copy, which is yours to change."""
    return _decoder(type(obj)).decode(_encode(obj))


def equal(one: Any, other: Any) -> bool:
    """Whether two objects are the same on the wire: an empty list is no list."""
    return one is other or bool(one == other) or _encode(one) == _encode(other)


def decode_request(
    data: bytes, kind: Kind, content_type: str, validation: str
) -> tuple[Any, list[str]]:
    """Return the object in a request's body and the warnings about it.

    Args:
        data: the body.
        kind: what the path says it must be.
        content_type: media type without parameters; "" is JSON.
        validation: `Strict` raises on unknown and duplicate fields, `Warn` returns them as
            warnings, `Ignore` drops them.

    Raises:
        BadRequest: with the text upstream has for it.
        UnsupportedMediaType: neither JSON, YAML nor protobuf.
    """
    if type(kind) is not Kind:
        from kybern.api.custom import reading

        return reading.decode_request(data, cast("CustomKind", kind), content_type, validation)
    look, spec = data, b""
    if content_type in ("", JSON):
        look, spec = known_bodies.unseen(data)
        obj, strict = _from_json(data, look, kind, check=validation != "Ignore")
    elif content_type == YAML:
        obj, strict = _from_yaml(data, kind)
    elif content_type == PROTOBUF and kind.in_protobuf:
        from kybern.api import protobuf

        obj, strict = protobuf.decode_request(data, kind), []
    else:
        raise UnsupportedMediaType.of(MEDIA_TYPES if kind.in_protobuf else (JSON, YAML))
    _expect_kind(obj, kind)
    try:
        normalise(obj)
    except ValueError as error:
        raise unfit(kind, str(error)) from None
    if content_type == YAML or (content_type != PROTOBUF and zeros.mentioned(look)):
        zeros.drop(obj)
    elif spec and not strict and validation != "Ignore":
        known_bodies.remember(spec)
    if strict and validation == "Strict":
        raise unfit(kind, "strict decoding error: " + ", ".join(strict))
    return obj, strict if validation == "Warn" else []


def unfit(kind: Kind, why: str) -> BadRequest:
    """`Pod in version "v1" cannot be handled as a Pod: why`."""
    return BadRequest(
        f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {why}'
    )


def _from_json(data: bytes, look: bytes, kind: Kind, *, check: bool) -> tuple[Any, list[str]]:
    """Return the object and what strict reading minds; only `look` may hold repeated keys."""
    struct = kind.struct
    # Types that end do not fit what nests without end: it fails below, and json_text looks again.
    if (bounds.open_ended(struct) or b'"managedFields"' in data) and bounds.too_deep(data):
        raise unrecognised(kind, f"couldn't get version/kind; json parse error: {bounds.TOO_DEEP}")
    if b"\\u" in data:
        data = look = json_text.well_formed(data)
    try:
        obj = _decoder(struct).decode(data)
    except (msgspec.ValidationError, UnicodeDecodeError):
        pass  # something does not fit: look closer
    except msgspec.DecodeError as error:
        raise unrecognised(kind, f"couldn't get version/kind; json parse error: {error}") from None
    else:
        if not check or not may_repeat(look):
            return obj, []
    return _walk(_pairs(data, kind), kind)


def _from_yaml(data: bytes, kind: Kind) -> tuple[Any, list[str]]:
    from kybern.api import yaml_text

    try:
        tree, duplicates = yaml_text.load(data)
    except yaml_text.YamlError as error:
        raise unrecognised(kind, f"error converting YAML to JSON: {error}") from None
    obj, strict = _walk(tree, kind)
    if duplicates:
        strict.insert(0, yaml_text.duplicates_text(duplicates))
    return obj, strict


def unrecognised(kind: Kind, why: str) -> BadRequest:
    """The body is not an object at all."""
    return BadRequest(f"the object provided is unrecognized (must be of type {kind.kind}): {why}")


def _walk(tree: Any, kind: Kind) -> tuple[Any, list[str]]:
    if not isinstance(tree, dict | Pairs):
        raise unrecognised(kind, "couldn't get version/kind; json parse error: not an object")
    meta = dict(tree)
    expect(kind, meta.get("apiVersion") or "", meta.get("kind") or "")
    try:
        clean, strict = conform(tree, kind.struct)
        return msgspec.convert(clean, kind.struct), strict
    except (Mismatch, msgspec.ValidationError) as error:
        raise unfit(kind, str(error)) from None


def _pairs(data: bytes, kind: Kind) -> Any:
    try:
        return json_text.load(data, Pairs)
    except ValueError as error:
        raise unrecognised(kind, f"couldn't get version/kind; json parse error: {error}") from None


def may_repeat(data: bytes) -> bool:
    """Whether a key may stand twice in an object: cheap, and never wrongly False.

    Reading into dicts drops repeated keys, so the text shrinks by a key when there is one.
    """
    again = _encode(_decode_tree(data))
    # Go's clients end a body with a new line.
    return len(again) != len(data.rstrip()) and len(_KEY.findall(again)) != len(_KEY.findall(data))


def _expect_kind(obj: Any, kind: Kind) -> None:
    if obj.kind != kind.kind or obj.apiVersion != kind.api_version:
        expect(kind, obj.apiVersion, obj.kind)
        obj.kind, obj.apiVersion = kind.kind, kind.api_version


def expect(kind: Kind, api_version: Any, name: Any) -> None:
    """The body may leave its kind out; it may not be another one."""
    if api_version and api_version != kind.api_version:
        raise BadRequest(
            f"the API version in the data ({api_version}) does not match the expected API version "
            f"({kind.api_version})"
        )
    if name and name != kind.kind:
        version = str(api_version or kind.api_version).rsplit("/", 1)[-1]
        raise BadRequest(
            f'{name} in version "{version}" cannot be handled as a {kind.kind}: '
            f"the kind in the data ({name}) does not match the expected kind ({kind.kind})"
        )
