"""What a Service becomes, and transactions: only what changed, in an order that the kernel takes."""

import pytest

from kybern.proxy.endpoints import Target
from kybern.proxy.kernel import Kernel
from kybern.proxy.model import Frontend
from kybern.proxy.rules import EMPTY, render

PODS = "10.244.0.0/16"


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
    wanted = {key: render(fronts, PODS)}
    script = kernel.plan(wanted)
    kernel.applied(wanted)
    return [line for line in script.splitlines() if " element " in line or "add " in line]


def changes(lines):
    return [(line.split()[0], line.split()[4]) for line in lines if " element " in line]


def test_nothing_changes_nothing(kernel):
    turn(kernel, front("10.0.0.1"))
    assert turn(kernel, front("10.0.0.1")) == []


def test_an_ordinary_service_is_elements_only(kernel):
    assert changes(turn(kernel, front("10.0.0.1"))) == [
        ("add", "cluster_addresses"), ("add", "services"), ("add", "tcp-endpoints"),
        ("add", "hairpin"),
    ]  # fmt: skip
    assert render([front("10.0.0.1", node_port=30080)], PODS).chains == {}


def test_what_leads_to_two_endpoints_is_made_once(kernel):
    wanted = {"a/a": render([front("10.0.0.1", "10.0.0.2")], PODS)}
    assert "chain pick-2 {" in kernel.plan(wanted)
    kernel.applied(wanted)
    other = front("10.0.0.3", "10.0.0.4", service="b/b", cluster_ips=("10.96.0.8",))
    assert "chain" not in kernel.plan({"b/b": render([other], PODS)})


def test_only_the_endpoint_that_changed_is_written(kernel):
    turn(kernel, front("10.0.0.1", "10.0.0.2"))
    assert turn(kernel, front("10.0.0.1", "10.0.0.3")) == [
        "delete element ip kybern tcp-endpoints { 10.96.0.7 . 80 . 1 }",
        "delete element ip kybern hairpin { 10.0.0.2 . 10.0.0.2 }",
        "add element ip kybern tcp-endpoints { 10.96.0.7 . 80 . 1 : 10.0.0.3 . 8080 }",
        "add element ip kybern hairpin { 10.0.0.3 . 10.0.0.3 }",
    ]


def test_no_endpoints_are_refused(kernel):
    turn(kernel, front("10.0.0.1"))
    lines = turn(kernel, front())
    assert ("delete", "services") in changes(lines)
    assert ("delete", "cluster_addresses") not in changes(lines)  # which refuse what nobody serves
    outside = render([front(external_ips=("192.0.2.9",), node_port=30080)], PODS).elements
    assert outside["no_endpoints"] == {"192.0.2.9 . tcp . 80": "goto refuse"}
    assert outside["no_endpoint_node_ports"] == {"tcp . 30080": "goto refuse"}


def test_endpoints_elsewhere_that_must_not_be_used_drop(kernel):
    away = front("10.0.0.1", local_targets=(), internal_local=True, external_local=True,
                 node_port=30080)  # fmt: skip
    elements = render([away], PODS).elements
    assert elements["no_endpoints"] == {"10.96.0.7 . tcp . 80": "drop"}
    assert elements["no_endpoint_node_ports"] == {"tcp . 30080": "drop"}
    # pods and the node itself may still use them from the node port
    ((name, rules),) = [c for c in render([away], PODS).chains.items() if c[0].startswith("ext-")]
    assert elements["node_ports"] == {"tcp . 30080": f"goto {name}"}
    assert rules[0].startswith(f"ip saddr {PODS} goto svc-")


def test_a_hairpin_goes_with_the_last_service_that_needs_it(kernel):
    turn(kernel, front("10.0.0.1"))
    other = front("10.0.0.1", service="shop/other", cluster_ips=("10.96.0.8",))
    assert ("add", "hairpin") not in changes(turn(kernel, other, key="shop/other"))
    assert ("delete", "hairpin") not in changes(turn(kernel))
    assert ("delete", "hairpin") in changes(turn(kernel, key="shop/other"))
    assert kernel.services() == []


def test_a_gone_service_leaves_nothing():
    assert render([], PODS) == EMPTY


def test_an_address_may_move_between_services_in_one_transaction(kernel):
    turn(kernel, front("10.0.0.1"))
    wanted = {"a/a": render([front("10.0.0.1", service="a/a")], PODS), "shop/web": EMPTY}
    verbs = [line.split()[0] for line in kernel.plan(wanted).splitlines()]
    assert verbs == sorted(verbs, reverse=True)  # removed first


def test_node_ports_masquerade_unless_the_policy_is_local():
    marked = render([front("10.0.0.1", node_port=30080)], PODS)
    local = render([front("10.0.0.1", node_port=30080, external_local=True)], PODS)
    assert marked.elements["node_ports"] == {"tcp . 30080": "goto node-marked-1"}
    (entry,) = [rules for name, rules in local.chains.items() if name.startswith("ext-")]
    assert entry[-1].startswith("goto loc-")
    assert "jump to-masquerade" not in entry


def test_affinity_needs_a_set_for_each_endpoint(kernel):
    sticky = render([front("10.0.0.1", "10.0.0.2", affinity=60, node_port=30080)], PODS)
    assert len(sticky.sets) == 2
    (first, *_) = [rules for name, rules in sticky.chains.items() if name.startswith("ep-")]
    assert first[0].endswith("{ ip saddr timeout 60s }")
    wanted = {"shop/web": sticky}
    kernel.plan(wanted)
    kernel.applied(wanted)
    script = kernel.plan({"shop/web": render([front("10.0.0.1", "10.0.0.2")], PODS)})
    assert script.count("delete set") == 2
    assert script.rindex("delete chain") < script.rindex("delete set")


def test_both_protocols_of_a_port_are_kept_apart():
    tcp, udp = front("10.0.0.1"), front("10.0.0.2", protocol="udp")
    elements = render([tcp, udp], PODS).elements
    assert elements["tcp-endpoints"] == {"10.96.0.7 . 80 . 0": "10.0.0.1 . 8080"}
    assert elements["udp-endpoints"] == {"10.96.0.7 . 80 . 0": "10.0.0.2 . 8080"}
