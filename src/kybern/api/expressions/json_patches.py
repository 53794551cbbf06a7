"""What mutations make: `JSONPatch{op: "add", ...}`, `Object{spec: Object.spec{...}}`.

In:   names of types.
Out:  `FUNCTIONS`, a table of overloads; `mutation_types`, from names to types.
By:   libraries, admission. Facts: upstream's `apiserver/pkg/cel/mutation`.
"""

from __future__ import annotations

from kybern.lib.cel.declarations import Overload
from kybern.lib.cel.types import DYN, STRING, ObjectType, object_type
from kybern.lib.cel.values import Message

JSON_PATCH = object_type("JSONPatch", {"op": STRING, "from": STRING, "path": STRING, "value": DYN})
ROOT = "Object"


def mutation_types(name: str) -> ObjectType | None:
    """Return the type of a struct in a mutation, or None; fields of objects can be anything."""
    if name == "JSONPatch":
        return JSON_PATCH
    if name == ROOT or name.startswith(ROOT + "."):
        return ObjectType(name, lambda _: DYN)
    return None


def misnamed(value: Message, path: str = ROOT) -> str:
    """Return what is wrong with the names of the types in an object, or ""."""
    if value.type_name != path:
        return (
            f'unexpected type name "{value.type_name}", expected "{path}", which matches field '
            "name path from root Object type"
        )
    for name, held in value.items():
        for each in held if isinstance(held, list) else (held,):
            if isinstance(each, Message) and (told := misnamed(each, f"{path}.{name}")):
                return told
    return ""


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


FUNCTIONS: dict[str, tuple[Overload, ...]] = {
    "jsonpatch.escapeKey": (Overload("string -> string", _escape),),
}
