"""Admission policies, quotas, cron jobs and definitions, as objects: nothing acts on them here."""

from __future__ import annotations

from tests.conformance.marks import conforms
from tests.conformance.operations import operations, served
from tests.conformance.wire import MERGE
from tests.conformance.world import World, refused, world

ADMISSION = "admissionregistration.k8s.io/v1"
MATCH = {
    "matchConstraints": {
        "resourceRules": [
            {
                "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"],
                "resources": ["deployments"],
            }
        ]
    },
    "failurePolicy": "Fail",
}  # fmt: skip
CONDITION = {
    "type": "Tested", "status": "True", "reason": "test", "message": "by a test",
    "lastTransitionTime": "2026-01-02T03:04:05Z",
}  # fmt: skip


@conforms(
    "[sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should support"
    " ValidatingAdmissionPolicy API operations [Conformance]"
)
@world(controllers=False)  # one of them writes into the status of new policies
async def test_validating_policies(w: World) -> None:
    policies = w.resource(ADMISSION, "validatingadmissionpolicies")
    body = {"spec": {**MATCH, "validations": [{"expression": "object.spec.replicas <= 100"}]}}
    await operations(
        w, policies, body, subresources=("status",),
        status=(
            {"conditions": [CONDITION]}, {"conditions": [{**CONDITION, "status": "False"}]},
        ),
    )  # fmt: skip


@conforms(
    "[sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should support"
    " ValidatingAdmissionPolicyBinding API operations [Conformance]"
)
@world()
async def test_bindings_of_validating_policies(w: World) -> None:
    bindings = w.resource(ADMISSION, "validatingadmissionpolicybindings")
    await operations(w, bindings, {"spec": {"policyName": "policy", "validationActions": ["Deny"]}})


@conforms(
    "[sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin] should support"
    " MutatingAdmissionPolicy API operations [Conformance]"
)
@world()
async def test_mutating_policies(w: World) -> None:
    policies = w.resource(ADMISSION, "mutatingadmissionpolicies")
    mutation = {
        "patchType": "ApplyConfiguration",
        "applyConfiguration": {"expression": "Object{spec: Object.spec{replicas: 1337}}"},
    }
    body = {"spec": {**MATCH, "reinvocationPolicy": "Never", "mutations": [mutation]}}
    await operations(w, policies, body)


@conforms(
    "[sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin] should support"
    " MutatingAdmissionPolicyBinding API operations [Conformance]"
)
@world()
async def test_bindings_of_mutating_policies(w: World) -> None:
    bindings = w.resource(ADMISSION, "mutatingadmissionpolicybindings")
    await operations(w, bindings, {"spec": {"policyName": "policy"}})


@conforms("[sig-apps] CronJob should support CronJob API operations [Conformance]")
@world()
async def test_cron_jobs(w: World) -> None:
    jobs = w.resource("batch/v1", "cronjobs", await w.namespace())
    pod = {"restartPolicy": "OnFailure", "containers": [{"name": "c", "image": "busybox"}]}
    body = {
        "spec": {
            "schedule": "* */1 * * ?", "concurrencyPolicy": "Allow",
            "jobTemplate": {"spec": {"template": {"spec": pod}}},
        }
    }  # fmt: skip
    await operations(
        w, jobs, body, subresources=("status",),
        status=(
            {"lastScheduleTime": "2026-01-02T03:04:05Z"},
            {"lastScheduleTime": "2026-01-02T03:05:05Z"},
        ),
    )  # fmt: skip


def quota(name: str) -> dict:
    hard = {"cpu": "1", "memory": "500Mi"}
    return {"metadata": {"name": name, "labels": {"test": name}}, "spec": {"hard": hard}}


@conforms(
    "[sig-api-machinery] ResourceQuota should be able to update and delete ResourceQuota."
    " [Conformance]"
)
@world()
async def test_quotas_change(w: World) -> None:
    quotas = w.resource("v1", "resourcequotas", await w.namespace())
    made = await quotas.create(quota("one"))
    assert (await quotas.get("one"))["spec"]["hard"] == {"cpu": "1", "memory": "500Mi"}
    made["spec"]["hard"] = {"cpu": "2000m", "memory": "1024Mi"}
    updated = await quotas.update(made)
    assert updated["spec"]["hard"] == {"cpu": "2", "memory": "1Gi"}
    assert (await quotas.get("one"))["spec"]["hard"] == {"cpu": "2", "memory": "1Gi"}
    await quotas.delete("one")
    assert await quotas.missing("one")


@conforms(
    "[sig-api-machinery] ResourceQuota should manage the lifecycle of a ResourceQuota [Conformance]"
)
@world()
async def test_quotas_live(w: World) -> None:
    quotas = w.resource("v1", "resourcequotas", await w.namespace())
    await quotas.create(quota("one"))
    assert await quotas.names("test=one", everywhere=True) == ["one"]
    change = {"metadata": {"labels": {"one": "patched"}}, "spec": {"hard": {"memory": "750Mi"}}}
    patched = await quotas.patch("one", change, MERGE)
    assert patched["spec"]["hard"] == {"cpu": "1", "memory": "750Mi"}
    assert patched["metadata"]["labels"] == {"test": "one", "one": "patched"}
    await quotas.delete_collection("one=patched")
    assert await quotas.items("one=patched", everywhere=True) == []
    with refused(422, "Invalid", "spec.hard"):
        await quotas.create({"metadata": {"name": "two"}, "spec": {"hard": {"pods": "-1"}}})


@conforms(
    "[sig-api-machinery] CustomResourceDefinition resources [Privileged:ClusterAdmin] should"
    " include custom resource definition resources in discovery documents [Conformance]"
)
@world()
async def test_definitions_are_discovered(w: World) -> None:
    known = await served(w, "apiextensions.k8s.io/v1", "customresourcedefinitions")
    assert known["customresourcedefinitions"]["kind"] == "CustomResourceDefinition"
    group = await w.get("/apis/apiextensions.k8s.io")
    assert group["preferredVersion"]["version"] == "v1"
