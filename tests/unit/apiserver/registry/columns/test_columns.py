"""Rows as kubectl shows them."""

import pytest

from kybern.api import codec
from kybern.api.scheme import SCHEME
from kybern.apiserver.registry.columns import all as columns
from kybern.apiserver.registry.columns import words
from kybern.lib.clock import SYSTEM, parse_rfc3339

NOW = "2026-01-02T03:04:05Z"


class Fixed:
    def now(self):
        return parse_rfc3339(NOW)


def row(tree):
    kind = SCHEME.by_kind(tree["apiVersion"], tree["kind"])
    found = columns.of(kind, Fixed())
    cells = found.cells(codec.from_tree(tree, kind.struct))
    assert len(cells) == len(found.definitions)
    return {d["name"]: c for d, c in zip(found.definitions, cells, strict=True)}


def pod(spec=None, status=None, **metadata):
    spec = {"containers": [{"name": "a", "image": "x"}]} | (spec or {})
    metadata = {"name": "p", "creationTimestamp": "2026-01-02T03:02:00Z"} | metadata
    tree = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    return row(tree | {"status": status or {}})


def state(name="a", ready=False, restarts=0, **kind):
    return {
        "name": name, "ready": ready, "restartCount": restarts, "image": "x", "imageID": "",
        "state": kind,
    }  # fmt: skip


def test_every_listed_kind_has_columns_that_stand_an_empty_object():
    for kind in SCHEME.kinds:
        if "list" in kind.verbs and kind.kind != "ComponentStatus":
            found = columns.of(kind, SYSTEM)
            assert found is not None, kind
            cells = found.cells(kind.struct())
            assert len(cells) == len(found.definitions), kind
            codec.encode(cells)


def test_a_budget_nobody_has_counted_allows_nothing():
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"}}
    assert row(budget | {"spec": {"minAvailable": 1}})["Allowed Disruptions"] == 0


@pytest.mark.parametrize(
    ("spec", "status", "ready", "word"),
    [
        ({}, {"phase": "Pending"}, "0/1", "Pending"),
        (
            {},
            {"phase": "Pending", "containerStatuses": [state(waiting={"reason": "ErrImagePull"})]},
            "0/1",
            "ErrImagePull",
        ),
        (
            {},
            {"phase": "Running", "containerStatuses": [state(ready=True, running={})]},
            "1/1",
            "Running",
        ),
        (
            {},
            {
                "phase": "Succeeded",
                "containerStatuses": [state(terminated={"exitCode": 0, "reason": "Completed"})],
            },
            "0/1",
            "Completed",
        ),
        (
            {},
            {"phase": "Failed", "containerStatuses": [state(terminated={"exitCode": 3})]},
            "0/1",
            "ExitCode:3",
        ),
        (
            {"initContainers": [{"name": "i", "image": "x"}, {"name": "j", "image": "x"}]},
            {
                "phase": "Pending",
                "initContainerStatuses": [
                    state("i", terminated={"exitCode": 0}),
                    state("j", running={}),
                ],
            },
            "0/1",
            "Init:1/2",
        ),
        (
            {"initContainers": [{"name": "i", "image": "x"}]},
            {
                "phase": "Pending",
                "initContainerStatuses": [state("i", waiting={"reason": "CrashLoopBackOff"})],
            },
            "0/1",
            "Init:CrashLoopBackOff",
        ),
        (
            {"initContainers": [{"name": "s", "image": "x", "restartPolicy": "Always"}]},
            {
                "phase": "Running",
                "initContainerStatuses": [state("s", ready=True, running={}) | {"started": True}],
                "containerStatuses": [state(ready=True, running={})],
            },
            "2/2",
            "Running",
        ),
        (
            {},
            {
                "phase": "Pending",
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
                ],
            },
            "0/1",
            "SchedulingGated",
        ),
    ],
)
def test_the_word_for_a_pod(spec, status, ready, word):
    cells = pod(spec, status)
    assert (cells["Ready"], cells["Status"]) == (ready, word)


def test_a_pod_that_goes_is_terminating_until_it_has_ended():
    leaving = {"deletionTimestamp": NOW}
    assert pod(None, {"phase": "Running"}, **leaving)["Status"] == "Terminating"
    assert pod(None, {"phase": "Succeeded"}, **leaving)["Status"] == "Succeeded"


def test_restarts_say_when():
    ended = {"terminated": {"exitCode": 1, "finishedAt": "2026-01-02T03:03:35Z"}}
    crashed = state(ready=True, restarts=2, running={}) | {"lastState": ended}
    assert pod(None, {"containerStatuses": [crashed]})["Restarts"] == "2 (30s ago)"
    assert pod()["Restarts"] == "0"


def test_age_and_addresses():
    cells = pod({"nodeName": "n"}, {"podIPs": [{"ip": "10.0.0.1"}]})
    assert (cells["Age"], cells["IP"], cells["Node"]) == ("2m5s", "10.0.0.1", "n")
    assert (pod()["IP"], pod()["Node"], pod()["Readiness Gates"]) == ("<none>",) * 3


def test_service():
    tree = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {
            "type": "NodePort", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"],
            "selector": {"app": "web"},
            "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}],
        },
    }  # fmt: skip
    cells = row(tree)
    assert cells["Port(s)"] == "80:30080/TCP"
    assert (cells["External-IP"], cells["Selector"]) == ("<none>", "app=web")


def test_deployment_and_its_wide_columns():
    tree = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": 3, "selector": {"matchLabels": {"app": "web"}},
            "template": {"spec": {"containers": [{"name": "a", "image": "x:1"}]}},
        },
        "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 2},
    }  # fmt: skip
    cells = row(tree)
    assert list(cells.values()) == ["web", "2/3", 3, 2, "<unknown>", "a", "x:1", "app=web"]


def test_event_columns_are_in_upstreams_order():
    kind = SCHEME.by_kind("v1", "Event")
    shown = [(d["name"], d["priority"]) for d in columns.of(kind, SYSTEM).definitions]
    assert shown == [
        ("Last Seen", 0), ("Type", 0), ("Reason", 0), ("Object", 0), ("Subobject", 1),
        ("Source", 1), ("Message", 0), ("First Seen", 1), ("Count", 1), ("Name", 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (119, "119s"), (120, "2m"), (185, "3m5s"), (3599, "59m"), (10800, "3h"),
     (11100, "3h5m"), (30 * 3600, "30h"), (50 * 3600, "2d2h"), (10 * 86400, "10d"),
     (800 * 86400, "2y70d"), (4000 * 86400, "10y"), (-3, "<invalid>")],
)  # fmt: skip
def test_durations(seconds, text):
    assert words.duration(seconds) == text
