"""Objects of custom kinds, out of requests and patches.

In:   a body, or the tree that a patch made; the kind they are to be.
Out:  CustomObjects, pruned and with their defaults; what strict reading minds.
By:   the codec, for kinds that are custom; handlers.patch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from kybern.api import bounds, json_text, yaml_text
from kybern.api.conform import Conformer, Mismatch, Pairs
from kybern.api.custom.objects import ENVELOPE
from kybern.api.errors import BadRequest, UnsupportedMediaType
from kybern.api.meta.v1 import ObjectMeta
from kybern.api.normalise import normalise

if TYPE_CHECKING:
    from kybern.api.custom.kinds import CustomKind
    from kybern.api.custom.objects import CustomObject

Tree = dict[str, Any]

JSON, YAML = "application/json", "application/yaml"


def decode_request(
    data: bytes, kind: CustomKind, content_type: str, validation: str
) -> tuple[CustomObject, list[str]]:
    """Return the object in a body and the warnings about it; see `codec.decode_request`.

    Raises:
        BadRequest: with the text upstream has for it.
        UnsupportedMediaType: neither JSON nor YAML.
    """
    from kybern.api import codec

    strict: list[str] = []
    if content_type in ("", JSON):
        tree = _from_json(data, kind, strict)
    elif content_type == YAML:
        tree = _from_yaml(data, kind, strict)
    else:
        raise UnsupportedMediaType.of((JSON, YAML))
    if not isinstance(tree, dict):
        raise codec.unrecognised(kind, "couldn't get version/kind; json parse error: not an object")
    if not tree.get("kind"):
        raise BadRequest(f"Object 'Kind' is missing in '{codec.encode(tree).decode()}'")
    codec.expect(kind, tree.get("apiVersion") or "", tree["kind"])
    obj, unknown = from_tree(tree, kind)
    strict += unknown
    if strict and validation == "Strict":
        raise codec.unfit(kind, "strict decoding error: " + ", ".join(strict))
    return obj, strict if validation == "Warn" else []


def from_tree(tree: Tree, kind: CustomKind) -> tuple[CustomObject, list[str]]:
    """Return the object of a tree, which is used up, and its unknown fields.

    Raises:
        BadRequest: its metadata are none.
    """
    from kybern.api import codec

    assert kind.structure is not None
    walker = Conformer("ObjectMeta")
    try:
        clean = walker.struct(tree.get("metadata") or {}, ObjectMeta, "metadata", "", "metadata")
        metadata = msgspec.convert(clean, ObjectMeta)
        normalise(metadata)
    except (Mismatch, msgspec.ValidationError, ValueError) as error:
        raise codec.unfit(kind, str(error)) from None
    content = {name: value for name, value in tree.items() if name not in ENVELOPE}
    unknown = [f'unknown field "{path}"' for path in kind.structure.prune(content)]
    kind.structure.drop_nulls(content)
    kind.structure.fill(content)
    return kind.objects(kind.kind, kind.api_version, metadata, content), walker.strict + unknown


def _from_json(data: bytes, kind: CustomKind, strict: list[str]) -> Any:
    from kybern.api import codec

    why = "couldn't get version/kind; json parse error: "
    if bounds.too_deep(data):
        raise codec.unrecognised(kind, why + bounds.TOO_DEEP)
    if b"\\u" in data:
        data = json_text.well_formed(data)
    try:
        tree = codec.decode_tree(data)
    except UnicodeDecodeError:
        data = json_text.well_formed(data)
    except msgspec.DecodeError as error:
        raise codec.unrecognised(kind, f"{why}{error}") from None
    else:
        if not codec.may_repeat(data):
            return tree
    try:
        pairs = json_text.load(data, Pairs)
    except ValueError as error:
        raise codec.unrecognised(kind, f"{why}{error}") from None
    return _plain(pairs, strict)


def _from_yaml(data: bytes, kind: CustomKind, strict: list[str]) -> Any:
    from kybern.api import codec

    try:
        tree, duplicates = yaml_text.load(data)
    except yaml_text.YamlError as error:
        raise codec.unrecognised(kind, f"error converting YAML to JSON: {error}") from None
    if duplicates:
        strict.append(yaml_text.duplicates_text(duplicates))
    return tree


def _plain(pairs: Any, strict: list[str]) -> Any:
    """Return the tree of an object whose keys may repeat; the last one counts."""
    if not isinstance(pairs, Pairs):
        return pairs
    walker, tree = Conformer(""), Tree()
    for name, value in pairs:
        if name in tree:
            walker.strict.append(f'duplicate field "{name}"')
        tree[name] = walker.plain(value, name)
    strict += walker.strict
    return tree
