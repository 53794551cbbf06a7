from __future__ import annotations

import pytest
from tests.unit.api.objects import created, pod

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


@pytest.mark.parametrize(
    ("toleration", "problem"),
    [
        (
            {},
            '.operator: Invalid value: "": operator must be Exists when `key` is empty, which '
            'means "match all values and all keys"',
        ),
        (
            {"key": "a", "operator": "Like"},
            '.operator: Unsupported value: "Like": supported values: "Equal", "Exists"',
        ),
        (
            {"key": "a", "operator": "Exists", "value": "b"},
            ".operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'",
        ),
        (
            {"operator": "Exists", "effect": "x"},
            '.effect: Unsupported value: "x": supported values: "NoSchedule", '
            '"PreferNoSchedule", "NoExecute"',
        ),
        (
            {"operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 1},
            ".effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when "
            "`tolerationSeconds` is set",
        ),
    ],
)
def test_tolerations(toleration, problem):
    found = created("v1/Pod", pod(tolerations=[toleration]))
    assert found == [f"spec.tolerations[0]{problem}"]


def node_affinity(**requirement):
    term = {"matchExpressions": [{"key": "a", **requirement}]}
    return {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [term]}}}


@pytest.mark.parametrize(
    ("affinity", "problem"),
    [
        (
            {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": []}}},
            f"nodeAffinity.{REQUIRED}.nodeSelectorTerms: Required value: must have at least one "
            "node selector term",
        ),
        (
            node_affinity(operator="In"),
            f"nodeAffinity.{REQUIRED}.nodeSelectorTerms[0].matchExpressions[0].values: Required "
            "value: must be specified when `operator` is 'In' or 'NotIn'",
        ),
        (
            node_affinity(operator="Exists", values=["x"]),
            f"nodeAffinity.{REQUIRED}.nodeSelectorTerms[0].matchExpressions[0].values: Forbidden: "
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        ),
        (
            node_affinity(operator="Gt", values=["1", "2"]),
            f"nodeAffinity.{REQUIRED}.nodeSelectorTerms[0].matchExpressions[0].values: Required "
            "value: must be specified single value when `operator` is 'Lt' or 'Gt'",
        ),
        (
            node_affinity(operator="Like"),
            f"nodeAffinity.{REQUIRED}.nodeSelectorTerms[0].matchExpressions[0].operator: Invalid "
            'value: "Like": not a valid selector operator',
        ),
        (
            {"nodeAffinity": {PREFERRED: [{"weight": 0, "preference": {}}]}},
            f"nodeAffinity.{PREFERRED}[0].weight: Invalid value: 0: must be in the range 1-100",
        ),
        (
            {"podAffinity": {REQUIRED: [{"topologyKey": ""}]}},
            f"podAffinity.{REQUIRED}[0].topologyKey: Required value: can not be empty",
        ),
        (
            {"podAntiAffinity": {REQUIRED: [{"topologyKey": "a", "matchLabelKeys": ["k"]}]}},
            f"podAntiAffinity.{REQUIRED}[0].matchLabelKeys: Forbidden: must not be specified when "
            "labelSelector is not set",
        ),
    ],
)
def test_affinity(affinity, problem):
    assert f"spec.affinity.{problem}" in created("v1/Pod", pod(affinity=affinity))


SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}


@pytest.mark.parametrize(
    ("constraints", "problem"),
    [
        ([SPREAD | {"maxSkew": 0}], "[0].maxSkew: Invalid value: 0: must be greater than zero"),
        ([SPREAD | {"topologyKey": ""}], "[0].topologyKey: Required value: can not be empty"),
        (
            [SPREAD | {"whenUnsatisfiable": "x"}],
            '[0].whenUnsatisfiable: Unsupported value: "x": supported values: "DoNotSchedule", '
            '"ScheduleAnyway"',
        ),
        (
            [SPREAD, SPREAD],
            '[0].{topologyKey, whenUnsatisfiable}: Duplicate value: "{zone, DoNotSchedule}"',
        ),
        (
            [SPREAD | {"minDomains": 1, "whenUnsatisfiable": "ScheduleAnyway"}],
            "[0].minDomains: Invalid value: 1: can only use minDomains if "
            "whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway",
        ),
        (
            [SPREAD | {"nodeTaintsPolicy": "x"}],
            '[0].nodeTaintsPolicy: Unsupported value: "x": supported values: "Honor", "Ignore"',
        ),
        (
            [SPREAD | {"matchLabelKeys": ["a"], "labelSelector": {"matchLabels": {"a": "b"}}}],
            '[0].matchLabelKeys[0]: Invalid value: "a": exists in both matchLabelKeys and '
            "labelSelector",
        ),
    ],
)
def test_spreading(constraints, problem):
    found = created("v1/Pod", pod(topologySpreadConstraints=constraints))
    assert found == [f"spec.topologySpreadConstraints{problem}"]


def test_node_selectors_are_labels():
    (problem,) = created("v1/Pod", pod(nodeSelector={"a": "b c"}))
    assert problem.startswith('spec.nodeSelector: Invalid value: "b c": a valid label must be')
