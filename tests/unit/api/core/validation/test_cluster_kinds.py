"""Nodes, namespaces, ConfigMaps, Secrets, quotas, ReplicationControllers, Events."""

from __future__ import annotations

import base64

import pytest
from tests.unit.api.objects import created, updated

SEALED = "field is immutable when `immutable` is set"


def text(value):
    return base64.b64encode(value.encode()).decode()


# --- nodes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        (
            {"spec": {"taints": [{"key": "a", "effect": "x"}]}},
            'metadata.taints[0].effect: Unsupported value: "x": supported values: "NoSchedule", '
            '"PreferNoSchedule", "NoExecute"',
        ),
        (
            {"spec": {"taints": [{"key": "a", "effect": ""}]}},
            "metadata.taints[0].effect: Required value",
        ),
        (
            {"spec": {"taints": [{"key": "a", "effect": "NoExecute"}] * 2}},
            'metadata.taints[1]: Duplicate value: {"Key":"a","Value":"","Effect":"NoExecute",'
            '"TimeAdded":null}: taints must be unique by key and effect pair',
        ),
        (
            {"spec": {"podCIDRs": ["10.0.0.0/24", "10.0.1.0/24"]}},
            'spec.podCIDRs: Invalid value: ["10.0.0.0/24","10.0.1.0/24"]: may specify no more '
            "than one CIDR for each IP family",
        ),
        (
            {"status": {"capacity": {"cpu": "-1"}}},
            'status.capacity.cpu: Invalid value: "-1": must be greater than or equal to 0',
        ),
    ],
)
def test_nodes(tree, problem):
    assert created("v1/Node", tree) == [problem] or problem in created("v1/Node", tree)


@pytest.mark.parametrize(
    ("old", "new", "problems"),
    [
        ({}, {"podCIDRs": ["10.0.0.0/24"], "providerID": "a", "unschedulable": True}, []),
        (
            {"podCIDRs": ["10.0.0.0/24"]},
            {"podCIDRs": ["10.0.1.0/24"]},
            [
                'spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" '
                "to valid"
            ],
        ),
        (
            {"providerID": "a"},
            {"providerID": "b"},
            [
                "spec.providerID: Forbidden: node updates may not change providerID except from "
                '"" to valid'
            ],
        ),
    ],
)
def test_what_stays_of_a_node(old, new, problems):
    assert updated("v1/Node", {"spec": old}, {"spec": new}) == problems


def test_addresses_of_a_node_differ():
    address = {"type": "InternalIP", "address": "10.0.0.1"}
    tree = {"status": {"addresses": [address, address]}}
    assert updated("v1/Node", {}, tree, part="status") == [
        'status.addresses[1]: Duplicate value: {"Type":"InternalIP","Address":"10.0.0.1"}'
    ]


# --- namespaces ---------------------------------------------------------------------------------


def test_namespaces_are_labels():
    assert created("v1/Namespace", {"metadata": {"name": "a.b"}}) == [
        'metadata.name: Invalid value: "a.b": must not contain dots'
    ]


def test_the_phase_follows_the_deletion():
    going = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
    ended = {"status": {"phase": "Terminating"}}
    assert updated("v1/Namespace", {}, ended, part="status") == [
        "status.Phase: Invalid value: \"Terminating\": may only be 'Active' if "
        "`deletionTimestamp` is empty"
    ]
    assert updated("v1/Namespace", going, going, part="status") == [
        "status.Phase: Invalid value: \"Active\": may only be 'Terminating' if "
        "`deletionTimestamp` is not empty"
    ]


# --- config maps and secrets --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "tree", "problem"),
    [
        (
            "ConfigMap",
            {"data": {"a": "x"}, "binaryData": {"a": "eA=="}},
            'data[a]: Invalid value: "a": duplicate of key present in binaryData',
        ),
        (
            "ConfigMap",
            {"data": {"a": "x" * (1024 * 1024 + 1)}},
            ": Too long: may not be more than 1048576 bytes",
        ),
        (
            "Secret",
            {"data": {"a": text("x" * (1024 * 1024 + 1))}},
            "data: Too long: may not be more than 1048576 bytes",
        ),
        (
            "Secret",
            {"type": "kubernetes.io/tls"},
            "data[tls.key]: Required value",
        ),
        (
            "Secret",
            {"type": "kubernetes.io/service-account-token"},
            "metadata.annotations[kubernetes.io/service-account.name]: Required value",
        ),
        (
            "Secret",
            {"type": "kubernetes.io/dockerconfigjson"},
            "data[.dockerconfigjson]: Required value",
        ),
        (
            "Secret",
            {"type": "kubernetes.io/basic-auth"},
            "data[username]: Required value",
        ),
    ],
)
def test_config_maps_and_secrets(kind, tree, problem):
    assert problem in created(f"v1/{kind}", tree)


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_keys_are_not_empty(kind):
    (problem,) = created(f"v1/{kind}", {"data": {"": ""}})
    assert problem.startswith('data[]: Invalid value: "": a valid config key must consist of')


def test_docker_configurations_are_json():
    tree = {"type": "kubernetes.io/dockercfg", "data": {".dockercfg": text("{")}}
    (problem,) = created("v1/Secret", tree)
    assert problem.startswith('data[.dockercfg]: Invalid value: "<secret contents redacted>": ')


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_immutable_ones_stay(kind):
    old = {"data": {"a": "eA=="}, "immutable": True}
    name = f"v1/{kind}"
    assert updated(name, old, {**old, "metadata": {"labels": {"a": "b"}}}) == []
    assert updated(name, old, {**old, "data": {"a": "eQ=="}}) == [f"data: Forbidden: {SEALED}"]
    assert updated(name, old, {"data": old["data"]}) == [f"immutable: Forbidden: {SEALED}"]
    assert updated(name, {"data": old["data"]}, old) == []


def test_the_type_of_a_secret_stays():
    assert updated("v1/Secret", {"type": "a"}, {"type": "b"}) == [
        'type: Invalid value: "b": field is immutable'
    ]


# --- limit ranges and quotas --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (
            {"type": "x"},
            '.type: Invalid value: "x": must be a standard limit type or fully qualified',
        ),
        (
            {"type": "Pod", "default": {"cpu": "1"}},
            ".default: Forbidden: may not be specified when `type` is 'Pod'",
        ),
        (
            {"type": "Pod", "min": {"cpu": "2"}, "max": {"cpu": "1"}},
            '.min[cpu]: Invalid value: "2": min value 2 is greater than max value 1',
        ),
        (
            {"type": "Container", "defaultRequest": {"cpu": "2"}, "default": {"cpu": "1"}},
            '.defaultRequest[cpu]: Invalid value: "2": default request value 2 is greater than '
            "default limit value 1",
        ),
        (
            {"type": "PersistentVolumeClaim"},
            ".limits: Required value: either minimum or maximum storage value is required, but "
            "neither was provided",
        ),
        (
            {"type": "Container", "maxLimitRequestRatio": {"cpu": "500m"}},
            '.maxLimitRequestRatio[cpu]: Invalid value: "500m": ratio 500m is less than 1',
        ),
    ],
)
def test_limit_ranges(item, problem):
    assert created("v1/LimitRange", {"spec": {"limits": [item]}}) == [f"spec.limits[0]{problem}"]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (
            {"hard": {"x": "1"}},
            'hard[x]: Invalid value: "x": must be a standard resource type or fully qualified',
        ),
        (
            {"hard": {"pods": "1500m"}},
            'hard[pods]: Invalid value: "1500m": must be an integer',
        ),
        (
            {"scopes": ["BestEffort", "NotBestEffort"]},
            'scopes: Invalid value: ["BestEffort","NotBestEffort"]: conflicting scopes',
        ),
        ({"scopes": ["x"]}, 'scopes: Invalid value: ["x"]: unsupported scope'),
        (
            {"hard": {"services": "1"}, "scopes": ["Terminating"]},
            'scopes: Invalid value: ["Terminating"]: unsupported scope applied to resource',
        ),
        (
            {"scopeSelector": {"matchExpressions": [
                {"scopeName": "PriorityClass", "operator": "In"}]}},
            "scopeSelector.matchExpressions.values: Required value: must be at least one value "
            "when `operator` is 'In' or 'NotIn' for scope selector",
        ),
    ],
)  # fmt: skip
def test_resource_quotas(spec, problem):
    assert f"spec.{problem}" in created("v1/ResourceQuota", {"spec": spec})


def test_the_scopes_of_a_quota_stay():
    old, new = {"spec": {"scopes": ["Terminating"]}}, {"spec": {}}
    assert updated("v1/ResourceQuota", old, new) == [
        "spec.scopes: Invalid value: []: field is immutable"
    ]


# --- replication controllers and events ---------------------------------------------------------

TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c",
                                                                         "image": "i"}]}}  # fmt: skip


def test_replication_controllers():
    kind = "v1/ReplicationController"
    assert created(kind, {"spec": {"template": TEMPLATE}}) == []
    assert created(kind, {"spec": {"selector": {"a": "c"}, "template": TEMPLATE}}) == [
        'spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match '
        "template `labels`"
    ]
    assert created(kind, {"spec": {"replicas": -1, "selector": {"a": "b"}}}) == [
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        "spec.template: Required value",
    ]


def test_events_lie_beside_what_they_are_about():
    event = {"involvedObject": {"kind": "Pod", "name": "p", "namespace": "other"}}
    assert created("v1/Event", event) == [
        'involvedObject.namespace: Invalid value: "other": does not match event.namespace'
    ]
    assert created("v1/Event", {"involvedObject": {"kind": "Node", "name": "n"}}) == []
