"""Which endpoints this node uses."""

import pytest

from kybern.api.discovery.v1 import (
    Endpoint,
    EndpointConditions,
    EndpointHints,
    ForNode,
    ForZone,
)
from kybern.proxy.endpoints import Backend, choose


def backend(ip, node="one", nodes=(), zones=(), **conditions):
    hints = EndpointHints(
        forNodes=[ForNode(name=n) for n in nodes] or None,
        forZones=[ForZone(name=z) for z in zones] or None,
    )
    endpoint = Endpoint(
        addresses=[ip], nodeName=node, conditions=EndpointConditions(**conditions), hints=hints
    )
    return Backend.of(endpoint, 80, "one")


LEAVING = {"ready": False, "serving": True, "terminating": True}


@pytest.mark.parametrize(
    ("backends", "anywhere", "here"),
    [
        ([], "", ""),
        ([backend("a"), backend("b", "two"), backend("c", ready=False)], "ab", "a"),
        # terminating ones, for each kind of traffic by itself
        ([backend("a", **LEAVING), backend("b", "two")], "b", "a"),
        ([backend("a", **LEAVING), backend("b", "two", **LEAVING)], "ab", "a"),
        ([backend("a", ready=False, serving=True)], "", ""),
        ([backend("a", ready=False, serving=False, terminating=True)], "", ""),
        # hints: for this node, else for this zone, else nobody's
        ([backend("a", nodes=["one"]), backend("b", "two", nodes=["two"])], "a", "a"),
        ([backend("a", nodes=["two"]), backend("b", "two", nodes=["two"])], "ab", "a"),
        ([backend("a", zones=["x"]), backend("b", "two", zones=["here"])], "b", "a"),
        ([backend("a", zones=["x"]), backend("b", "two", zones=["y"])], "ab", "a"),
        ([backend("a"), backend("b", "two", zones=["here"])], "ab", "a"),
        (
            [backend("a", nodes=["two"], zones=["here"]), backend("b", nodes=["x"], zones=["y"])],
            "a",
            "ab",
        ),
        # an endpoint that is not ready has no say
        ([backend("a", ready=False), backend("b", "two", zones=["here"])], "b", ""),
    ],
)
def test_choice(backends, anywhere, here):
    chosen = choose(backends, "one", "here")
    assert ["".join(t.ip for t in targets) for targets in chosen] == [anywhere, here]
