"""Which serving certificates a node may have."""

import base64

import pytest

from kybern.api.certificates.v1 import CertificateSigningRequest as Csr
from kybern.api.certificates.v1 import CertificateSigningRequestSpec
from kybern.api.core.v1 import Node, NodeAddress, NodeStatus
from kybern.api.meta.v1 import ObjectMeta
from kybern.cluster.join import NODES, SERVING_SIGNER
from kybern.cmd.joining import refusal
from kybern.lib import pki

WORKER = "system:node:worker"
SERVICES = ("10.96.0.0/16", "fd96::/112")
KEY = pki.make_key()


def node(name, address):
    status = NodeStatus(addresses=[NodeAddress(type="InternalIP", address=address)])
    return Node(metadata=ObjectMeta(name=name), status=status)


OTHERS = [node("worker", "10.0.0.1"), node("other", "10.0.0.2")]


def csr(subject, *, user=WORKER, groups=(NODES,), usages=("digital signature", "server auth")):
    request = base64.b64encode(pki.make_request(subject, KEY)).decode()
    spec = CertificateSigningRequestSpec(
        request=request, signerName=SERVING_SIGNER, usages=list(usages), username=user,
        groups=list(groups),
    )  # fmt: skip
    return Csr(metadata=ObjectMeta(name="x"), spec=spec)


def subject(name=WORKER, organizations=(NODES,), dns=("worker",), ips=("10.0.0.1",), **more):
    return pki.Subject(name, organizations, dns, ips, **more)


def test_a_node_may_serve_under_its_own_name_and_address():
    assert refusal(csr(subject()), OTHERS, SERVICES) == ""
    assert refusal(csr(subject(ips=("10.0.0.9", "::1"))), OTHERS, SERVICES) == ""


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (csr(subject(), user="jane"), "jane is no node"),
        (csr(subject(), groups=()), "is no node"),
        (csr(subject("system:node:other")), "it is for system:node:other"),
        (csr(subject(organizations=("system:masters",))), "it is for"),
        (csr(subject(dns=("worker", "kubernetes"))), "names that are not the node's"),
        (csr(subject(uris=("spiffe://x",))), "names that are not the node's"),
        (csr(subject(ips=("10.0.0.2",))), "10.0.0.2 is another node's address"),
        (csr(subject(ips=("10.96.0.1",))), "an address of Services"),
        (csr(subject(ips=("fd96::1",))), "an address of Services"),
        (
            csr(subject("system:node:localhost", dns=("localhost",)), user="system:node:localhost"),
            "is a name of the API server",
        ),
        (csr(subject(), usages=("client auth",)), "not only for serving"),
    ],
)
def test_and_under_no_other(request_, why):
    assert why in refusal(request_, OTHERS, SERVICES)


def test_rubbish_is_refused():
    found = csr(subject())
    found.spec.request = base64.b64encode(b"rubbish").decode()
    assert refusal(found, OTHERS, SERVICES)
