"""Who answers for a Service's port."""

import pytest

from kybern.ingress import slots
from kybern.ingress.backends import H2C, HTTP, HTTPS, Target, resolve, targets

from .conftest import endpoint, piece, to


def ips(*pieces):
    return [each.ip for each in targets(pieces, "http")]


def test_ready_endpoints_first_then_those_that_still_serve():
    ready = endpoint("10.0.0.1", ready=True)
    ending = endpoint("10.0.0.2", ready=False, serving=True, terminating=True)
    out = endpoint("10.0.0.3", ready=False, serving=False, terminating=False)
    assert ips(piece(ready, ending, out)) == ["10.0.0.1"]
    assert ips(piece(ending, out)) == ["10.0.0.2"]
    assert ips(piece(out)) == []
    assert ips(piece(endpoint("10.0.0.4"))) == ["10.0.0.4"]  # what is not told means yes


def test_slices_are_joined_by_the_port_name():
    assert targets([piece(endpoint("10.0.0.1")), piece(endpoint("10.0.0.2"), port=81)], "http") == (
        Target("10.0.0.1", 8080), Target("10.0.0.2", 81),
    )  # fmt: skip
    assert targets([piece(endpoint("10.0.0.1"))], "other") == ()


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        (None, HTTP), ("http", HTTP), ("kubernetes.io/ws", HTTP), ("kubernetes.io/h2c", H2C),
        ("grpc", H2C), ("https", HTTPS), ("kubernetes.io/wss", HTTPS),
    ],
)  # fmt: skip
def test_protocols(world, protocol, expected):
    world.add("web", protocol=protocol)
    assert resolve(to("web"), ("shop", "web"), world.around).protocol == expected


def at(*numbers):
    return tuple(None if n is None else Target(f"10.0.0.{n}", 80) for n in numbers)


@pytest.mark.parametrize(
    ("old", "wanted", "new"),
    [
        (at(1, None), at(1), at(1, None)),
        (at(1, None), at(1, 2), at(1, 2)),
        (at(1, None, None), at(2), at(None, 2, None)),  # not where 1 was: it may still be in use
        (at(1, None), at(2, 3), at(3, 2)),
        (at(1, 2), at(), at(None, None)),
        (at(1, None), at(1, 2, 3), None),
    ],
)
def test_servers_move(old, wanted, new):
    assert slots.moved(old, wanted) == new


def test_who_is_new_comes_before_who_leaves():
    assert slots.commands("b", at(1, None), at(None, 2)) == [
        "set server b/s2 addr 10.0.0.2 port 80",
        "set server b/s2 state ready",
        "set server b/s1 state maint",
    ]
    assert slots.commands("b", at(1, None), at(1, None)) == []
