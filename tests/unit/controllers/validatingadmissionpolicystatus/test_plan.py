"""Which expressions a policy is warned of."""

from __future__ import annotations

from kybern.api.admissionregistration.v1 import (
    MatchResources,
    NamedRuleWithOperations,
    ParamKind,
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicySpec,
    Validation,
    Variable,
)
from kybern.controllers.validatingadmissionpolicystatus.plan import kinds, warnings


def rule(groups=("apps",), versions=("v1",), resources=("deployments",)):
    return NamedRuleWithOperations(
        apiGroups=list(groups), apiVersions=list(versions), resources=list(resources),
        operations=["CREATE"],
    )  # fmt: skip


def policy(*texts, rules=None, message=None, **spec):
    validations = [Validation(expression=text, messageExpression=message) for text in texts]
    match = MatchResources(resourceRules=rules or [rule()])
    spec = ValidatingAdmissionPolicySpec(matchConstraints=match, validations=validations, **spec)
    return ValidatingAdmissionPolicy(spec=spec)


FINE = (
    "object.spec.replicas > 1",
    "object.metadata.labels['a'] == 'b' && object.metadata.name.startsWith('x')",
    "object.metadata.creationTimestamp < timestamp('2026-01-02T03:04:05Z')",
    "object.spec.template.spec.containers.all(c, c.image.contains('/') && c.?args.hasValue())",
    "object.spec.template.spec.containers[0].resources.limits['cpu'] == '1'",
    "object.spec.strategy.rollingUpdate.maxSurge == 1 || oldObject == null",
    "authorizer.group('').resource('pods').check('get').allowed()",
    "request.operation == 'CREATE' && namespaceObject.metadata.name != ''",
)


def test_nothing_to_say() -> None:
    assert warnings(policy(*FINE)) == []


def test_types_that_do_not_fit() -> None:
    found = warnings(policy("object.spec.replicas > '1'", message="'got ' + object.spec.replicas"))
    assert [(each.fieldRef, each.warning) for each in found] == [
        (
            "spec.validations[0].expression",
            "apps/v1, Kind=Deployment: ERROR: <input>:1:22: found no matching overload for '_>_' "
            "applied to '(int, string)'\n | object.spec.replicas > '1'\n"
            " | .....................^\n",
        ),
        (
            "spec.validations[0].messageExpression",
            "apps/v1, Kind=Deployment: ERROR: <input>:1:8: found no matching overload for '_+_' "
            "applied to '(string, int)'\n | 'got ' + object.spec.replicas\n | .......^\n",
        ),
    ]


def test_fields_that_are_not_there() -> None:
    (found,) = warnings(policy("object.spec.foo == 1", "has(object.spec.replicas)"))
    assert "undefined field 'foo'" in found.warning


def test_every_kind_is_looked_at() -> None:
    rules = [rule(resources=["replicasets", "deployments"]), rule([""], resources=["pods"])]
    (found,) = warnings(policy("object.spec.replicas > 1", rules=rules))
    assert found.warning.startswith("/v1, Kind=Pod: ERROR: <input>:1:12: undefined field 'replic")
    assert found.warning.count("ERROR") == 1


def test_wildcards_and_unknown_kinds_are_not_checked() -> None:
    for odd in (
        rule(["*"]), rule(versions=["*"]), rule(resources=["*"]), rule(resources=["pods/status"]),
        rule(["example.com"]),
    ):  # fmt: skip
        assert kinds(policy("true", rules=[odd])) == []
        assert warnings(policy("object.foo", rules=[odd])) == []


def test_variables_and_parameters_have_types() -> None:
    variables = [
        Variable(name="count", expression="object.spec.replicas"),
        Variable(name="odd", expression="object.none"),
    ]
    params = ParamKind(apiVersion="v1", kind="ConfigMap")
    texts = (
        "variables.count < 3 && variables.odd == 1", "variables.count < 'a'",
        "params.data.max == 'a'", "params.data.max == 1",
    )  # fmt: skip
    found = warnings(policy(*texts, variables=variables, paramKind=params))
    assert [each.fieldRef for each in found] == [
        "spec.validations[1].expression", "spec.validations[3].expression",
    ]  # fmt: skip


def test_at_most_ten_kinds() -> None:
    core = rule(
        ["", "apps"], resources=["pods", "services", "configmaps", "secrets", "nodes", "events",
        "endpoints", "namespaces", "serviceaccounts", "deployments", "replicasets", "daemonsets"],
    )  # fmt: skip
    assert len(kinds(policy("true", rules=[core]))) == 10
