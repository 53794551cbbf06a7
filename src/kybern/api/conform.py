"""Make an untyped tree fit a Struct, or say in upstream's words why it does not.

In:   a tree (from JSON with duplicates kept as Pairs, or plain dicts) and a Struct type.
Out:  a tree that msgspec converts without complaint, and the strict problems met on the way:
      unknown and duplicate fields, in the order of the text.
By:   the codec, when its fast path refuses a body; patches, which work on trees.

What Go accepts is accepted: null is the zero value, a Quantity may be a number. What Go refuses
is refused with its message (sigs.k8s.io/json, apimachinery `json.go`).
"""

from __future__ import annotations

from typing import Any

from kybern.api.fields import FieldInfo, Shape, fields_of


class Pairs(list[tuple[str, Any]]):
    """A JSON object with its keys in the order of the text, duplicates included."""


class Mismatch(Exception):
    """A value has the wrong type; the text is Go's."""


class Conformer:
    """Walks one tree. `strict` collects unknown and duplicate fields."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.strict: list[str] = []

    def struct(self, value: Any, struct: type, path: str, owner: str, go_path: str) -> Any:
        """Return the tree of a Struct."""
        if not isinstance(value, dict | Pairs):
            raise self._mismatch(value, _go_struct(struct), owner, go_path)
        fields = fields_of(struct)
        tree: dict[str, Any] = {}
        seen: set[str] = set()
        for name, item in value.items() if isinstance(value, dict) else value:
            where = f"{path}.{name}" if path else name
            info = fields.get(name)
            if name in seen:
                if info is not None:
                    self.strict.append(f'duplicate field "{where}"')
            elif info is None:
                self.strict.append(f'unknown field "{where}"')
            seen.add(name)
            if info is None:
                continue
            if item is None:
                tree.pop(name, None)  # null is the zero value
                continue
            tree[name] = self._field(item, info, where, struct.__name__, _join(go_path, name))
        return tree

    def _field(self, value: Any, info: FieldInfo, path: str, owner: str, go_path: str) -> Any:
        if info.shape is Shape.LIST:
            if not isinstance(value, list) or isinstance(value, Pairs):
                raise self._mismatch(value, "[]" + _go_item(info), owner, go_path)
            return [
                self._item(item, info, f"{path}[{i}]", owner, go_path)
                for i, item in enumerate(value)
            ]
        if info.shape is Shape.MAP:
            if not isinstance(value, dict | Pairs):
                raise self._mismatch(value, "map[string]" + _go_item(info), owner, go_path)
            return self._map(value, info, path, owner, go_path)
        if info.shape is Shape.STRUCT and info.element is not None:
            return self.struct(value, info.element, path, owner, go_path)
        if info.shape is Shape.ANY:
            return self.plain(value, path)
        return self._scalar(value, info, owner, go_path)

    def _map(self, value: Any, info: FieldInfo, path: str, owner: str, go_path: str) -> Any:
        tree: dict[str, Any] = {}
        for name, item in value.items() if isinstance(value, dict) else value:
            where = f"{path}.{name}"
            if name in tree:
                self.strict.append(f'duplicate field "{where}"')
            tree[name] = self._item(item, info, where, owner, go_path)
        return tree

    def _item(self, value: Any, info: FieldInfo, path: str, owner: str, go_path: str) -> Any:
        if info.item is Shape.STRUCT and info.element is not None:
            return self.struct({} if value is None else value, info.element, path, owner, go_path)
        if info.item is Shape.SCALAR:
            return self._scalar("" if value is None else value, info, owner, go_path)
        if info.item is Shape.LIST:  # map[string][]string
            if not isinstance(value, list):
                raise self._mismatch(value, "[]string", owner, go_path)
            return value
        return self.plain(value, path)

    def plain(self, value: Any, path: str) -> Any:
        """Return a tree without a schema: duplicates are still told."""
        if isinstance(value, Pairs):
            tree: dict[str, Any] = {}
            for name, item in value:
                if name in tree:
                    self.strict.append(f'duplicate field "{path}.{name}"')
                tree[name] = self.plain(item, f"{path}.{name}")
            return tree
        if isinstance(value, list):
            return [self.plain(item, f"{path}[{i}]") for i, item in enumerate(value)]
        if isinstance(value, dict):
            return {name: self.plain(item, f"{path}.{name}") for name, item in value.items()}
        return value

    def _scalar(self, value: Any, info: FieldInfo, owner: str, go_path: str) -> Any:
        wire = info.meta.wire
        if wire == "Quantity" and isinstance(value, int | float) and not isinstance(value, bool):
            return repr(value)
        wanted = _PYTHON.get(wire, (str,))
        if isinstance(value, bool) and bool not in wanted:
            raise self._mismatch(value, _GO.get(wire, "string"), owner, go_path)
        if isinstance(value, float) and int in wanted and value.is_integer():
            return int(value)
        if not isinstance(value, wanted):
            raise self._mismatch(value, _GO.get(wire, "string"), owner, go_path)
        if wire == "int32" and isinstance(value, int) and not -(2**31) <= value < 2**31:
            raise self._mismatch(value, "int32", owner, go_path)
        return value

    def _mismatch(self, value: Any, wanted: str, owner: str, go_path: str) -> Mismatch:
        into = f"Go struct field {owner}.{go_path}" if owner else "Go value"
        return Mismatch(f"json: cannot unmarshal {_json_type(value)} into {into} of type {wanted}")


def conform(tree: Any, struct: type) -> tuple[dict[str, Any], list[str]]:
    """Return the tree cut to the Struct and the strict problems; raise Mismatch."""
    walker = Conformer(struct.__name__)
    return walker.struct(tree, struct, "", "", ""), walker.strict


_PYTHON: dict[str, tuple[type, ...]] = {
    "int32": (int,), "int64": (int,), "bool": (bool,), "double": (int, float),
    "IntOrString": (int, str),
}  # fmt: skip
_GO = {
    "int32": "int32", "int64": "int64", "bool": "bool", "double": "float64", "bytes": "[]uint8",
    "Quantity": "resource.Quantity", "Time": "v1.Time", "MicroTime": "v1.MicroTime",
    "IntOrString": "intstr.IntOrString",
}  # fmt: skip


def _go_item(info: FieldInfo) -> str:
    return _go_struct(info.element) if info.element else _GO.get(info.meta.wire, "string")


def _go_struct(struct: type) -> str:
    return f"{struct.__module__.rsplit('.', 1)[1]}.{struct.__name__}"


def _json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number" if isinstance(value, int) and abs(value) < 2**31 else f"number {value}"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, dict | Pairs) else "array"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
