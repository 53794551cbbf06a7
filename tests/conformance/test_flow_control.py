"""FlowSchemas and PriorityLevelConfigurations, as objects."""

from __future__ import annotations

from tests.conformance.marks import conforms
from tests.conformance.operations import operations
from tests.conformance.world import World, world

GROUP = "flowcontrol.apiserver.k8s.io/v1"


@conforms(
    "[sig-api-machinery] API priority and fairness should support FlowSchema API operations"
    " [Conformance]"
)
@world()
async def test_flow_schemas(w: World) -> None:
    schemas = w.resource(GROUP, "flowschemas")
    body = {
        "spec": {
            "matchingPrecedence": 10000,
            "priorityLevelConfiguration": {"name": "global-default"},
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [
                {
                    "subjects": [{"kind": "User", "user": {"name": "example-e2e-non-existent"}}],
                    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
                }
            ],
        }
    }
    condition = {"type": "Patched", "status": "True", "reason": "test", "message": "by a test",
                 "lastTransitionTime": "2026-01-02T03:04:05Z"}  # fmt: skip
    await operations(
        w, schemas, body, subresources=("status",),
        status=({"conditions": [condition]}, {"conditions": [{**condition, "status": "False"}]}),
    )  # fmt: skip
    made = await schemas.create({"metadata": {"name": "one"}, **body})
    patched = await schemas.patch("one", {"spec": {"matchingPrecedence": 9999}})
    assert patched["spec"] == {**made["spec"], "matchingPrecedence": 9999}
    assert patched["metadata"]["generation"] == 2
    there = await schemas.names()
    assert {"exempt", "probes", "system-nodes", "catch-all", "service-accounts"} <= set(there)


@conforms(
    "[sig-api-machinery] API priority and fairness should support PriorityLevelConfiguration API"
    " operations [Conformance]"
)
@world()
async def test_priority_levels(w: World) -> None:
    levels = w.resource(GROUP, "prioritylevelconfigurations")
    body = {
        "spec": {
            "type": "Limited",
            "limited": {
                "nominalConcurrencyShares": 2, "lendablePercent": 0,
                "limitResponse": {"type": "Reject"},
            },
        }
    }  # fmt: skip
    condition = {"type": "Patched", "status": "True", "reason": "test", "message": "by a test",
                 "lastTransitionTime": "2026-01-02T03:04:05Z"}  # fmt: skip
    await operations(
        w, levels, body, subresources=("status",),
        status=({"conditions": [condition]}, {"conditions": [{**condition, "status": "False"}]}),
    )  # fmt: skip
    await levels.create({"metadata": {"name": "one"}, **body})
    patched = await levels.patch("one", {"spec": {"limited": {"nominalConcurrencyShares": 4}}})
    assert patched["spec"]["limited"]["nominalConcurrencyShares"] == 4
    assert {"exempt", "catch-all", "system", "workload-low"} <= set(await levels.names())
