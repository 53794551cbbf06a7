"""What creating an object comes to own; the long expectations are as upstream records them."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.api.making import Maker

from kybern.api import codec
from kybern.api.apps.v1 import Deployment
from kybern.api.core.v1 import ConfigMap, Pod, Service
from kybern.api.patch.creation import created
from kybern.api.patch.managed_fields import tracked
from kybern.api.patch.schema import DEDUCED
from kybern.api.scheme import SCHEME


def fields(obj, schema=None):
    return created(tracked(schema or type(obj)), obj)


def of(struct, text):
    return codec.decode(json.dumps(text).encode(), struct)


def test_a_deployment():
    deployment = of(Deployment, {
        "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"},
                     "annotations": {"a/b": "c"}, "creationTimestamp": "2026-01-01T00:00:00Z",
                     "uid": "u", "generation": 1, "resourceVersion": "1"},
        "spec": {
            "replicas": 3, "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "containers": [{
                        "name": "nginx", "image": "nginx:1",
                        "ports": [{"containerPort": 443, "protocol": "TCP"}, {"containerPort": 80}],
                        "resources": {"limits": {"cpu": "1"}},
                        "livenessProbe": {"httpGet": {"path": "/", "port": 80}},
                    }],
                    "securityContext": {}, "restartPolicy": "Always",
                    "imagePullSecrets": [{"name": "s"}],
                },
            },
        },
    })  # fmt: skip
    expected = (
        '{"f:metadata":{"f:annotations":{".":{},"f:a/b":{}},"f:labels":{".":{},"f:app":{}}},'
        '"f:spec":{"f:replicas":{},"f:selector":{},'
        '"f:strategy":{"f:rollingUpdate":{".":{},"f:maxSurge":{}},"f:type":{}},'
        '"f:template":{"f:metadata":{"f:labels":{".":{},"f:app":{}}},'
        '"f:spec":{"f:containers":{"k:{\\"name\\":\\"nginx\\"}":{".":{},"f:image":{},'
        '"f:livenessProbe":{".":{},"f:httpGet":{".":{},"f:path":{},"f:port":{}}},"f:name":{},'
        '"f:ports":{".":{},'
        '"k:{\\"containerPort\\":80,\\"protocol\\":\\"TCP\\"}":{".":{},"f:containerPort":{}},'
        '"k:{\\"containerPort\\":443,\\"protocol\\":\\"TCP\\"}":{".":{},"f:containerPort":{},'
        '"f:protocol":{}}},'
        '"f:resources":{".":{},"f:limits":{".":{},"f:cpu":{}}}}},'
        '"f:imagePullSecrets":{".":{},"k:{\\"name\\":\\"s\\"}":{}},'
        '"f:restartPolicy":{},"f:securityContext":{}}}}}'
    )
    assert json.dumps(fields(deployment), separators=(",", ":")) == expected
    assert json.dumps(fields(codec.to_tree(deployment), Deployment)) == json.dumps(
        fields(deployment)
    )


def test_owners_and_finalizers():
    pod = of(Pod, {"metadata": {
        "name": "p", "generateName": "p-", "finalizers": ["x/b", "x/a"],
        "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u-1"}],
    }})  # fmt: skip
    assert fields(pod) == {
        "f:metadata": {
            "f:finalizers": {".": {}, 'v:"x/a"': {}, 'v:"x/b"': {}},
            "f:generateName": {},
            "f:ownerReferences": {".": {}, 'k:{"uid":"u-1"}': {}},
        }
    }


@pytest.mark.parametrize(
    ("struct", "tree", "expected"),
    [
        (Pod, {"metadata": {"name": "x"}}, {}),
        (ConfigMap, {"data": {"b": "1", "a": "2"}}, {"f:data": {".": {}, "f:a": {}, "f:b": {}}}),
        (ConfigMap, {"data": {}}, {"f:data": {}}),
        (ConfigMap, {"immutable": False}, {"f:immutable": {}}),
        (
            Service,
            {"spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}},
            {"f:spec": {
                "f:ports": {".": {}, 'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}}},
                "f:selector": {},
            }},
        ),
        (Pod, {"status": {"phase": "Running"}}, {"f:status": {"f:phase": {}}}),
        (
            Pod,
            {"spec": {"containers": [{"name": "a"}, {"name": "a", "image": "x"}]}},
            {"f:spec": {"f:containers": {'k:{"name":"a"}': {}}}},
        ),
    ],
)  # fmt: skip
def test_small_objects(struct, tree, expected):
    obj = of(struct, tree)
    assert fields(obj) == expected
    assert fields(codec.to_tree(obj), struct) == expected


def test_a_custom_resource_without_schema():
    tree = {
        "apiVersion": "e/v1", "kind": "E", "metadata": {"name": "x", "labels": {"a": "b"}},
        "spec": {"list": [{"name": "a"}], "map": {"k": 1}, "none": None, "empty": {}},
    }  # fmt: skip
    assert fields(tree, DEDUCED) == {
        "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
        "f:spec": {
            ".": {}, "f:empty": {}, "f:list": {}, "f:map": {".": {}, "f:k": {}}, "f:none": {},
        },
    }  # fmt: skip


@given(st.sampled_from(SCHEME.kinds), st.integers(), st.floats(0, 1))
@settings(max_examples=150, deadline=None)
def test_structs_and_trees_agree(kind, seed, share):
    obj = Maker(seed, share, depth=4).struct(kind.struct)
    found = fields(obj)
    assert json.dumps(found) == json.dumps(fields(codec.to_tree(obj), kind.struct))


def test_a_list_with_many_different_keys_forgets_them_in_time():
    for start in range(0, 9000, 1000):
        pod = of(Pod, {"spec": {"containers": [{"name": f"c{start + i}"} for i in range(1000)]}})
        assert len(fields(pod)["f:spec"]["f:containers"]) == 1000
