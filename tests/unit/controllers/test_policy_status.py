"""Policies are checked once for each generation, against the real API server."""

from __future__ import annotations

import asyncio

from tests.conformance.definitions import definition, version
from tests.unit.controllers.cluster import cluster

from kybern.api.admissionregistration.v1 import ParamKind, Validation
from kybern.api.admissionregistration.v1 import ValidatingAdmissionPolicy as Policy
from kybern.api.apiextensions.v1 import CustomResourceDefinition
from kybern.api.codec import from_tree
from kybern.api.errors import NotFound
from kybern.lib.clock import run_virtual

RULE = {
    "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["deployments"],
}  # fmt: skip


def policy(text):
    spec = {
        "matchConstraints": {"resourceRules": [RULE]}, "validations": [{"expression": text}],
    }  # fmt: skip
    return from_tree({"metadata": {"name": "p"}, "spec": spec}, Policy)


def test_types_are_checked():
    async def main():
        async with cluster("validatingadmissionpolicy-status-controller", nodes=False) as it:
            await it.client.create(policy("object.spec.replicas > 1"))
            await it.settle(2)
            status = (await it.client.get(Policy, "p")).status
            assert status.observedGeneration == 1
            assert status.typeChecking is not None
            assert not status.typeChecking.expressionWarnings
            spec = {"validations": [{"expression": "object.spec.replicas > '1'"}]}
            await it.client.patch(Policy, "p", "", {"spec": spec})
            await it.settle(2)
            status = (await it.client.get(Policy, "p")).status
            assert status.observedGeneration == 2
            (warning,) = status.typeChecking.expressionWarnings
            assert warning.fieldRef == "spec.validations[0].expression"
            fine = {"validations": [{"expression": "true"}]}
            await it.client.patch(Policy, "p", "", {"spec": fine})
            await it.settle(2)
            status = (await it.client.get(Policy, "p")).status
            assert not status.typeChecking.expressionWarnings
            await it.quiet()

    run_virtual(main())


SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "replicas": {"type": "integer"},
                "until": {"type": "string", "format": "date-time"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "limits": {"type": "object", "additionalProperties": {"type": "number"}},
                "port": {"x-kubernetes-int-or-string": True},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            },
        }
    },
}  # fmt: skip
FINE = (
    "object.spec.replicas > 1 && object.spec.tags.all(t, t.startsWith('a')) "
    "&& object.spec.limits['a'] < 1.5 && object.spec.until < timestamp(0) "
    "&& (object.spec.port == 1 || object.spec.port == 'a') && object.spec.free.x.y == 1 "
    "&& object.metadata.name != '' && params.spec.replicas < 3"
)


def test_kinds_of_users_are_checked():
    async def main():
        async with cluster("validatingadmissionpolicy-status-controller", nodes=False) as it:
            body = definition(version("v1", SCHEMA))
            await it.client.create(from_tree(body, CustomResourceDefinition))
            async with asyncio.timeout(60):
                while b"crontabs" not in await _answer(it, "/apis/stable.example.com/v1"):
                    await asyncio.sleep(1)
            obj = policy(FINE)
            rule = obj.spec.matchConstraints.resourceRules[0]
            rule.apiGroups, rule.resources = ["stable.example.com"], ["crontabs"]
            obj.spec.paramKind = from_tree(
                {"apiVersion": "stable.example.com/v1", "kind": "CronTab"}, ParamKind
            )
            bad = ("object.spec.bar == 1", "object.spec.tags == 1", "params.spec.foo == 1")
            obj.spec.validations += [Validation(expression=text) for text in bad]
            await it.client.create(obj)
            await it.settle(2)
            found = (await it.client.get(Policy, "p")).status.typeChecking.expressionWarnings
            assert [each.fieldRef for each in found] == [
                f"spec.validations[{index}].expression" for index in (1, 2, 3)
            ]
            told = "stable.example.com/v1, Kind=CronTab: ERROR: <input>:1:12: undefined field 'bar'"
            assert found[0].warning.startswith(told)

    run_virtual(main())


async def _answer(it, path):
    try:
        return await it.client.raw("GET", path)
    except NotFound:
        return b""
