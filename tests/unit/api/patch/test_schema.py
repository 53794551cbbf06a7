"""How values merge, as read off the Structs."""

import pytest

from kybern.api.apps.v1 import ControllerRevision, Deployment
from kybern.api.authorization.v1 import SubjectAccessReview
from kybern.api.core.v1 import ConfigMap, Node, Pod, Service
from kybern.api.fields import Shape
from kybern.api.patch.schema import DEDUCED, from_openapi, object_meta, owned, schema_of


def at(struct, path):
    node = schema_of(struct)
    for name in path.split("."):
        node = node.element if name == "[]" else node.child(name)
    return node


@pytest.mark.parametrize(
    ("struct", "path", "shape", "leaf"),
    [
        (Pod, "spec", Shape.STRUCT, False),
        (Pod, "spec.nodeName", Shape.SCALAR, True),
        (Pod, "spec.containers", Shape.LIST, False),
        (Pod, "spec.containers.[].env.[].valueFrom.secretKeyRef", Shape.STRUCT, True),
        (Pod, "spec.containers.[].args", Shape.LIST, True),
        (Pod, "spec.tolerations", Shape.LIST, True),
        (Pod, "spec.nodeSelector", Shape.MAP, True),
        (Pod, "metadata.labels", Shape.MAP, False),
        (Pod, "metadata.finalizers", Shape.LIST, False),
        (Pod, "metadata.ownerReferences.[]", Shape.STRUCT, True),
        (Pod, "spec.imagePullSecrets.[]", Shape.STRUCT, True),
        (Pod, "spec.volumes.[].configMap", Shape.STRUCT, False),
        (Deployment, "spec.selector", Shape.STRUCT, True),
        (Service, "spec.selector", Shape.MAP, True),
        (ConfigMap, "data.key", Shape.SCALAR, True),
        (ControllerRevision, "data.any.thing", Shape.ANY, False),
        (SubjectAccessReview, "spec.extra.key", Shape.LIST, True),
    ],
)
def test_shapes(struct, path, shape, leaf):
    node = at(struct, path)
    assert (node.shape, node.leaf) == (shape, leaf)


@pytest.mark.parametrize(
    ("struct", "path", "keys", "merge_key"),
    [
        (Pod, "spec.containers.[].ports", ("containerPort", "protocol"), "containerPort"),
        (Pod, "spec.containers.[].volumeMounts", ("mountPath",), "mountPath"),
        (Pod, "metadata.finalizers", (), ""),
        (Service, "spec.ports", ("port", "protocol"), "port"),
        (Node, "status.conditions", ("type",), "type"),
    ],
)
def test_keys(struct, path, keys, merge_key):
    node = at(struct, path)
    assert (node.keys, node.merge_key, node.merges) == (keys, merge_key, True)


def test_strategies_of_strategic_merge():
    assert at(Pod, "status.hostIPs").merges  # although apply takes it as one piece
    assert not at(Pod, "spec.tolerations").merges
    pdb = __import__("kybern.api.policy.v1", fromlist=["x"]).PodDisruptionBudget
    assert at(pdb, "spec.selector").replaces


@pytest.mark.parametrize(
    ("struct", "path", "solid"),
    [
        (Deployment, "spec", True),
        (Deployment, "spec.strategy", True),
        (Deployment, "spec.strategy.rollingUpdate", False),
        (Deployment, "spec.template.spec.containers", True),
        (Deployment, "spec.template.spec.containers.[]", False),
        (Pod, "spec.securityContext", False),
        (Service, "status.loadBalancer", True),
    ],
)
def test_what_the_empty_object_has(struct, path, solid):
    assert at(struct, path).solid is solid


def test_what_is_nobodys():
    node = owned(schema_of(Pod))
    assert node.skip == {"apiVersion", "kind"}
    assert {"name", "uid", "managedFields"} <= node.child("metadata").skip
    untyped = owned(DEDUCED)
    assert untyped.child("spec").shape is Shape.ANY
    assert untyped.child("metadata").child("labels").shape is Shape.MAP


def test_unknown_fields():
    assert at(Pod, "spec").child("bogus") is None
    assert DEDUCED.child("anything") is DEDUCED


@pytest.mark.parametrize(
    ("schema", "shape", "leaf"),
    [
        ({"type": "string"}, Shape.SCALAR, True),
        ({}, Shape.ANY, False),
        ({"type": "object"}, Shape.ANY, False),
        ({"type": "object", "x-kubernetes-map-type": "atomic"}, Shape.ANY, True),
        ({"type": "object", "additionalProperties": {"type": "string"}}, Shape.MAP, False),
        ({"type": "object", "additionalProperties": True}, Shape.ANY, False),
        ({"type": "object", "properties": {}}, Shape.STRUCT, False),
        ({"type": "array", "items": {"type": "string"}}, Shape.LIST, True),
        ({"type": "array", "x-kubernetes-list-type": "set", "items": {}}, Shape.LIST, False),
    ],
)
def test_schemas_of_custom_resources(schema, shape, leaf):
    node = from_openapi(schema)
    assert (node.shape, node.leaf) == (shape, leaf)


def test_an_object_has_metadata_whatever_its_schema_says():
    node = from_openapi({"type": "object", "properties": {"spec": {}}}, root=object_meta())
    assert node.child("metadata").child("labels").shape is Shape.MAP
    assert node.child("kind").scalar == "string"
    assert node.child("status") is None
