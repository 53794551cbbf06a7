from __future__ import annotations

import pytest
from tests.unit.api.objects import created, updated

SUBDOMAIN_RULE = "a lowercase RFC 1123 subdomain must consist of"


def config_map(**metadata):
    return {"metadata": metadata}


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"name": ""}, "metadata.name: Required value: name or generateName is required"),
        ({"namespace": ""}, "metadata.namespace: Required value"),
        ({"generation": -1}, "metadata.generation: Invalid value: -1: must be greater than or "
         "equal to 0"),
        (
            {"annotations": {"a": "x" * (256 * 1024)}},
            "metadata.annotations: Too long: may not be more than 262144 bytes",
        ),
        (
            {"ownerReferences": [{"apiVersion": "v1", "kind": "Event", "name": "e", "uid": "u"}]},
            'metadata.ownerReferences: Invalid value: {"apiVersion":"v1","kind":"Event",'
            '"name":"e","uid":"u"}: /v1, Kind=Event is disallowed from being an owner',
        ),
        (
            {"ownerReferences": [{"apiVersion": "", "kind": "", "name": "", "uid": ""}]},
            'metadata.ownerReferences.uid: Invalid value: "": must not be empty',
        ),
        (
            {"finalizers": ["orphan", "foregroundDeletion"]},
            'metadata.finalizers: Invalid value: ["orphan","foregroundDeletion"]: finalizer '
            "orphan and foregroundDeletion cannot be both set",
        ),
        (
            {"finalizers": ["mine"]},
            'metadata.finalizers[0]: Invalid value: "mine": name is neither a standard finalizer '
            "name nor is it fully qualified",
        ),
        (
            {"managedFields": [{"operation": "X", "manager": "m" * 129}]},
            "metadata.managedFields[0].manager: Too long: may not be more than 128 bytes",
        ),
    ],
)  # fmt: skip
def test_metadata(metadata, problem):
    assert problem in created("v1/ConfigMap", config_map(**metadata))


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({"name": "A"}, 'metadata.name: Invalid value: "A": ' + SUBDOMAIN_RULE),
        ({"labels": {"a b": "x"}}, 'metadata.labels: Invalid value: "a b": name part must'),
        ({"labels": {"a": "b c"}}, 'metadata.labels: Invalid value: "b c": a valid label must'),
        ({"annotations": {"A/": "x"}}, 'metadata.annotations: Invalid value: "A/": name part'),
    ],
)
def test_names_and_labels(metadata, field):
    (problem, *_) = created("v1/ConfigMap", config_map(**metadata))
    assert problem.startswith(field)


def test_a_generated_name_is_checked_as_what_will_follow():
    tree = config_map(name="web-abcde", generateName="web-")
    assert created("v1/ConfigMap", tree) == []
    (problem,) = created("v1/ConfigMap", config_map(name="web-abcde", generateName="-"))
    assert problem.startswith('metadata.generateName: Invalid value: "-": ')


def test_only_one_owner_controls():
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": True, "uid": "u"}
    tree = config_map(ownerReferences=[owner | {"name": "a"}, owner | {"name": "b"}])
    (problem,) = created("v1/ConfigMap", tree)
    assert problem.endswith(
        'Only one reference can have Controller set to true. Found "true" in references for '
        "ReplicaSet/a and ReplicaSet/b"
    )


def test_objects_of_the_cluster_have_no_namespace():
    assert created("v1/Namespace", config_map(namespace="x")) == [
        "metadata.namespace: Forbidden: not allowed on this type"
    ]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ({}, {"uid": "other"}, 'metadata.uid: Invalid value: "other": field is immutable'),
        ({}, {"uid": ""}, 'metadata.uid: Invalid value: "": field is immutable'),
        ({}, {"name": "y"}, 'metadata.name: Invalid value: "y": field is immutable'),
        ({}, {"namespace": "y"}, 'metadata.namespace: Invalid value: "y": field is immutable'),
        (
            {"creationTimestamp": "2026-01-01T00:00:00Z"},
            {},
            "metadata.creationTimestamp: Invalid value: null: field is immutable",
        ),
        (
            {"deletionTimestamp": "2026-01-01T00:00:00Z"},
            {},
            'metadata.deletionTimestamp: Invalid value: "null": field is immutable',
        ),
        (
            {},
            {"resourceVersion": ""},
            'metadata.resourceVersion: Invalid value: "": must be specified for an update',
        ),
        (
            {"generation": 2},
            {"generation": 1},
            "metadata.generation: Invalid value: 1: must not be decremented",
        ),
        (
            {"deletionTimestamp": "2026-01-01T00:00:00Z"},
            {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]},
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being "
            'deleted, found new finalizers []string{"a/b"}',
        ),
    ],
)
def test_what_is_set_once(old, new, problem):
    assert updated("v1/ConfigMap", config_map(**old), config_map(**new)) == [problem]


def test_labels_may_change():
    assert updated("v1/ConfigMap", {}, config_map(labels={"a": "b"})) == []
