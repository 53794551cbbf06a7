"""How each value of an object merges: what is one piece, what has parts, what tells items apart.

In:   a Struct type (`schema_of`), an OpenAPI schema of a custom resource (`from_openapi`), or
      nothing at all (`DEDUCED`).
Out:  a Node for the object, with Nodes for its parts, made once per type and on first use.
By:   strategic merge, server-side apply, managed fields.

Whoever walks an object takes a Node along. A leaf Node is owned and replaced as a whole: scalars
and everything `atomic`. The others have parts: a STRUCT by field, a MAP by key, a LIST by the
values of its items (a set) or by some of their fields (`keys`). ANY is untyped: maps in it have
parts and lists are atomic.
"""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kybern.api.fields import FieldInfo, Shape, fields_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import msgspec

UNTYPED: Final = "untyped"

# The schemas we generate from leave defaults out; these are the ones that take part in a key.
KEY_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "ContainerPort": {"protocol": "TCP"},
    "ServicePort": {"protocol": "TCP"},
    "LocalObjectReference": {"name": ""},
}


class Plan(NamedTuple):
    """One call that reads all fields of a Struct; attribute, step and Node of each."""

    read: Callable[[Any], tuple[Any, ...]]
    fields: tuple[tuple[str, str, Node], ...]


def _make_plan(node: Node, struct: type[msgspec.Struct] | None) -> Plan:
    if struct is None:
        raise TypeError(f"{node.name or node.shape} is no Struct")
    infos = fields_of(struct)
    names = sorted(name for name in infos if name not in node.skip)
    attrs = [infos[name].attr for name in names]
    parts = tuple((infos[name].attr, "f:" + name, node.fields[name]) for name in names)
    if len(attrs) == 1:  # attrgetter returns a tuple only for several
        only = operator.attrgetter(attrs[0])
        return Plan(lambda value: (only(value),), parts)
    return Plan(operator.attrgetter(*attrs) if attrs else lambda _: (), parts)


class Node:
    """The schema of one value.

    Attributes:
        shape: scalar, struct, list, map or any.
        name: of the Struct, for messages; "" elsewhere.
        atomic: owned and replaced as a whole although it has parts.
        leaf: a scalar or atomic.
        scalar: `string`, `numeric`, `boolean` or `untyped`.
        element: of the items of a list or the values of a map.
        keys: fields that tell the items of a list apart; () for a set.
        key_defaults: what a key field is when an item leaves it out.
        open: a struct that takes fields nobody declared (they are ANY).
        solid: a field that upstream's empty object has, so that nobody comes to own it by
            creating the object.
        merge_key: key of a list under strategic merge, which has its own.
        merges: a list that strategic merge merges.
        replaces: a map or struct that strategic merge replaces.
        skip: fields that are nobody's.
    """

    __slots__ = (
        "_fields", "_make", "_plan", "atomic", "element", "key_defaults", "keys", "leaf",
        "merge_key", "merges", "name", "open", "replaces", "scalar", "shape", "skip", "solid",
        "struct",
    )  # fmt: skip

    def __init__(
        self,
        shape: Shape,
        *,
        name: str = "",
        atomic: bool = False,
        scalar: str = UNTYPED,
        element: Node | None = None,
        keys: tuple[str, ...] = (),
        key_defaults: Mapping[str, Any] | None = None,
        fields: Callable[[], dict[str, Node]] | None = None,
        struct: type[msgspec.Struct] | None = None,
        skip: frozenset[str] = frozenset(),
        open_: bool = False,
        solid: bool = False,
        merge_key: str = "",
        strategy: str = "",
    ) -> None:
        self.shape = shape
        self.name = name
        self.atomic = atomic
        self.leaf = atomic or shape is Shape.SCALAR
        self.scalar = scalar
        self.element = element
        self.keys = keys
        self.key_defaults = key_defaults or {}
        self.open = open_
        self.solid = solid
        self.merge_key = merge_key
        strategies = strategy.split(",")
        self.merges = "merge" in strategies
        self.replaces = "replace" in strategies
        self.skip = skip
        self._make = fields
        self._fields: dict[str, Node] | None = None
        self.struct = struct
        self._plan: Plan | None = None

    @property
    def fields(self) -> dict[str, Node]:
        """The fields of a struct by wire name; made on first use, because schemas recurse."""
        if self._fields is None:
            self._fields = self._make() if self._make else {}
        return self._fields

    @property
    def plan(self) -> Plan:
        """How to take a Struct of this Node apart, in the order of the wire names."""
        if self._plan is None:
            self._plan = _make_plan(self, self.struct)
        return self._plan

    def child(self, name: str) -> Node | None:
        """Return the Node of a field of a struct or a key of a map; None when there is none."""
        if self.shape is Shape.STRUCT:
            found = self.fields.get(name)
            return DEDUCED if found is None and self.open else found
        return DEDUCED if self.shape is Shape.ANY else self.element


DEDUCED: Final = Node(Shape.ANY)
SCALAR: Final = Node(Shape.SCALAR)


def schema_of(schema: type[msgspec.Struct] | Node) -> Node:
    """Return the Node of an object's Struct type; a Node is returned as it is."""
    return schema if isinstance(schema, Node) else _struct(schema, atomic=False, solid=True)


@functools.cache
def _struct(struct: type[msgspec.Struct], *, atomic: bool, solid: bool) -> Node:
    return Node(
        Shape.STRUCT,
        name=struct.__name__,
        atomic=atomic,
        solid=solid,
        struct=struct,
        fields=lambda: {name: _field(info) for name, info in fields_of(struct).items()},
    )


# Fields that no manager owns: who an object is, and what the server writes.
NOT_OWNED: Final = frozenset({
    "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation",
    "managedFields", "resourceVersion",
})  # fmt: skip


@functools.cache
def owned(node: Node) -> Node:
    """Return the Node of an object without the fields that are nobody's."""
    metadata = node.child("metadata")
    if node.shape is Shape.ANY or metadata is None:
        metadata = object_meta()
    bare = _skipping(metadata, NOT_OWNED, dict(metadata.fields), solid=True)
    return _skipping(
        node, frozenset({"apiVersion", "kind"}), {**node.fields, "metadata": bare}, solid=True
    )


def _skipping(node: Node, skip: frozenset[str], fields: dict[str, Node], *, solid: bool) -> Node:
    return Node(
        Shape.STRUCT,
        name=node.name,
        open_=node.open or node.shape is Shape.ANY,
        struct=node.struct,
        skip=skip,
        fields=lambda: fields,
        solid=solid,
    )


# Structs that Go holds by value although the field may be left out.
_BY_VALUE: Final = frozenset({
    "DaemonEndpoint", "DaemonSetUpdateStrategy", "DeploymentStrategy", "DeviceClaim",
    "EventSource", "IngressLoadBalancerStatus", "LoadBalancerStatus", "NodeDaemonEndpoints",
    "NodeSystemInfo", "PodTemplateSpec", "StatefulSetUpdateStrategy", "UserInfo",
    "VolumeResourceRequirements",
})  # fmt: skip


def _field(info: FieldInfo) -> Node:
    meta, solid = info.meta, not info.optional
    if info.shape is Shape.STRUCT and info.element is not None:
        solid = solid or info.element.__name__ in _BY_VALUE
        node = _struct(info.element, atomic=meta.map_type == "atomic", solid=solid)
        if not meta.strategy:
            return node
        return Node(
            Shape.STRUCT, name=node.name, atomic=node.atomic, solid=solid, struct=info.element,
            fields=lambda: node.fields, strategy=meta.strategy,
        )  # fmt: skip
    if info.shape is Shape.SCALAR:
        return Node(Shape.SCALAR, scalar=_scalar(info), solid=solid)
    if info.shape is Shape.ANY:
        return DEDUCED
    element = _item(info)
    if info.shape is Shape.MAP:
        return Node(
            Shape.MAP, atomic=meta.map_type == "atomic", element=element, solid=solid,
            strategy=meta.strategy,
        )  # fmt: skip
    return Node(
        Shape.LIST,
        atomic=meta.list_type not in ("set", "map"),
        element=element,
        keys=meta.list_keys,
        key_defaults=KEY_DEFAULTS.get(element.name),
        solid=solid,
        merge_key=meta.merge_key,
        strategy=meta.strategy,
    )


def _item(info: FieldInfo) -> Node:
    if info.element is not None:
        atomic = info.shape is Shape.LIST and info.meta.map_type == "atomic"
        return _struct(info.element, atomic=atomic, solid=False)
    if info.item is Shape.LIST:  # `extra`: lists in a map
        return Node(Shape.LIST, atomic=True, element=SCALAR)
    return DEDUCED if info.item is Shape.ANY else Node(Shape.SCALAR, scalar=_scalar(info))


_WIRE: Final = {
    "string": "string", "bytes": "string", "bool": "boolean",
    "int32": "numeric", "int64": "numeric", "double": "numeric",
}  # fmt: skip


def _scalar(info: FieldInfo) -> str:
    return _WIRE.get(info.meta.wire, UNTYPED)


def from_openapi(schema: Mapping[str, Any], *, root: Node | None = None) -> Node:
    """Return the Node of a structural schema, as a CustomResourceDefinition carries it.

    Args:
        schema: the OpenAPI v3 schema of one value.
        root: for the schema of a whole object: the Node of its `metadata`.
    """
    kind = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        return SCALAR
    if kind == "array":
        return _openapi_list(schema)
    if kind == "object" or "properties" in schema:
        return _openapi_object(schema, root)
    scalars = {"string": "string", "integer": "numeric", "number": "numeric", "boolean": "boolean"}
    return Node(Shape.SCALAR, scalar=scalars[kind]) if kind in scalars else DEDUCED


def _openapi_list(schema: Mapping[str, Any]) -> Node:
    items = schema.get("items") or {}
    relation = schema.get("x-kubernetes-list-type", "atomic")
    keys = tuple(schema.get("x-kubernetes-list-map-keys") or ()) if relation == "map" else ()
    properties = items.get("properties") or {}
    return Node(
        Shape.LIST,
        atomic=relation not in ("set", "map"),
        element=from_openapi(items),
        keys=keys,
        key_defaults={
            k: properties[k]["default"] for k in keys if "default" in properties.get(k, {})
        },
    )


def _openapi_object(schema: Mapping[str, Any], metadata: Node | None) -> Node:
    properties = schema.get("properties")
    atomic = schema.get("x-kubernetes-map-type") == "atomic"
    keeps = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    embedded = bool(schema.get("x-kubernetes-embedded-resource"))
    if properties is None and not embedded and metadata is None:
        values = schema.get("additionalProperties")
        if isinstance(values, dict):
            return Node(Shape.MAP, atomic=atomic, element=from_openapi(values))
        return Node(Shape.ANY, atomic=atomic)
    return Node(
        Shape.STRUCT,
        atomic=atomic,
        open_=keeps,
        fields=lambda: _openapi_fields(properties or {}, metadata, embedded=embedded),
    )


def _openapi_fields(
    properties: Mapping[str, Any], metadata: Node | None, *, embedded: bool
) -> dict[str, Node]:
    fields = {name: from_openapi(each) for name, each in properties.items()}
    if embedded or metadata is not None:
        string = Node(Shape.SCALAR, scalar="string")
        fields |= {"apiVersion": string, "kind": string, "metadata": metadata or object_meta()}
    return fields


@functools.cache
def object_meta() -> Node:
    """Return the Node of `metadata`."""
    from kybern.api.meta.v1 import ObjectMeta

    return _struct(ObjectMeta, atomic=False, solid=True)
