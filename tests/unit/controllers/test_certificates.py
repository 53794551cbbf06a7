"""Certificate requests from being asked for to being gone, against the real API server."""

from __future__ import annotations

import base64

import pytest
from tests.unit.controllers.cluster import cluster

from kybern.api import errors
from kybern.api.certificates.v1 import (
    CertificateSigningRequest,
    CertificateSigningRequestCondition,
    CertificateSigningRequestSpec,
)
from kybern.api.meta.v1 import ObjectMeta
from kybern.api.rbac.v1 import ClusterRoleBinding, RoleRef, Subject
from kybern.client.transport import Identity
from kybern.cmd import cluster_info
from kybern.lib import pki
from kybern.lib.clock import run_virtual

CONTROLLERS = ("csrsigning", "csrapproving", "csrcleaner")
RBAC = "rbac.authorization.k8s.io"
SERVING = "kubernetes.io/kubelet-serving"
KUBELET = "kubernetes.io/kube-apiserver-client-kubelet"
NODE = pki.Subject("system:node:n1", ("system:nodes",))
CLIENT = ["client auth", "digital signature"]
TOKEN = Identity("system:bootstrap:abcdef", ("system:bootstrappers", cluster_info.GROUP))
MEMBER = Identity("system:node:n1", ("system:nodes",))


def request(name, signer=KUBELET, subject=NODE, usages=CLIENT, **spec):
    pem = base64.b64encode(pki.make_request(subject, pki.make_key())).decode()
    spec = CertificateSigningRequestSpec(request=pem, signerName=signer, usages=usages, **spec)
    return CertificateSigningRequest(metadata=ObjectMeta(name=name), spec=spec)


def options():
    ca = pki.make_ca("kubernetes", now=0.0, lifetime=5e9)
    return ca, {"signers": {KUBELET: ca, SERVING: ca}}


async def found(it, name):
    return await it.client.get(CertificateSigningRequest, name)


def test_a_machine_that_joins_gets_a_certificate_and_later_another():
    async def main():
        ca, more = options()
        async with cluster(*CONTROLLERS, nodes=False, **more) as it:
            await cluster_info.ensure(it.client, "https://192.0.2.1:6443", ca.certificate)
            await it.client_as(TOKEN).create(request("first", expirationSeconds=86400))
            await it.client_as(MEMBER).create(request("second"))
            await it.settle(2)
            for name, message in (
                ("first", "Auto approving kubelet client"),
                ("second", "Auto approving self kubelet client"),
            ):
                got = await found(it, name)
                (approved,) = got.status.conditions
                assert (approved.type, approved.reason) == ("Approved", "AutoApproved")
                assert approved.message.startswith(message)
                certificate = base64.b64decode(got.status.certificate)
                assert pki.signed_by(certificate, ca.certificate)
                assert pki.parse_certificate(certificate)[0] == NODE
            await it.settle(3700)
            for name in ("first", "second"):
                with pytest.raises(errors.NotFound):
                    await found(it, name)
            await it.quiet()

    run_virtual(main())


async def allow(it, role, user):
    name = f"system:{role}"
    binding = ClusterRoleBinding(
        metadata=ObjectMeta(name=role.replace(":", "-")),
        roleRef=RoleRef(apiGroup=RBAC, kind="ClusterRole", name=name),
        subjects=[Subject(apiGroup=RBAC, kind="User", name=user)],
    )
    await it.client.create(binding)
    await it.settle(1)


def test_who_has_no_right_waits_until_it_is_granted():
    async def main():
        _, more = options()
        async with cluster(*CONTROLLERS, nodes=False, **more) as it:
            await allow(it, "node-bootstrapper", "machine")
            await it.client_as(Identity("machine")).create(request("r"))
            await it.settle(10)
            assert not (await found(it, "r")).status.conditions
            await allow(it, "certificates.k8s.io:certificatesigningrequests:nodeclient", "machine")
            await it.settle(60)
            assert (await found(it, "r")).status.certificate

    run_virtual(main())


def test_serving_certificates_wait_for_people():
    async def main():
        _, more = options()
        async with cluster(*CONTROLLERS, nodes=False, **more) as it:
            named = pki.Subject("system:node:n1", ("system:nodes",), ("n1",))
            for one in (
                request("serving", SERVING, named, ["server auth", "digital signature"]),
                request("bad", SERVING),
                request("foreign", "example.com/mine"),
            ):
                made = await it.client.create(one)
                await it.settle(2)
                assert not (await found(it, made.metadata.name)).status.conditions
                yes = CertificateSigningRequestCondition(
                    type="Approved", status="True", reason="LooksGood"
                )
                made.status.conditions = [yes]
                await it.client.update(made, subresource="approval")
            await it.settle(2)
            assert (await found(it, "serving")).status.certificate
            failed = (await found(it, "bad")).status.conditions[1]
            assert (failed.type, failed.reason) == ("Failed", "SignerValidationFailure")
            assert failed.message == "DNS or IP subjectAltName is required"
            assert not (await found(it, "foreign")).status.certificate
            await it.settle(3700)
            left = (await it.client.list(CertificateSigningRequest))[0]
            assert [one.metadata.name for one in left] == ["foreign"]
            await it.quiet()

    run_virtual(main())
