"""Protobuf bytes to Structs.

In:   a message.
Out:  a Struct; unknown fields are skipped.
By:   `protobuf`. Each type is compiled once, into a table from tag to reader. A reader takes the
      bytes, the position and the values so far, and returns the next position; a position beyond
      the end means that the message was cut off.
"""

from __future__ import annotations

import struct as binary
from collections.abc import Callable
from typing import Any

from kybern.lib.protobuf_fields import (
    VARINTS,
    FieldPlan,
    FromBytes,
    Many,
    ProtobufError,
    Rules,
    is_struct,
    missing,
    plan,
    zero_of,
)

Values = dict[str, Any]
Read = Callable[[bytes, int, Values], int]
Put = Callable[[Values, Any], None]
Fill = Callable[[bytes, Values], None]

_DOUBLE = binary.Struct("<d").unpack_from
_64 = 1 << 64
_63 = 1 << 63


class Decoders(dict[type, FromBytes]):
    """The decoder of each type, compiled when it is first asked for."""

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self.rules = rules

    def __missing__(self, struct: type) -> FromBytes:
        fill = _filler(self._readers(plan(struct, self.rules), 0))
        zeros = missing(struct)

        def decode(data: bytes) -> Any:
            values: Values = {}
            fill(data, values)
            return struct(**values)

        def decode_with_zeros(data: bytes) -> Any:
            values: Values = {name: zero and zero() for name, zero in zeros.items()}
            fill(data, values)
            return struct(**values)

        decoder = self[struct] = decode_with_zeros if zeros else decode
        return decoder

    def _readers(self, fields: list[FieldPlan], depth: int) -> dict[int, Read]:
        """Compile fields which are `depth` inline messages away from their Struct."""
        readers: dict[int, Read] = {}
        for field in fields:
            if len(field.inline) == depth:
                readers.update(self._field(field))
        for number in {field.inline[depth] for field in fields if len(field.inline) > depth}:
            inner = [f for f in fields if f.inline[depth : depth + 1] == (number,)]
            readers[number << 3 | 2] = _inline(_filler(self._readers(inner, depth + 1)))
        return readers

    def _field(self, field: FieldPlan) -> dict[int, Read]:
        if field.many is Many.MAP:
            return {field.number << 3 | 2: self._map(field)}
        put = _appender(field.attr) if field.many is Many.LIST else _setter(field)
        custom = self.rules.scalars.get(field.wire)
        number = field.number << 3
        if custom is not None:
            return {number | 2: _delimited(put, custom[1])}
        if field.wire == "message":
            return {number | 2: _delimited(put, self._late(field.type))}
        if field.wire == "string":
            return {number | 2: _string(field.attr) if _simple(field) else _delimited(put, _text)}
        if field.wire == "bytes":
            return {number | 2: _delimited(put, bytes)}
        if field.wire == "double":
            return {number | 1: _double(put), number | 2: _packed_doubles(put)}
        convert = _conversion(field)
        return {number: _varint(put, convert), number | 2: _packed_varints(put, convert)}

    def _late(self, struct: type) -> FromBytes:
        return lambda data: self[struct](data)  # late: types may contain themselves

    def _map(self, field: FieldPlan) -> Read:
        key = FieldPlan("key", 1, (), Many.ONE, field.key_wire, None, "", False, False)
        value = field._replace(attr="value", number=2, many=Many.ONE, zero_is_absent=False)
        fill = _filler({**self._field(key), **self._field(value)})
        zero_key = zero_of({"string": str, "bool": bool}.get(field.key_wire, int))
        zero = self._zero(field)

        def put(values: Values, data: bytes) -> None:
            entry: Values = {}
            fill(data, entry)
            entries = values.get(attr)
            if entries is None:
                entries = values[attr] = {}
            name = entry["key"] if "key" in entry else zero_key()
            entries[name] = entry["value"] if "value" in entry else zero()

        attr = field.attr
        return _delimited(put, bytes)

    def _zero(self, field: FieldPlan) -> Callable[[], Any]:
        if field.wire in self.rules.scalars:
            decode = self.rules.scalars[field.wire][1]
            return lambda: decode(b"")
        if is_struct(field.type):
            return lambda: self[field.type](b"")
        make: Callable[[], Any] = zero_of(field.type)
        return make


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """Return an unsigned integer of 64 bits and the position behind it."""
    result = shift = 0
    while True:
        byte = data[position]
        position += 1
        result |= (byte & 127) << shift
        if byte < 128:
            return result & (_64 - 1), position
        shift += 7
        if shift > 63:
            raise ProtobufError("an integer is longer than ten bytes")


def _skip(data: bytes, position: int, tag: int) -> int:
    wire_type = tag & 7
    if wire_type == 0:
        return read_varint(data, position)[1]
    if wire_type == 2:
        size, position = read_varint(data, position)
        return position + size
    if wire_type == 1:
        return position + 8
    if wire_type == 5:
        return position + 4
    raise ProtobufError(f"unsupported wire type {wire_type}")


def _filler(readers: dict[int, Read]) -> Fill:
    find = readers.get

    def fill(data: bytes, values: Values) -> None:
        position, end = 0, len(data)
        while position < end:
            tag = data[position]
            position += 1
            if tag > 127:
                tag, position = read_varint(data, position - 1)
            read = find(tag)
            if read is not None:
                position = read(data, position, values)
            else:
                if tag < 8:
                    raise ProtobufError("a field has the number 0")
                position = _skip(data, position, tag)
        if position != end:
            raise ProtobufError("the message is cut off")

    return fill


def _setter(field: FieldPlan) -> Put:
    attr = field.attr

    def put(values: Values, value: Any) -> None:
        values[attr] = value

    def put_unless_zero(values: Values, value: Any) -> None:
        if value:
            values[attr] = value
        else:
            values.pop(attr, None)

    def put_unless_none(values: Values, value: Any) -> None:
        if value is not None:
            values[attr] = value

    if field.wire == "message":
        return put
    return put_unless_zero if field.zero_is_absent else put_unless_none


def _appender(attr: str) -> Put:
    def put(values: Values, value: Any) -> None:
        items = values.get(attr)
        if items is None:
            values[attr] = [value]
        else:
            items.append(value)

    return put


def _simple(field: FieldPlan) -> bool:
    return field.many is Many.ONE and not field.zero_is_absent


def _string(attr: str) -> Read:
    """Read what is by far the most common: one string."""

    def read(data: bytes, position: int, values: Values) -> int:
        size = data[position]
        position += 1
        if size > 127:
            size, position = read_varint(data, position - 1)
        end = position + size
        values[attr] = data[position:end].decode()
        return end

    return read


def _text(data: bytes) -> str:
    return data.decode()


def _delimited(put: Put, decode: FromBytes) -> Read:
    def read(data: bytes, position: int, values: Values) -> int:
        size = data[position]
        position += 1
        if size > 127:
            size, position = read_varint(data, position - 1)
        end = position + size
        if end > len(data):
            raise ProtobufError("the message is cut off")
        put(values, decode(data[position:end]))
        return end

    return read


def _inline(fill: Fill) -> Read:
    return _delimited(lambda values, data: fill(data, values), bytes)


def _varint(put: Put, convert: Callable[[int], Any]) -> Read:
    def read(data: bytes, position: int, values: Values) -> int:
        number = data[position]
        position += 1
        if number > 127:
            number, position = read_varint(data, position - 1)
        put(values, convert(number))
        return position

    return read


def _packed_varints(put: Put, convert: Callable[[int], Any]) -> Read:
    def unpack(values: Values, data: bytes) -> None:
        position = 0
        while position < len(data):
            number, position = read_varint(data, position)
            put(values, convert(number))

    return _delimited(unpack, bytes)


def _double(put: Put) -> Read:
    def read(data: bytes, position: int, values: Values) -> int:
        put(values, _DOUBLE(data, position)[0])
        return position + 8

    return read


def _packed_doubles(put: Put) -> Read:
    def unpack(values: Values, data: bytes) -> None:
        for position in range(0, len(data), 8):
            put(values, _DOUBLE(data, position)[0])

    return _delimited(unpack, bytes)


def _conversion(field: FieldPlan) -> Callable[[int], Any]:
    wire = field.wire
    if wire == "bool":
        return bool
    if wire == "enum" and field.type is not int:
        return _enum(field.type)
    if wire in ("int32", "enum"):
        return lambda number: ((number & 0xFFFF_FFFF) ^ 0x8000_0000) - 0x8000_0000
    if wire == "uint32":
        return lambda number: number & 0xFFFF_FFFF
    assert wire in VARINTS
    return (lambda number: number - _64 if number >= _63 else number) if wire == "int64" else int


def _enum(kind: Any) -> Callable[[int], Any]:
    known = {int(member): member for member in kind}
    return lambda number: known.get(number, number)
