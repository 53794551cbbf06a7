"""The ConfigMap with the certificate authority is made, and put right."""

from __future__ import annotations

from kybern.api.core.v1 import ConfigMap, Namespace, NamespaceStatus
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.root_ca.plan import DESCRIPTION, plan

NAMESPACE = Namespace(metadata=ObjectMeta(name="shop"))


def test_made():
    made = plan(NAMESPACE, None, "PEM")
    assert (made.metadata.name, made.metadata.namespace) == ("kube-root-ca.crt", "shop")
    assert made.data == {"ca.crt": "PEM"}
    assert DESCRIPTION in made.metadata.annotations
    assert plan(NAMESPACE, made, "PEM") is None


def test_put_right():
    made = plan(NAMESPACE, None, "PEM")
    made.metadata.resourceVersion = "7"
    made.metadata.labels = {"kept": "yes"}
    made.data = {"ca.crt": "PEM", "more": "x"}
    fixed = plan(NAMESPACE, made, "PEM")
    assert fixed.data == {"ca.crt": "PEM"}
    assert (fixed.metadata.resourceVersion, fixed.metadata.labels) == ("7", {"kept": "yes"})
    assert made.data == {"ca.crt": "PEM", "more": "x"}  # what was borrowed is untouched
    rotated = plan(NAMESPACE, plan(NAMESPACE, None, "PEM"), "NEW")
    assert rotated.data == {"ca.crt": "NEW"}
    plain = ConfigMap(metadata=ObjectMeta(name="x"), data={"ca.crt": "PEM"})
    assert DESCRIPTION in plan(NAMESPACE, plain, "PEM").metadata.annotations


def test_not_where_everything_goes_away():
    leaving = Namespace(
        metadata=ObjectMeta(name="shop"), status=NamespaceStatus(phase="Terminating")
    )
    assert plan(leaving, None, "PEM") is None
