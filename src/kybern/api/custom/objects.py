"""An object of a kind that a user defined.

In:   trees.
Out:  CustomObject: typed metadata, and everything else as it came.
By:   the codec, which reads and writes it through the hooks here; `apiserver/custom`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kybern.api.meta.v1 import ObjectMeta

Tree = dict[str, Any]
ENVELOPE = frozenset(("kind", "apiVersion", "metadata"))


class CustomObject:
    """Kind and metadata, which every object has; `content` is the rest of it, by field.

    A kind has a subclass of its own (`type_of`), so that tables by type tell kinds apart.
    """

    __slots__ = ("apiVersion", "content", "kind", "metadata")

    def __init__(
        self,
        kind: str,
        api_version: str,
        metadata: ObjectMeta,
        content: Tree,
    ) -> None:
        self.kind = kind
        self.apiVersion = api_version
        self.metadata = metadata
        self.content = content

    def __repr__(self) -> str:
        return f"{self.kind}({self.metadata.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CustomObject) and written(self) == written(other)

    __hash__ = None  # type: ignore[assignment]  # it changes


def written(obj: Any) -> Tree:
    """Return an object as msgspec can write it: the encoder's hook.

    Kind and metadata come first, as the store and lists expect.
    """
    if not isinstance(obj, CustomObject):
        raise NotImplementedError(f"{type(obj).__name__} has no JSON form")
    head = {"kind": obj.kind, "apiVersion": obj.apiVersion, "metadata": obj.metadata}
    return {**head, **obj.content}


def read(type_: type[Any], tree: Any) -> Any:
    """Return the object of a tree that we wrote ourselves: the decoder's hook.

    Raises:
        NotImplementedError: a type that is nobody's.
        msgspec.ValidationError: the metadata are none.
    """
    if not issubclass(type_, CustomObject):
        raise NotImplementedError(f"{type_.__name__} cannot be read")
    if not isinstance(tree, dict):
        raise msgspec.ValidationError("Expected `object`")
    metadata = msgspec.convert(tree.get("metadata") or {}, ObjectMeta)
    content = {name: value for name, value in tree.items() if name not in ENVELOPE}
    return type_(tree.get("kind") or "", tree.get("apiVersion") or "", metadata, content)


def type_of(name: str) -> type[CustomObject]:
    """Return a new type for the objects of one kind."""
    return type(name, (CustomObject,), {"__slots__": ()})
