"""A spec that was looked at is not looked at again, and what is around it is."""

from __future__ import annotations

import json

import pytest

from kybern.api import codec, known_bodies
from kybern.api.errors import BadRequest
from kybern.api.scheme import SCHEME

POD = SCHEME.by_kind("v1", "Pod")


def body(name: str = "p", *, meta: str = "", spec: str = "") -> bytes:
    env = json.dumps([{"name": f"SETTING_{i}", "value": "x" * 20} for i in range(20)])
    return (
        f'{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"{name}"{meta}}},'
        f'"spec":{{"containers":[{{"name":"c","image":"i","env":{env}}}]{spec}}}}}'
    ).encode()


def read(data: bytes, validation: str = "Warn"):
    return codec.decode_request(data, POD, codec.JSON, validation)


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_bodies, "_known", {})


def test_the_second_body_is_looked_at_but_for_its_spec() -> None:
    first, second = body("first"), body("second")
    assert known_bodies.unseen(first)[0] == first
    read(first)
    rest, spec = known_bodies.unseen(second)
    assert rest == b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"second"},"spec":1}'
    assert spec == b""
    assert read(second)[0].spec == read(first)[0].spec


def test_what_is_wrong_around_a_known_spec_is_found() -> None:
    read(body())
    _, warnings = read(body(meta=',"name":"q"'))
    assert warnings == ['duplicate field "metadata.name"']
    with pytest.raises(BadRequest, match="duplicate field"):
        read(body(meta=',"name":"q"'), "Strict")
    obj, _ = read(body(meta=',"labels":{},"generateName":""'))
    assert obj.metadata.labels is None
    assert obj.metadata.generateName is None
    twice = body().replace(b'"spec":', b'"spec":{},"spec":')
    assert read(twice)[1] == ['duplicate field "spec"']


def test_specs_with_something_to_find_are_never_known() -> None:
    for spec, found in (
        (',"nodeName":"a","nodeName":"b"', ['duplicate field "spec.nodeName"']),
        (',"nodeNmae":"a"', ['unknown field "spec.nodeNmae"']),
    ):
        for _ in range(2):
            assert read(body(spec=spec))[1] == found
    for _ in range(2):
        assert read(body(spec=',"hostNetwork":false'))[0].spec.hostNetwork is None
    read(body(spec=',"nodeName":"a","nodeName":"b"'), "Ignore")
    assert known_bodies._known == {}


def test_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_bodies, "KEPT", 2)
    for name in "abc":
        read(body(spec=f',"nodeName":"{name}"'))
    assert len(known_bodies._known) == 2
    assert known_bodies.unseen(body(spec=',"nodeName":"a"'))[1]


def test_what_nests_too_deeply_is_left_to_the_codec() -> None:
    deep = b'{"kind":"Pod","x":' + b"[" * 100_000 + b"]" * 100_000 + b',"spec":{}}'
    assert known_bodies.unseen(deep) == (deep, b"")
    with pytest.raises(BadRequest, match="exceeded max depth"):
        read(deep)
