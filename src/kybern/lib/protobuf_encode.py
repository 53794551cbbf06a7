"""Structs to protobuf bytes.

In:   a Struct.
Out:  its message.
By:   `protobuf`. Each type is compiled once, into one function which runs down a list of writers.
"""

from __future__ import annotations

import struct as binary
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from kybern.lib.protobuf_fields import VARINTS, FieldPlan, Many, Rules, ToBytes, plan

Write = Callable[[list[bytes], Any], None]

_SMALL = [bytes([n]) for n in range(128)]
_DOUBLE = binary.Struct("<d").pack


class Encoders(dict[type, ToBytes]):
    """The encoder of each type, compiled when it is first asked for."""

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self.rules = rules

    def __missing__(self, struct: type) -> ToBytes:
        encoder = self[struct] = self._message(plan(struct, self.rules), 0)
        return encoder

    def _message(self, fields: list[FieldPlan], depth: int) -> ToBytes:
        """Compile fields which are `depth` inline messages away from their Struct."""
        here = [field for field in fields if len(field.inline) == depth]
        writers = [self._field(field) for field in here]
        names = [field.attr for field in here]
        numbers = sorted({field.inline[depth] for field in fields if len(field.inline) > depth})
        inner = [
            (
                tag(number, 2),
                self._message(
                    [f for f in fields if f.inline[depth : depth + 1] == (number,)], depth + 1
                ),
            )
            for number in numbers
        ]
        values_of = _getter(names)

        def encode(obj: Any) -> bytes:
            out: list[bytes] = []
            for write, value in zip(writers, values_of(obj), strict=True):
                if value is not None:
                    write(out, value)
            return b"".join(out)

        if not inner:
            return encode

        def encode_with_inline(obj: Any) -> bytes:
            out = [encode(obj)]
            for prefix, encode_inner in inner:
                if data := encode_inner(obj):
                    out += (prefix, varint(len(data)), data)
            return b"".join(out)

        return encode_with_inline

    def _field(self, field: FieldPlan) -> Write:
        if field.many is Many.MAP:
            return self._map(field)
        if field.many is Many.LIST:
            if self.rules.proto3 and _packable(field, self.rules):
                return _packed(field)
            return _repeated(self._one(field))
        write = self._one(field)
        # In proto3 a zero is not written, unless the Struct can tell it from absence.
        if self.rules.proto3 and not field.optional and field.wire != "message":
            return _unless_zero(write)
        return write

    def _one(self, field: FieldPlan) -> Write:
        custom = self.rules.scalars.get(field.wire)
        if custom is not None:
            return _length_delimited(tag(field.number, 2), custom[0])
        if field.wire == "message":
            encoders, kind = self, field.type

            def encode(value: Any) -> bytes:
                return encoders[kind](value)  # late: types may contain themselves

            return _length_delimited(tag(field.number, 2), encode)
        return _scalar(field.number, field.wire)

    def _map(self, field: FieldPlan) -> Write:
        prefix = tag(field.number, 2)
        write_key = _scalar(1, field.key_wire)
        write_value = self._one(field._replace(number=2))

        def write(out: list[bytes], value: Any) -> None:
            for key in sorted(value):
                entry: list[bytes] = []
                write_key(entry, key)
                write_value(entry, value[key])
                data = b"".join(entry)
                out += (prefix, varint(len(data)), data)

        return write


def varint(number: int) -> bytes:
    """Encode an integer; a negative one in two's complement of 64 bits."""
    if 0 <= number < 128:
        return _SMALL[number]
    if number < 0:
        number += 1 << 64
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def tag(number: int, wire_type: int) -> bytes:
    """Encode what stands before a value."""
    return varint(number << 3 | wire_type)


def _getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    if not names:
        return lambda _obj: ()
    if len(names) == 1:
        only = attrgetter(names[0])
        return lambda obj: (only(obj),)
    return attrgetter(*names)


def _packable(field: FieldPlan, rules: Rules) -> bool:
    return (field.wire in VARINTS or field.wire == "double") and field.wire not in rules.scalars


def _scalar(number: int, wire: str) -> Write:
    if wire in VARINTS:
        return _varint_writer(tag(number, 0))
    if wire == "double":
        prefix = tag(number, 1)

        def write_double(out: list[bytes], value: float) -> None:
            out += (prefix, _DOUBLE(value))

        return write_double
    if wire == "string":
        return _length_delimited(tag(number, 2), str.encode)
    return _length_delimited(tag(number, 2), bytes)


def _varint_writer(prefix: bytes) -> Write:
    def write(out: list[bytes], value: int) -> None:
        out += (prefix, varint(value))

    return write


def _length_delimited(prefix: bytes, encode: ToBytes) -> Write:
    def write(out: list[bytes], value: Any) -> None:
        data = encode(value)
        size = len(data)
        out += (prefix, _SMALL[size] if size < 128 else varint(size), data)

    return write


def _repeated(write_one: Write) -> Write:
    def write(out: list[bytes], value: Any) -> None:
        for item in value:
            write_one(out, item)

    return write


def _packed(field: FieldPlan) -> Write:
    prefix = tag(field.number, 2)
    encode: ToBytes = _DOUBLE if field.wire == "double" else varint

    def write(out: list[bytes], value: Any) -> None:
        if value:
            data = b"".join([encode(item) for item in value])
            out += (prefix, varint(len(data)), data)

    return write


def _unless_zero(write_value: Write) -> Write:
    def write(out: list[bytes], value: Any) -> None:
        if value:
            write_value(out, value)

    return write
