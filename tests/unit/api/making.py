"""Objects of every type, with every field or some, for tests that should not care which."""

import base64
import functools
import random

from kybern.api.fields import Shape, fields_of
from kybern.api.pointers import is_pointer


class Maker:
    """Makes objects: all fields, or some, to a depth."""

    def __init__(self, seed, share=1.0, depth=5):
        self.random = random.Random(seed)
        self.share = share
        self.depth = depth

    def struct(self, type_, depth=0):
        values = {}
        for field in fields_of(type_).values():
            if not field.meta.number or self.random.random() > self.share:
                continue
            value = self.field(type_, field, depth)
            if value is not None:
                values[field.attr] = value
        return type_(**values)

    def field(self, owner, field, depth):
        if field.shape is Shape.SCALAR:
            if field.optional and is_pointer(owner, field.attr) and self.random.random() < 0.3:
                return {"bool": False, "string": "", "double": 0.0}.get(field.meta.wire) or (
                    0
                    if field.meta.wire in ("int32", "int64", "IntOrString")
                    else self.scalar(field)
                )
            return self.scalar(field)
        if field.shape is Shape.ANY:
            return self.any(field, depth)
        if field.shape is Shape.STRUCT:
            return self.struct(field.element, depth + 1) if depth < self.depth else None
        one = functools.partial(self.item, field, depth)
        if field.meta.wire == "ExtraValue":
            return {"a": ["b", "c"], "d": ["e"]}
        if field.meta.wire == "Verbs":
            return ["get", "list"]
        if field.shape is Shape.LIST:
            items = [item for item in (one(), one()) if item is not None]
            return items or None
        item = one()
        return None if item is None else {"key": item, "another": one()}

    def item(self, field, depth):
        if field.item is not Shape.STRUCT:
            return self.scalar(field)
        if depth >= self.depth:
            return None
        item = self.struct(field.element, depth + 1)
        for key in field.meta.list_keys:  # what an item is told apart by is always there
            if getattr(item, key) is None:
                setattr(item, key, self.scalar(fields_of(field.element)[key]))
        return item

    def any(self, field, depth):
        from kybern.api.apiextensions.v1 import JSONSchemaProps

        schema = JSONSchemaProps(type="string", description=self.text())
        return {
            "JSONSchemaPropsOrBool": self.random.choice([True, schema]),
            "JSONSchemaPropsOrArray": self.random.choice([[schema, schema], schema]),
        }.get(field.meta.wire, {"any": [1, "two", None], "thing": {"x": 1.5}})

    def scalar(self, field):
        wire = field.meta.wire
        return {
            "string": self.text,
            "bool": lambda: True,
            "int32": lambda: self.random.choice([1, -1, 127, 128, 2**31 - 1, -(2**31)]),
            "int64": lambda: self.random.choice([1, -1, 300, 2**63 - 1, -(2**63)]),
            "double": lambda: self.random.choice([1.5, -2.25, 1e100]),
            "bytes": lambda: base64.b64encode(self.random.randbytes(5)).decode(),
            "Time": lambda: self.random.choice(["2026-01-02T03:04:05Z", "1970-01-01T00:00:00Z"]),
            "MicroTime": lambda: f"2026-01-02T03:04:05.{self.random.randrange(10**6):06}Z",
            "Quantity": lambda: self.random.choice(["100m", "1Gi", "5"]),
            "IntOrString": lambda: self.random.choice([8080, "http", "25%", -1]),
            "JSON": lambda: self.random.choice([{"a": 1}, "text", 3]),
            "JSONSchemaPropsOrStringArray": lambda: ["a", "b"],
        }[wire]()

    def text(self):
        return self.random.choice(["x", "some-name", "ünïcode ✓", "long " * 60])
