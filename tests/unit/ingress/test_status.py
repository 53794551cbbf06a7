"""The addresses of an Ingress, and the certificates in Secrets."""

import base64

import pytest

from kybern.api.core.v1 import Node, NodeAddress, NodeCondition, NodeStatus, Secret
from kybern.ingress import status
from kybern.ingress.certificates import certificate
from kybern.ingress.secrets import refused
from kybern.lib import pki

from .conftest import ingress


@pytest.mark.parametrize(
    ("now", "serving", "expected"),
    [
        ((), True, ["10.0.0.1"]),
        (("10.0.0.1",), True, ["10.0.0.1"]),
        (("10.0.0.2",), True, ["10.0.0.1", "10.0.0.2"]),
        (("10.0.0.1", "10.0.0.2"), False, ["10.0.0.2"]),
        (("10.0.0.9",), True, ["10.0.0.1"]),  # of a node that is gone
        (("10.0.0.9",), False, []),
    ],
)
def test_each_node_answers_for_itself(now, serving, expected):
    alive = {"10.0.0.1", "10.0.0.2"}
    assert status.wanted(now, "10.0.0.1", alive, serving=serving) == expected


def test_nodes_that_are_not_ready_are_not_alive():
    def node(address, ready):
        return Node(
            status=NodeStatus(
                addresses=[NodeAddress(type="InternalIP", address=address)],
                conditions=[NodeCondition(type="Ready", status=ready)],
            )
        )

    assert status.alive([node("10.0.0.1", "True"), node("10.0.0.2", "Unknown")]) == {"10.0.0.1"}


def test_a_status_is_read_and_written():
    one = ingress()
    assert status.current(one) == []
    one.metadata.resourceVersion = "7"
    assert status.patch(one, ["10.0.0.1"]) == {
        "metadata": {"resourceVersion": "7"},
        "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}},
    }


@pytest.fixture(scope="module")
def pairs():
    authority = pki.make_ca("ca", now=0)
    return [pki.issue(authority, pki.Subject(name), now=0, server=True) for name in ("a", "b")]


def secret(**data):
    return Secret(data={k: base64.b64encode(v).decode() for k, v in data.items()})


def test_a_certificate_has_its_key_behind_it(pairs):
    one = pairs[0]
    found = certificate("x", secret(**{"tls.crt": one.certificate, "tls.key": one.key}))
    assert found.problem == ""
    assert found.pem == one.certificate + one.key


def test_certificates_that_cannot_be(pairs):
    one, other = pairs
    assert certificate("x", None).problem == 'Secret "x" not found'
    assert certificate("x", Secret()).problem == 'Secret "x" has no tls.crt and no tls.key'
    mixed = secret(**{"tls.crt": one.certificate, "tls.key": other.key})
    assert certificate("x", mixed).problem == 'Secret "x" has a key that is not its certificate\'s'
    for data in (
        {"tls.crt": b"no", "tls.key": one.key},
        {"tls.crt": one.certificate, "tls.key": b"no"},
    ):
        found = certificate("x", secret(**data))
        assert found.problem.startswith('Secret "x" has no usable certificate: ')
        assert not found.pem


def test_openssl_has_the_last_word(pairs):
    one, other = pairs
    assert refused(one.certificate + one.key) == ""
    assert refused(one.certificate + other.key) != ""
