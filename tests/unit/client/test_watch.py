"""Frames: whole, without owners, errors, and what a newer server says."""

from __future__ import annotations

import msgspec
import pytest

from kybern.api import codec, errors
from kybern.api.core.v1 import Pod, PodSpec
from kybern.api.meta.v1 import ManagedFieldsEntry, ObjectMeta
from kybern.client.metadata import Partial
from kybern.client.watch import decode_frame, without_owners

OWNED = ManagedFieldsEntry(
    manager="me", fieldsV1={"f:metadata": {"f:labels": {'k:{"name":"x"}': {}, "f:a],": {}}}}
)


def pod(**metadata):
    return Pod(metadata=ObjectMeta(name="a", **metadata), spec=PodSpec(nodeName="n"))


def frame(obj, type_="ADDED"):
    return b'{"type":"%b","object":%b}' % (type_.encode(), codec.encode(obj))


def test_a_frame_is_an_event():
    event = decode_frame(frame(pod(uid="1"), "MODIFIED"), Pod)
    assert event.type == "MODIFIED"
    assert event.object == pod(uid="1")
    assert decode_frame(frame(pod(uid="1")), Partial).object.metadata.uid == "1"
    assert decode_frame(frame(pod(uid="1")), dict).object["metadata"]["uid"] == "1"


def test_what_a_newer_server_adds_is_dropped():
    line = b'{"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"a"},"new":{"x":[1]}}}'
    assert decode_frame(line, Pod).object.metadata.name == "a"


@pytest.mark.parametrize("type_", [Pod, Partial, dict])
def test_an_error_is_raised(type_):
    line = b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}'
    with pytest.raises(errors.ApiError) as caught:
        decode_frame(line, type_)
    assert caught.value.code == 410


def test_owners_are_cut_out():
    line = without_owners(frame(pod(uid="1", labels={"b": "c"}, managedFields=[OWNED, OWNED])))
    assert line == frame(pod(uid="1", labels={"b": "c"}))


@pytest.mark.parametrize(
    "obj",
    [
        pod(),
        pod(annotations={"x": '{"managedFields":[{"manager":"me"}],"name":"a"}'}),
        {"metadata": {"name": "a"}, "spec": {"managedFields": [1, 2], "name": "b"}},
        {"metadata": {"name": "a", "managedFields": [{"manager": "me"}]}},  # as the last
        {"spec": {"managedFields": [1], "x": 1}, "metadata": {"managedFields": [2], "name": "a"}},
    ],
)
def test_what_is_not_cut_out_stays_as_it_was(obj):
    assert without_owners(frame(obj)) == frame(obj)


def test_other_styles_are_left_alone():
    whole = {"type": "ADDED", "object": msgspec.to_builtins(pod(managedFields=[OWNED]))}
    line = msgspec.json.format(msgspec.json.encode(whole), indent=1)
    assert decode_frame(without_owners(line), Pod).object.metadata.managedFields == [OWNED]
