"""Transactions: only what changed, and in an order that the kernel takes."""

import pytest

from kybern.proxy.model import Frontend, Target
from kybern.proxy.rules import EMPTY, Kernel, render
from kybern.proxy.sync import stale_flows


def front(*ips, **more):
    targets = tuple(Target(ip, 8080) for ip in ips)
    values = {
        "service": "shop/web", "port_name": "http", "protocol": "tcp", "port": 80, "node_port": 0,
        "cluster_ips": ("10.96.0.7",), "external_ips": (), "targets": targets,
        "local_targets": targets, "internal_local": False, "external_local": False,
    }  # fmt: skip
    return Frontend(**(values | more))


@pytest.fixture
def kernel():
    return Kernel("kybern")


def turn(kernel, *fronts, key="shop/web"):
    wanted = {key: render(fronts)}
    commands = kernel.plan(wanted)
    kernel.applied(wanted)
    return [
        (verb, *next(iter(body.items()))) for command in commands for verb, body in command.items()
    ]


def names(commands):
    return [(verb, kind, body.get("name") or body.get("chain")) for verb, kind, body in commands]


def test_nothing_changes_nothing(kernel):
    turn(kernel, front("10.0.0.1"))
    assert turn(kernel, front("10.0.0.1")) == []


def test_a_chain_is_there_before_what_leads_to_it(kernel):
    commands = names(turn(kernel, front("10.0.0.1")))
    kinds = [kind for _, kind, _ in commands]
    assert kinds == ["chain", "rule", "element", "element"]


def test_new_endpoints_replace_one_rule(kernel):
    turn(kernel, front("10.0.0.1"))
    commands = turn(kernel, front("10.0.0.1", "10.0.0.2"))
    assert [(v, k) for v, k, _ in commands] == [
        ("flush", "chain"), ("add", "rule"), ("add", "element"),
    ]  # fmt: skip
    assert commands[2][2]["name"] == "hairpin"


def test_no_endpoints_are_refused(kernel):
    turn(kernel, front("10.0.0.1"))
    commands = names(turn(kernel, front()))
    assert ("delete", "element", "cluster_ips") in commands
    assert ("add", "element", "no_endpoints") in commands
    assert commands[-1][:2] == ("delete", "chain")


def test_a_hairpin_goes_with_the_last_service_that_needs_it(kernel):
    turn(kernel, front("10.0.0.1"))
    turn(kernel, front("10.0.0.1", service="shop/other"), key="shop/other")
    assert ("delete", "element", "hairpin") not in names(turn(kernel))
    assert ("delete", "element", "hairpin") in names(turn(kernel, key="shop/other"))
    assert kernel.services() == []


def test_a_gone_service_leaves_nothing():
    assert render([]) == EMPTY


def test_node_ports_masquerade_unless_the_policy_is_local():
    marked = render([front("10.0.0.1", node_port=30080)])
    local = render([front("10.0.0.1", node_port=30080, external_local=True)])
    (chain,) = [rules for name, rules in marked.chains.items() if name.startswith("ext-")]
    assert chain[0] == [{"jump": {"target": "mark"}}]
    (chain,) = [rules for name, rules in local.chains.items() if name.startswith("ext-")]
    assert chain[0] != [{"jump": {"target": "mark"}}]


@pytest.mark.parametrize(
    ("old", "new", "stale"),
    [
        (front("a", protocol="udp"), front("a", "b", protocol="udp"), set()),
        (front("a", protocol="udp"), front("b", protocol="udp"), {("10.96.0.7", 80)}),
        (front(protocol="udp"), front("b", protocol="udp"), {("10.96.0.7", 80)}),
        (front("a"), front("b"), set()),
    ],
)
def test_udp_flows_to_lost_endpoints_are_forgotten(old, new, stale):
    assert stale_flows([old], [new]) == stale
