import base64
import enum
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct, field

from kybern.lib.protobuf import PROTO3, Codec, Dialect, PbField, ProtobufError


class Color(enum.IntEnum):
    RED = 0
    BLUE = 2


class Inner(Struct):
    a: Annotated[int, PbField(1, "int32")] = 0
    name: Annotated[str, PbField(2)] = ""


class Everything(Struct, kw_only=True):
    i32: Annotated[int, PbField(1, "int32")] = 0
    i64: Annotated[int, PbField(2)] = 0
    u32: Annotated[int, PbField(3, "uint32")] = 0
    u64: Annotated[int, PbField(4, "uint64")] = 0
    flag: Annotated[bool, PbField(5)] = False
    text: Annotated[str, PbField(6)] = ""
    blob: Annotated[bytes, PbField(7)] = b""
    real: Annotated[float, PbField(8)] = 0.0
    color: Annotated[Color, PbField(9)] = Color.RED
    inner: Annotated[Inner | None, PbField(10)] = None
    inners: Annotated[list[Inner], PbField(11)] = field(default_factory=list)
    words: Annotated[list[str], PbField(12)] = field(default_factory=list)
    numbers: Annotated[list[int], PbField(13, "int32")] = field(default_factory=list)
    reals: Annotated[list[float], PbField(14)] = field(default_factory=list)
    labels: Annotated[dict[str, str], PbField(15)] = field(default_factory=dict)
    by_number: Annotated[dict[int, Inner], PbField(16)] = field(default_factory=dict)
    maybe: Annotated[int | None, PbField(200)] = None
    untravelled: str = "here"


class Tree(Struct):
    name: Annotated[str, PbField(1)] = ""
    children: Annotated[list["Tree"], PbField(2)] = field(default_factory=list)


class Required(Struct):
    """No defaults at all."""

    name: Annotated[str, PbField(1)]
    count: Annotated[int, PbField(2)]
    items: Annotated[list[str], PbField(3)]
    inner: Annotated[Inner | None, PbField(4)]


def encode(obj, dialect=PROTO3):
    return Codec(type(obj), dialect).encode(obj)


@pytest.mark.parametrize(
    ("obj", "wire"),
    [
        (Everything(), ""),
        (Everything(i32=150), "089601"),
        (Everything(i32=-1), "08ffffffffffffffffff01"),
        (Everything(u64=2**64 - 1), "20ffffffffffffffffff01"),
        (Everything(text="testing"), "320774657374696e67"),
        (Everything(real=1.5), "41000000000000f83f"),
        (Everything(color=Color.BLUE), "4802"),
        (Everything(inner=Inner(a=150)), "5203089601"),
        (Everything(inner=Inner()), "5200"),
        (Everything(numbers=[3, 270, 86942]), "6a06038e029ea705"),
        (Everything(words=["a", ""]), "6201616200"),
        (Everything(labels={"b": "2", "a": "1"}), "7a060a01611201317a060a0162120132"),
        (Everything(maybe=0), "c00c00"),
    ],
)
def test_known_bytes(obj, wire):
    assert encode(obj).hex() == wire
    assert Codec(Everything).decode(bytes.fromhex(wire)) == obj


def test_unpacked_and_packed_are_both_read():
    codec = Codec(Everything)
    assert codec.decode(bytes.fromhex("680168026a020304")).numbers == [1, 2, 3, 4]
    double = "71000000000000f83f"
    assert codec.decode(bytes.fromhex(double * 2)).reals == [1.5, 1.5]


def test_unknown_fields_are_skipped():
    class Newer(Struct):
        a: Annotated[int, PbField(1)] = 0
        b: Annotated[str, PbField(1000)] = ""
        c: Annotated[float, PbField(1001)] = 0.0
        d: Annotated[dict[str, str], PbField(1002)] = field(default_factory=dict)
        e: Annotated[int, PbField(1003)] = 0

    wire = encode(Newer(a=5, b="x" * 300, c=2.0, d={"a": "b"}, e=1 << 40))
    fixed32 = bytes.fromhex("fd3e01020304")
    assert Codec(Inner).decode(wire + fixed32) == Inner(a=5)


def test_map_entries_without_key_or_value():
    codec = Codec(Everything)
    assert codec.decode(bytes.fromhex("7a00")).labels == {"": ""}
    assert codec.decode(bytes.fromhex("820100")).by_number == {0: Inner()}


def test_unknown_enum_values_stay_numbers():
    assert Codec(Everything).decode(bytes.fromhex("4807")).color == 7
    assert Codec(Everything).decode(bytes.fromhex("4802")).color is Color.BLUE


def test_types_may_contain_themselves():
    tree = Tree("a", [Tree("b", [Tree("c")]), Tree("d")])
    assert Codec(Tree).decode(encode(tree)) == tree


def test_missing_defaults_are_zeros():
    assert Codec(Required).decode(b"") == Required("", 0, [], None)


@pytest.mark.parametrize(
    "wire",
    ["08", "0880", "3205616263", "52", "5205", "41000000", "07", "00", "0b", "3201ff", "fa0f05aa",
     "08" + "ff" * 11, "5202080", "7a03320161"],
)  # fmt: skip
def test_malformed(wire):
    data = bytes.fromhex(wire if len(wire) % 2 == 0 else wire[:-1])
    if wire == "7a03320161":
        assert Codec(Everything).decode(data).labels == {"": ""}  # unknown field in an entry
        return
    with pytest.raises(ProtobufError):
        Codec(Everything).decode(data)


def test_deep_nesting_is_an_error():
    data = b""
    for _ in range(5000):
        size = len(data)
        length = (
            bytes([size])
            if size < 128
            else bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14])
        )
        data = b"\x12" + length + data
    with pytest.raises(ProtobufError):
        Codec(Tree).decode(data)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes(data):
    try:
        obj = Codec(Everything).decode(data)
    except ProtobufError:
        return
    assert Codec(Everything).decode(encode(obj)) == obj or obj.real != obj.real or obj.reals


i32, u32 = st.integers(-(2**31), 2**31 - 1), st.integers(0, 2**32 - 1)
i64, u64 = st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**64 - 1)
reals = st.floats(allow_nan=False)
inners = st.builds(Inner, i32, st.text(max_size=200))
everything = st.builds(
    Everything, i32=i32, i64=i64, u32=u32, u64=u64, flag=st.booleans(), text=st.text(),
    blob=st.binary(), real=reals, color=st.sampled_from(Color), inner=st.none() | inners,
    inners=st.lists(inners, max_size=3), words=st.lists(st.text(), max_size=3),
    numbers=st.lists(i32, max_size=3), reals=st.lists(reals, max_size=3),
    labels=st.dictionaries(st.text(), st.text(), max_size=3),
    by_number=st.dictionaries(i64, inners, max_size=3), maybe=st.none() | i64,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(everything)
def test_round_trip(obj):
    assert Codec(Everything).decode(encode(obj)) == obj


# --- a dialect like Kubernetes' own


class Meta:
    """Metadata of another library: it only has to have the attributes."""

    def __init__(self, number, wire, inline=(), pointer=False):
        self.number, self.wire, self.inline, self.pointer = number, wire, inline, pointer


class Spec(Struct, kw_only=True):
    name: Annotated[str, Meta(1, "string")] = ""
    note: Annotated[str | None, Meta(2, "string")] = None
    replicas: Annotated[int | None, Meta(3, "int32", pointer=True)] = None
    data: Annotated[dict[str, str] | None, Meta(4, "bytes")] = None
    when: Annotated[str | None, Meta(5, "Time")] = None
    verbs: Annotated[list[str] | None, Meta(6, "Verbs")] = None
    extra: Annotated[dict[str, list[str]] | None, Meta(7, "Verbs")] = None
    tree: Annotated[Any, Meta(8, "JSON")] = None
    path: Annotated[str | None, Meta(1, "string", inline=(9,))] = None
    deep: Annotated[Inner | None, Meta(2, "message", inline=(9, 3))] = None
    ports: Annotated[list[int] | None, Meta(10, "int32")] = None


class Verbs(Struct):
    items: Annotated[list[str], PbField(1)] = field(default_factory=list)


verbs = Codec(Verbs)
GO = Dialect(
    scalars={
        "bytes": (base64.b64decode, lambda data: base64.b64encode(data).decode()),
        "Time": (lambda text: text.encode(), lambda data: data.decode() or None),
        "Verbs": (lambda items: verbs.encode(Verbs(items)), lambda data: verbs.decode(data).items),
        "JSON": (lambda tree: repr(tree).encode(), lambda data: data.decode()),
    },
    zero_is_absent=lambda _struct, _attr, meta: not meta.pointer,
)


class WholeSpec(Struct):
    verbs: Annotated[list[str] | None, Meta(6, "Verbs")] = None


def test_zeros_are_written_and_absence_is_not():
    assert encode(Spec(), GO).hex() == "0a00"
    assert encode(Spec(replicas=0), GO).hex() == "0a001800"
    assert encode(Spec(ports=[1, 2]), GO).hex() == "0a0050015002"


def test_zeros_of_what_is_no_pointer_are_absent():
    spec = Codec(Spec, GO).decode(bytes.fromhex("0a00120018002a00"))
    assert spec == Spec(name="", note=None, replicas=0, when=None)


def test_custom_scalars_and_inline_messages():
    spec = Spec(
        name="n",
        data={"k": "aGk="},
        when="now",
        path="/p",
        deep=Inner(5),
        tree={"a": 1},
    )
    wire = encode(spec, GO)
    assert b"hi" in wire
    assert wire.endswith(bytes.fromhex("4a0c0a022f701a06120408051200"))
    got = Codec(Spec, GO).decode(wire)
    assert (got.data, got.when, got.path, got.deep) == ({"k": "aGk="}, "now", "/p", Inner(5))
    assert got.tree == "{'a': 1}"


def test_a_list_can_be_one_value():
    whole = Dialect(scalars={"Verbs": (
        lambda items: verbs.encode(Verbs(items)), lambda data: verbs.decode(data).items
    )}, whole=("Verbs",))  # fmt: skip
    obj = WholeSpec(["get", "list"])
    assert encode(obj, whole).hex() == "320b0a036765740a046c697374"
    assert Codec(WholeSpec, whole).decode(encode(obj, whole)) == obj


def test_map_of_lists():
    class Extra(Struct):
        extra: Annotated[dict[str, list[str]] | None, Meta(7, "Verbs")] = None

    obj = Extra({"a": ["x", "y"], "b": []})
    assert Codec(Extra, GO).decode(encode(obj, GO)) == obj


def test_what_has_no_form_is_an_error():
    class Odd(Struct):
        odd: Annotated[Any, PbField(1)] = None

    with pytest.raises(TypeError, match=r"Odd\.odd"):
        Codec(Odd)
