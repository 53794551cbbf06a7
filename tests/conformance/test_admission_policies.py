"""Admission policies that act, and the expressions in other objects."""

from __future__ import annotations

from typing import Any

from tests.conformance.marks import conforms
from tests.conformance.world import World, refused, world

ADMISSION = "admissionregistration.k8s.io/v1"


def match(label: str) -> dict[str, Any]:
    rule = {
        "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
        "resources": ["deployments"],
    }  # fmt: skip
    return {"resourceRules": [rule], "namespaceSelector": {"matchLabels": {label: "true"}}}


def workload(name: str, replicas: int) -> dict[str, Any]:
    labels = {"app": "nginx"}
    containers = [{"name": "nginx", "image": "nginx:latest"}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec}


async def bound(w: World, kind: str, label: str, spec: dict[str, Any]) -> None:
    """Create a policy and bind it in namespaces with a label."""
    spec = {"matchConstraints": match(label), **spec}
    policies = w.resource(ADMISSION, f"{kind}admissionpolicies")
    made = await policies.create({"metadata": {"name": "policy"}, "spec": spec})
    binding: dict[str, Any] = {
        "policyName": made["metadata"]["name"],
        "matchResources": {"namespaceSelector": {"matchLabels": {label: "true"}}},
    }
    if kind == "validating":
        binding["validationActions"] = ["Deny"]
    bindings = w.resource(ADMISSION, f"{kind}admissionpolicybindings")
    await bindings.create({"metadata": {"name": "binding"}, "spec": binding})


async def deny_single_replicas(w: World, spec: dict[str, Any], told: str) -> None:
    """See that a policy refuses deployments of one replica, there and nowhere else."""
    await bound(w, "validating", "marked", spec)
    namespace = await w.namespace(marked="true")
    deployments = w.resource("apps/v1", "deployments", namespace)
    with refused(422, "Invalid", told):
        await deployments.create(workload("marker", 1))
    await deployments.create(workload("replicated", 2))
    await w.resource("apps/v1", "replicasets", namespace).create(workload("single", 1))
    elsewhere = w.resource("apps/v1", "deployments", await w.namespace())
    await elsewhere.create(workload("marker", 1))


@conforms(
    "[sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should validate"
    " against a Deployment [Conformance]"
)
@world()
async def test_deployments_are_validated(w: World) -> None:
    validation = {
        "expression": "object.spec.replicas > 1",
        "messageExpression": "'wants replicas > 1, got ' + string(object.spec.replicas)",
    }
    told = (
        "ValidatingAdmissionPolicy 'policy' with binding 'binding' denied request: "
        "wants replicas > 1, got 1"
    )
    await deny_single_replicas(w, {"validations": [validation]}, told)


@conforms(
    "[sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should allow"
    " expressions to refer variables. [Conformance]"
)
@world()
async def test_expressions_refer_to_variables(w: World) -> None:
    variables = [
        {"name": "replicas", "expression": "object.spec.replicas"},
        {"name": "oldReplicas", "expression": "oldObject.spec.replicas"},
        {
            "name": "replicasReminder",
            "expression": "variables.replicas % 2",
        },
    ]
    validation = {
        "expression": "variables.replicas > 1",
        "messageExpression": "'wants replicas > 1, got ' + string(variables.replicas)",
    }
    even = {"expression": "variables.replicasReminder == 0 || variables.replicas == 1"}
    spec = {"variables": variables, "validations": [validation, even]}
    await deny_single_replicas(w, spec, "wants replicas > 1, got 1")


@conforms(
    "[sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin] should mutate a"
    " Deployment [Conformance]"
)
@world()
async def test_deployments_are_changed(w: World) -> None:
    await mutated(w, "Object{spec: Object.spec{replicas: 1337}}")
    deployments = w.resource("apps/v1", "deployments", await w.namespace(marked="true"))
    made = await deployments.create(workload("replicated", 2))
    assert made["spec"]["replicas"] == 1337
    elsewhere = w.resource("apps/v1", "deployments", await w.namespace())
    assert (await elsewhere.create(workload("other", 2)))["spec"]["replicas"] == 2


@conforms(
    "[sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin] should mutate a"
    " Deployment with annotations [Conformance]"
)
@world()
async def test_deployments_get_annotations(w: World) -> None:
    text = """
        Object{
            metadata: Object.metadata{
                annotations: {"my-foo-annotation": "myAnnotationValue"}
            }
        }"""
    await mutated(w, text)
    deployments = w.resource("apps/v1", "deployments", await w.namespace(marked="true"))
    made = await deployments.create(workload("annotated", 1))
    assert made["metadata"]["annotations"]["my-foo-annotation"] == "myAnnotationValue"


async def mutated(w: World, text: str) -> None:
    mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": text}}
    await bound(w, "mutating", "marked", {"mutations": [mutation], "reinvocationPolicy": "Never"})


def hooks(*expressions: str) -> dict[str, Any]:
    conditions = [
        {"name": f"condition-{index}", "expression": text} for index, text in enumerate(expressions)
    ]
    hook = {
        "name": "conditions.k8s.io",
        "clientConfig": {"url": "https://192.0.2.1/"},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "matchConditions": conditions,
    }
    return {"metadata": {"name": "hooks"}, "webhooks": [hook]}


async def conditions_change(w: World, plural: str) -> None:
    configurations = w.resource(ADMISSION, plural)
    made = await configurations.create(hooks("object.spec.replicas > 1"))
    first = made["webhooks"][0]["matchConditions"]
    assert first == [{"name": "condition-0", "expression": "object.spec.replicas > 1"}]
    texts = ("oldObject == null", "request.userInfo.username != 'system:admin'")
    made["webhooks"] = hooks(*texts)["webhooks"]
    await configurations.update(made)
    stored = (await configurations.get("hooks"))["webhooks"][0]["matchConditions"]
    assert [each["expression"] for each in stored] == list(texts)


async def bad_conditions_are_refused(w: World, plural: str) -> None:
    configurations = w.resource(ADMISSION, plural)
    told = (
        "webhooks[0].matchConditions[0].expression: Invalid value: "
        '"... [] bad expression": compilation failed: ERROR: <input>:1:'
    )
    with refused(422, "Invalid", told):
        await configurations.create(hooks("... [] bad expression"))


@conforms(
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should be able to create"
    " and update validating webhook configurations with match conditions [Conformance]"
)
@world()
async def test_conditions_of_validating_webhooks(w: World) -> None:
    await conditions_change(w, "validatingwebhookconfigurations")


@conforms(
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should be able to create"
    " and update mutating webhook configurations with match conditions [Conformance]"
)
@world()
async def test_conditions_of_mutating_webhooks(w: World) -> None:
    await conditions_change(w, "mutatingwebhookconfigurations")


@conforms(
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should reject validating"
    " webhook configurations with invalid match conditions [Conformance]"
)
@world()
async def test_bad_conditions_of_validating_webhooks(w: World) -> None:
    await bad_conditions_are_refused(w, "validatingwebhookconfigurations")


@conforms(
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should reject mutating"
    " webhook configurations with invalid match conditions [Conformance]"
)
@world()
async def test_bad_conditions_of_mutating_webhooks(w: World) -> None:
    await bad_conditions_are_refused(w, "mutatingwebhookconfigurations")
