"""Every kind as protobuf, read back by ourselves and by a reader that knows only the numbers.

The numbers come from `tools/protobuf-fields.json`, which was read off v1.36's .proto files.
"""

import base64
import importlib
import json
import pathlib
import random
import struct as binary

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.api.making import Maker

from kybern.api import codec, protobuf
from kybern.api.apps.v1 import Deployment
from kybern.api.core.v1 import Node, Pod, Secret, Service
from kybern.api.errors import BadRequest
from kybern.api.fields import Shape, fields_of
from kybern.api.meta.v1 import DeleteOptions, Status
from kybern.api.pointers import POINTERS
from kybern.api.scheme import SCHEME
from kybern.lib.protobuf import ProtobufError

ROOT = pathlib.Path(__file__).parents[3]
MESSAGES = json.loads((ROOT / "tools/protobuf-fields.json").read_text())["messages"]
KINDS = [kind for kind in SCHEME.kinds if kind.in_protobuf]
STRUCTS = [
    each
    for path in sorted((ROOT / "src/kybern/api").glob("*/v[0-9]*.py"))
    for module in [importlib.import_module(f"kybern.api.{path.parent.name}.{path.stem}")]
    for each in vars(module).values()
    if isinstance(each, type) and issubclass(each, msgspec.Struct)
    and each.__module__ == module.__name__ and path.parent.name != "snapshot"
]  # fmt: skip


def message_of(struct):
    """The name of a Struct's message."""
    group, version = struct.__module__.split(".")[-2:]
    package = {
        "meta": f"k8s.io.apimachinery.pkg.apis.meta.{version}",
        "apiextensions": f"k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.{version}",
        "apiregistration": f"k8s.io.kube_aggregator.pkg.apis.apiregistration.{version}",
    }.get(group, f"k8s.io.api.{group}.{version}")
    return f"{package}.{struct.__name__}"


SPECIAL = {"Time", "MicroTime", "Quantity", "IntOrString", "RawExtension", "JSON", "FieldsV1",
           "ExtraValue", "Verbs", "JSONSchemaPropsOrBool", "JSONSchemaPropsOrArray",
           "JSONSchemaPropsOrStringArray"}  # fmt: skip


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda s: f"{s.__module__[11:]}.{s.__name__}")
def test_numbers_and_types_are_upstreams(struct):
    name = message_of(struct)
    if name not in MESSAGES:
        assert not any(f.meta.number for f in fields_of(struct).values())
        return
    seen = set()
    for field in fields_of(struct).values():
        if not field.meta.number:
            assert field.name in ("kind", "apiVersion"), field.name
            continue
        message = MESSAGES[name]
        for number in field.meta.inline:
            inner = next(k for k, (n, _) in message.items() if n == number)
            seen.add((name, inner))
            message = MESSAGES[message[inner][1]]
        proto, kind = next((k, t) for k, (n, t) in message.items() if n == field.meta.number)
        assert proto.lower() == field.name.replace("-", "").replace("$", "").lower()
        seen.add((name, proto))
        check_type(field, kind)
    assert {p for _, p in seen} >= set(MESSAGES[name]), "a field of the message is missing"


def check_type(field, kind):
    if kind.startswith("map<string,"):
        assert field.shape is Shape.MAP or field.meta.wire == "JSONSchemaPropsOrStringArray"
        kind = kind[len("map<string,") : -1]
    elif kind.startswith("repeated "):
        assert field.shape is Shape.LIST
        kind = kind.removeprefix("repeated ")
    last = kind.rsplit(".", 1)[-1]
    expected = kind if "." not in kind else last if last in SPECIAL else "message"
    assert field.meta.wire == expected, field.name


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda s: f"{s.__module__[11:]}.{s.__name__}")
def test_every_type_comes_back(struct):
    message = protobuf._message(struct)
    for seed in range(3):
        obj = Maker(seed, share=[1.0, 0.6, 0.2][seed], depth=3).struct(struct)
        assert message.decode(message.encode(obj)) == obj
    assert message.decode(message.encode(struct())) == struct()


@given(st.sampled_from(STRUCTS), st.integers(), st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_any_object_comes_back(struct, seed, share):
    message = protobuf._message(struct)
    obj = Maker(seed, share, depth=3).struct(struct)
    assert message.decode(message.encode(obj)) == obj


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: f"{k.api_version}/{k.kind}")
def test_every_kind_is_read_by_who_knows_only_the_numbers(kind):
    for seed in range(2):
        obj = Maker(seed, share=[1.0, 0.5][seed], depth=4).struct(kind.struct)
        data = protobuf.encode(obj)
        assert data[:4] == b"k8s\0"
        envelope = wire(data[4:])
        meta = wire(envelope[1][0])
        assert meta[1] == [kind.api_version.encode()]
        assert meta[2] == [kind.kind.encode()]
        compare(obj, message_of(kind.struct), envelope[2][0])
        assert protobuf.decode_request(data, kind) == obj


def wire(data):
    """Split a message into its raw values by number."""
    out, at = {}, 0
    while at < len(data):
        tag, at = number(data, at)
        if tag & 7 == 0:
            value, at = number(data, at)
        elif tag & 7 == 1:
            value, at = binary.unpack_from("<d", data, at)[0], at + 8
        else:
            assert tag & 7 == 2
            size, at = number(data, at)
            value, at = data[at : at + size], at + size
        out.setdefault(tag >> 3, []).append(value)
    return out


def number(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def compare(obj, name, data):
    """Check a message against an object, by what the .proto files say."""
    if name not in MESSAGES:
        assert data == b""
        return
    for field in fields_of(type(obj)).values():
        if not field.meta.number:
            continue
        raw, message = wire(data), MESSAGES[name]
        for step in field.meta.inline:
            inner = next(k for k, (n, _) in message.items() if n == step)
            message, raw = MESSAGES[message[inner][1]], wire((raw.get(step) or [b""])[0])
        kind = next(t for n, t in message.values() if n == field.meta.number)
        values, value = raw.get(field.meta.number, []), getattr(obj, field.attr)
        if value is None:
            assert values == []
        elif kind.startswith("map<string,"):
            entries = {wire(each)[1][0].decode(): wire(each)[2][0] for each in values}
            assert entries.keys() == value.keys()
            for key, item in value.items():
                compare_one(item, kind[len("map<string,") : -1], entries[key])
        elif kind.startswith("repeated "):
            assert len(values) == len(value)
            for item, each in zip(value, values, strict=True):
                compare_one(item, kind.removeprefix("repeated "), each)
        else:
            compare_one(value, kind, values[0])


def signed(raw):
    return raw - (1 << 64) if raw >> 63 else raw


def compare_one(value, kind, raw):
    last = kind.rsplit(".", 1)[-1]
    if kind == "string":
        assert raw.decode() == value
    elif kind == "bytes":
        assert base64.b64encode(raw).decode() == value
    elif kind in ("int32", "int64", "bool"):
        assert signed(raw) == value
    elif kind == "double":
        assert raw == value
    elif last == "Quantity":
        assert wire(raw)[1] == [value.encode()]
    elif last in ("Time", "MicroTime"):
        parts = wire(raw)
        assert set(parts) == {1, 2}
        whole = "1970-01-01" in value
        assert parts[1] == [0 if whole else 1767323045]
        micros = int(value[20:26]) if last == "MicroTime" else 0
        assert parts[2] == [micros * 1000]
    elif last == "IntOrString":
        parts = wire(raw)
        if isinstance(value, str):
            assert (parts[1], parts[3]) == ([1], [value.encode()])
        else:
            assert signed(parts.get(2, [0])[0]) == value
            assert parts.get(1, [0]) == [0]
    elif last in ("RawExtension", "JSON", "FieldsV1"):
        assert json.loads(wire(raw)[1][0]) == value
    elif last in ("ExtraValue", "Verbs"):
        assert [each.decode() for each in wire(raw)[1]] == value
    elif last.startswith("JSONSchemaPropsOr"):
        assert raw
    else:
        compare(value, kind, raw)


# ---- what Go writes


def with_field(obj, *raw):
    """The envelope of an object with more raw bytes at the end of its message."""
    message = protobuf._message(type(obj)).encode(obj) + b"".join(raw)
    meta = protobuf._TypeMeta(obj.apiVersion, obj.kind)
    return protobuf.PREFIX + protobuf._ENVELOPE.encode(protobuf._Unknown(meta, message))


def test_zeros_of_what_is_no_pointer_are_nothing():
    # PodSpec: restartPolicy "" (3), hostNetwork false (11), terminationGracePeriodSeconds 0 (4),
    # automountServiceAccountToken false (21); the latter two are pointers
    spec = b"\x1a\x00\x58\x00\x20\x00\xa8\x01\x00"
    pod = protobuf.decode(with_field(Pod(), b"\x12" + bytes([len(spec)]) + spec), Pod)
    assert pod.spec.restartPolicy is None
    assert pod.spec.hostNetwork is None
    assert pod.spec.terminationGracePeriodSeconds == 0
    assert pod.spec.automountServiceAccountToken is False


def test_an_empty_time_is_none_and_a_zero_port_is_the_default():
    metadata = b"\x0a\x01x\x42\x00\x4a\x00"  # name, creationTimestamp, deletionTimestamp
    port = b"\x18\x50\x22\x06\x08\x00\x10\x00\x1a\x00"  # port 80, targetPort: int 0
    spec = b"\x0a" + bytes([len(port)]) + port
    data = with_field(
        Service(), b"\x0a" + bytes([len(metadata)]) + metadata, b"\x12" + bytes([len(spec)]) + spec
    )
    service = protobuf.decode(data, Service)
    assert service.metadata.creationTimestamp is None
    assert service.metadata.deletionTimestamp is None
    assert service.spec.ports[0].targetPort is None
    assert service.spec.ports[0].port == 80


def test_unknown_fields_are_skipped():
    data = with_field(Node(), b"\xf8\x7f\x01", b"\xfa\x7f\x03abc")
    assert protobuf.decode(data, Node) == Node()


def test_options_and_answers():
    options = DeleteOptions(
        kind="DeleteOptions", apiVersion="v1", gracePeriodSeconds=0, propagationPolicy="Foreground"
    )
    back = protobuf.decode(protobuf.encode(options), DeleteOptions)
    assert (back.gracePeriodSeconds, back.propagationPolicy) == (0, "Foreground")
    status = Status(status="Failure", code=404, message="no", reason="NotFound")
    assert protobuf.decode(protobuf.encode(status), Status) == status


def test_binary_data():
    secret = Secret(data={"a": base64.b64encode(bytes(range(256))).decode(), "empty": ""})
    assert protobuf.decode(protobuf.encode(secret), Secret) == secret


def test_an_object_inside_an_object_may_be_protobuf_too():
    kind = SCHEME.by_kind("apps/v1", "ControllerRevision")
    inner = protobuf.encode(Pod())
    raw = protobuf._RAW.encode(protobuf._Raw(inner))
    data = with_field(kind.struct(), b"\x12" + bytes([len(raw)]) + raw)
    revision = protobuf.decode(data, kind.struct)
    assert revision.data == codec.to_tree(Pod())


# ---- bodies


POD = SCHEME.by_kind("v1", "Pod")


def read(data, kind=POD):
    return codec.decode_request(data, kind, protobuf.MEDIA_TYPE, "Strict")


def test_a_body_goes_the_way_of_json():
    pod = codec.decode(
        b'{"metadata":{"name":"x"},"spec":{"containers":[{"name":"c","image":"i",'
        b'"resources":{"requests":{"cpu":"1000m"}}}]}}',
        Pod,
    )
    obj, warnings = read(protobuf.encode(pod))
    assert obj.spec.containers[0].resources.requests == {"cpu": "1"}
    assert (obj.kind, obj.apiVersion, warnings) == ("Pod", "v1", [])


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "the object provided is unrecognized (must be of type Pod): empty data"),
        (
            b'{"kind": "Pod"}',
            "the object provided is unrecognized (must be of type Pod): provided data does not "
            "appear to be a protobuf message, expected prefix [107 56 115 0]",
        ),
        (
            protobuf.encode(Deployment()),
            "the API version in the data (apps/v1) does not match the expected API version (v1)",
        ),
        (
            protobuf.encode(Node()),
            'Node in version "v1" cannot be handled as a Pod: the kind in the data (Node) does not '
            "match the expected kind (Pod)",
        ),
    ],
)
def test_bodies_that_are_refused(data, text):
    with pytest.raises(BadRequest) as caught:
        read(data)
    assert caught.value.message == text


@pytest.mark.parametrize("cut", range(5, 60, 7))
def test_a_body_that_is_cut_off_is_a_bad_request(cut):
    pod = Maker(0, depth=2).struct(Pod)
    whole = protobuf.encode(pod)
    with pytest.raises(BadRequest):
        read(whole[: len(whole) - cut])


def test_noise_is_a_bad_request_or_an_object():
    noise = random.Random(7)
    for _ in range(300):
        data = protobuf.PREFIX + noise.randbytes(noise.randrange(60))
        try:
            read(data)
        except BadRequest:
            continue


def test_embedded_garbage():
    kind = SCHEME.by_kind("apps/v1", "ControllerRevision")
    raw = protobuf._RAW.encode(protobuf._Raw(b"{"))
    data = with_field(kind.struct(), b"\x12" + bytes([len(raw)]) + raw)
    with pytest.raises(ProtobufError, match="an embedded object is not JSON"):
        protobuf.decode(data, kind.struct)


def test_the_table_of_pointers_names_what_exists():
    for group, types in POINTERS.items():
        module = importlib.import_module(f"kybern.api.{group}")
        for name, attrs in types.items():
            infos = {f.attr: f for f in fields_of(getattr(module, name)).values()}
            for attr in attrs.split():
                assert infos[attr].optional, f"{group}.{name}.{attr}"
                assert infos[attr].shape is Shape.SCALAR
