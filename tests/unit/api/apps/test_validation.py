from __future__ import annotations

import pytest
from tests.unit.api.objects import created, updated

TEMPLATE = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {"containers": [{"name": "c", "image": "i"}]},
}
MISMATCH = "`selector` does not match template `labels`"
RECREATE = {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}


def workload(**spec):
    return {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE, **spec}}


def rolling(**fields):
    return {"strategy": {"type": "RollingUpdate", "rollingUpdate": fields}}


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ({}, []),
        ({"replicas": -1}, ["replicas: Invalid value: -1: must be greater than or equal to 0"]),
        (
            {"selector": {}},
            [
                "selector: Required value",
                f'template.metadata.labels: Invalid value: {{"a":"b"}}: {MISMATCH}',
            ],
        ),
        (
            {"selector": {"matchLabels": {"a": "c"}}},
            [f'template.metadata.labels: Invalid value: {{"a":"b"}}: {MISMATCH}'],
        ),
        (
            {"template": {"spec": TEMPLATE["spec"]}},
            [f"template.metadata.labels: Invalid value: null: {MISMATCH}"],
        ),
        (
            {"strategy": RECREATE},
            [
                "strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is "
                "'Recreate'"
            ],
        ),
        (
            {"strategy": {"type": "x"}},
            [
                'strategy: Unsupported value: {"Type":"x","RollingUpdate":null}: supported '
                'values: "Recreate", "RollingUpdate"'
            ],
        ),
        (
            rolling(maxUnavailable=0, maxSurge="0%"),
            [
                "strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when "
                "`maxSurge` is 0"
            ],
        ),
        (
            rolling(maxUnavailable="101%"),
            [
                'strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be '
                "greater than 100%"
            ],
        ),
        (
            rolling(maxSurge="x"),
            [
                'strategy.rollingUpdate.maxSurge: Invalid value: "x": a valid percent string '
                "must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex "
                "used for validation is '[0-9]+%')"
            ],
        ),
        (
            {"progressDeadlineSeconds": 5, "minReadySeconds": 10},
            ["progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds"],
        ),
        (
            {"template": {**TEMPLATE, "spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}},
            ['template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
        ),
        (
            {"template": {**TEMPLATE, "spec": {**TEMPLATE["spec"], "activeDeadlineSeconds": 1}}},
            [
                "template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in "
                "ReplicaSet is not Supported"
            ],
        ),
    ],
)
def test_deployments(spec, problems):
    found = created("apps/v1/Deployment", workload(**spec))
    assert found == [f"spec.{problem}" for problem in problems]


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet", "DaemonSet"])
def test_selectors_stay(kind):
    labels = {"a": "b", "c": "d"}
    template = {**TEMPLATE, "metadata": {"labels": labels}}
    new = workload(selector={"matchLabels": labels}, template=template)
    assert updated(f"apps/v1/{kind}", workload(), new) == [
        'spec.selector: Invalid value: {"matchLabels":{"a":"b","c":"d"}}: field is immutable'
    ]
    assert updated(f"apps/v1/{kind}", workload(), workload(template=template)) == []


def test_counts_of_replicas():
    status = {"replicas": 1, "readyReplicas": 2, "availableReplicas": 3}
    found = updated("apps/v1/ReplicaSet", workload(), {**workload(), "status": status},
                    part="status")  # fmt: skip
    assert found == [
        "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
        "status.availableReplicas: Invalid value: 3: cannot be greater than status.replicas",
        "status.availableReplicas: Invalid value: 3: cannot be greater than readyReplicas",
    ]


def test_the_collision_count_only_grows():
    old = {**workload(), "status": {"collisionCount": 2}}
    new = {**workload(), "status": {"collisionCount": 1}}
    assert updated("apps/v1/Deployment", old, new, part="status") == [
        "status.collisionCount: Invalid value: 1: cannot be decremented"
    ]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (
            {"maxUnavailable": 1, "maxSurge": 1},
            "maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero",
        ),
        (
            {"maxUnavailable": 0, "maxSurge": 0},
            "maxUnavailable: Required value: cannot be 0 when maxSurge is 0",
        ),
    ],
)
def test_daemon_sets(fields, problem):
    strategy = {"type": "RollingUpdate", "rollingUpdate": fields}
    found = created("apps/v1/DaemonSet", workload(updateStrategy=strategy))
    assert found == [f"spec.updateStrategy.rollingUpdate.{problem}"]


def stateful(**spec):
    return workload(**({"serviceName": "s"} | spec))


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ({}, []),
        (
            {"podManagementPolicy": "x"},
            ["podManagementPolicy: Invalid value: \"x\": must be 'OrderedReady' or 'Parallel'"],
        ),
        (
            {"updateStrategy": {"type": "OnDelete", "rollingUpdate": {"partition": 1}}},
            [
                'updateStrategy.rollingUpdate: Invalid value: {"Partition":1,'
                "\"MaxUnavailable\":null}: only allowed for updateStrategy 'RollingUpdate'"
            ],
        ),
        (
            {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": -1}}},
            [
                "updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than "
                "or equal to 0"
            ],
        ),
        (
            {"ordinals": {"start": -1}},
            ["ordinals.start: Invalid value: -1: must be greater than or equal to 0"],
        ),
    ],
)
def test_stateful_sets(spec, problems):
    found = created("apps/v1/StatefulSet", stateful(**spec))
    assert found == [f"spec.{problem}" for problem in problems]


def test_the_claims_of_a_stateful_set_are_volumes_of_its_pods():
    mounted = {"name": "c", "image": "i", "volumeMounts": [{"name": "data", "mountPath": "/d"}]}
    template = {**TEMPLATE, "spec": {"containers": [mounted]}}
    claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    assert created("apps/v1/StatefulSet", stateful(template=template)) == [
        'spec.template.spec.containers[0].volumeMounts[0].name: Not found: "data"'
    ]
    tree = stateful(template=template, volumeClaimTemplates=[claim])
    assert created("apps/v1/StatefulSet", tree) == []


def test_most_of_a_stateful_set_stays():
    kind = "apps/v1/StatefulSet"
    assert updated(kind, stateful(), stateful(replicas=3, minReadySeconds=1)) == []
    assert updated(kind, stateful(), stateful(serviceName="t")) == [
        "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', "
        "'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
        "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
    ]


def test_controller_revisions():
    kind = "apps/v1/ControllerRevision"
    assert created(kind, {"revision": -1}) == [
        "data: Required value: data is mandatory",
        "revision: Invalid value: -1: must be greater than or equal to 0",
    ]
    assert updated(kind, {"revision": 1, "data": {"a": 1}}, {"revision": 2, "data": {"a": 2}}) == [
        'data: Invalid value: {"a":2}: field is immutable'
    ]
