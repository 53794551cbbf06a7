"""Policies are checked once for each generation, against the real API server."""

from __future__ import annotations

from tests.unit.controllers.cluster import cluster

from kybern.api.admissionregistration.v1 import ValidatingAdmissionPolicy as Policy
from kybern.api.codec import from_tree
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
