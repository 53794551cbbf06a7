"""Zeros that mean nothing are as if nobody had said them."""

import pytest

from kybern.api import codec, zeros
from kybern.api.apiextensions.v1 import JSONSchemaProps
from kybern.api.apps.v1 import Deployment
from kybern.api.core.v1 import ConfigMap, Pod
from kybern.api.discovery.v1 import EndpointSlice
from kybern.api.rbac.v1 import ClusterRole
from kybern.api.scheme import SCHEME


def left(tree, struct):
    obj = codec.from_tree(tree, struct)
    zeros.drop(obj)
    return codec.to_tree(obj)


def test_empty_strings_lists_and_maps_go():
    metadata = {"name": "c", "labels": {}, "annotations": {"a": ""}, "finalizers": []}
    assert left({"metadata": metadata, "data": {}}, ConfigMap)["metadata"] == {
        "name": "c", "annotations": {"a": ""},
    }  # fmt: skip
    spec = {"nodeName": "", "hostNetwork": False, "containers": []}
    assert left({"spec": spec}, Pod)["spec"] == {"containers": []}


def test_what_upstream_holds_by_pointer_stays():
    spec = {
        "containers": [{"name": "a", "image": "b", "tty": False, "command": [],
                        "securityContext": {"runAsUser": 0, "privileged": False}}],
        "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0,
        "volumes": [{"name": "v", "emptyDir": {}}],
    }  # fmt: skip
    got = left({"spec": spec}, Pod)["spec"]
    assert got["containers"][0]["securityContext"] == {"runAsUser": 0, "privileged": False}
    assert "tty" not in got["containers"][0]
    assert "command" not in got["containers"][0]
    assert got["automountServiceAccountToken"] is False
    assert got["terminationGracePeriodSeconds"] == 0
    assert got["volumes"] == [{"name": "v", "emptyDir": {}}]
    deployment = left({"spec": {"replicas": 0, "paused": False}}, Deployment)["spec"]
    assert (deployment["replicas"], deployment.get("paused")) == (0, None)


def test_lists_that_are_always_written():
    assert left({"rules": []}, ClusterRole)["rules"] == []
    assert left({"endpoints": [], "ports": []}, EndpointSlice)["endpoints"] == []


def test_types_that_hold_themselves():
    props = {"properties": {"a": {"properties": {}, "type": "", "minLength": 0}}}
    assert left(props, JSONSchemaProps) == {"properties": {"a": {"minLength": 0}}}


@pytest.mark.parametrize("kind", SCHEME.kinds, ids=lambda kind: kind.kind)
def test_nothing_is_taken_from_an_object_without_zeros(kind):
    from tests.unit.api.making import Maker

    obj = Maker(1, share=1.0, depth=4).struct(kind.struct)
    before = codec.clone(obj)
    zeros.drop(obj)
    for one, other in _scalars(codec.to_tree(before), codec.to_tree(obj)):
        assert one == other or not one


def _scalars(one, other):
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one:
            yield from _scalars(one[key], other.get(key))
    elif isinstance(one, list) and isinstance(other, list):
        for left_, right in zip(one, other, strict=True):
            yield from _scalars(left_, right)
    else:
        yield one, other


@pytest.mark.parametrize(
    "text", [b'{"a":{}}', b'{"a":[]}', b'{"a":""}', b'{"a":0}', b'{"a": 0}', b'{"a": false}']
)
def test_a_quick_look_finds_them(text):
    assert zeros.mentioned(text)
    assert not zeros.mentioned(b'{"a":1,"b":"x","c":[1],"d":{"e":true}}')
