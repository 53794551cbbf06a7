"""Which right gets a request approved."""

from __future__ import annotations

import pytest
from tests.unit.controllers.csrsigning.test_plan import ANY, CLIENT, NODE, SERVER, request

from kybern.controllers.csrapproving.plan import NODE as NODE_RIGHT
from kybern.controllers.csrapproving.plan import SELF, plan

KUBELET = "kube-apiserver-client-kubelet"


def test_a_new_node_and_a_known_one():
    new = request(KUBELET, NODE, CLIENT, (), username="system:bootstrap:abcdef")
    assert plan(new) == (NODE_RIGHT,)
    known = request(KUBELET, NODE, CLIENT, (), username="system:node:n1")
    assert plan(known) == (SELF, NODE_RIGHT)


@pytest.mark.parametrize(
    "asked",
    [
        request(KUBELET, NODE, CLIENT, ("Approved",)),
        request(KUBELET, NODE, CLIENT, ("Denied",)),
        request(KUBELET, NODE, SERVER, ()),
        request(KUBELET, ANY, CLIENT, ()),
        request("kube-apiserver-client", NODE, CLIENT, ()),
        request("kubelet-serving", NODE, CLIENT, ()),
    ],
)
def test_what_is_left_to_people(asked):
    assert plan(asked) == ()
