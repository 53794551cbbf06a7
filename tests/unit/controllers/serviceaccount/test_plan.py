"""Every namespace gets its service account."""

from __future__ import annotations

from kybern.api.core.v1 import Namespace, NamespaceStatus
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.serviceaccount.plan import plan

NAMESPACE = Namespace(metadata=ObjectMeta(name="shop"))


def test_what_is_missing_is_made():
    (made,) = plan(NAMESPACE, ())
    assert (made.metadata.name, made.metadata.namespace) == ("default", "shop")
    assert plan(NAMESPACE, {"default"}) == ()


def test_not_where_everything_goes_away():
    leaving = Namespace(metadata=NAMESPACE.metadata, status=NamespaceStatus(phase="Terminating"))
    assert plan(leaving, ()) == ()
