"""UDP flows to endpoints that are gone."""

from kybern.proxy.conntrack import Flow, changed, parse, stale

from .test_rules import front

LISTING = """\
udp      17 25 src=10.244.0.5 dst=10.96.0.10 sport=40000 dport=53 src=10.244.0.9 dst=10.244.0.5 \
sport=53 dport=40000 [ASSURED] mark=0 use=1
udp      17 5 src=10.244.0.6 dst=10.96.0.7 sport=5 dport=80 [UNREPLIED] src=10.96.0.7 \
dst=10.244.0.6 sport=80 dport=5 mark=0 use=1
conntrack v1.4.7 (conntrack-tools): 2 flow entries have been shown.
"""


def test_listing():
    assert parse(LISTING) == [
        Flow("10.244.0.5", "10.96.0.10", 40000, 53, "10.244.0.9"),
        Flow("10.244.0.6", "10.96.0.7", 5, 80, "10.96.0.7"),
    ]


def lost(flows, old, new):
    return [f.endpoint for f in stale(flows, changed(old, new, ["192.0.2.1"]))]


def udp(*ips, **more):
    return [front(*ips, protocol="udp", **more)]


def test_only_flows_to_lost_endpoints_are_forgotten():
    flows = [Flow("c", "10.96.0.7", n, 80, ip) for n, ip in enumerate(("a", "b", "10.96.0.7"))]
    assert lost(flows, udp("a", "b"), udp("b", "c")) == ["a", "10.96.0.7"]
    assert lost(flows, udp(), udp("a", "b")) == ["10.96.0.7"]
    assert lost(flows, udp("a"), []) == ["a", "b", "10.96.0.7"]
    assert lost(flows, udp("a"), udp("a")) == []
    assert lost(flows, [front("a")], [front("b")]) == []


def test_node_ports_and_addresses_from_outside():
    flows = [Flow("c", "192.0.2.1", 1, 30053, "a"), Flow("c", "192.0.2.77", 1, 80, "a")]
    outside = {"node_port": 30053, "external_ips": ("192.0.2.77",)}
    assert lost(flows, udp("a", **outside), udp("b", **outside)) == ["a", "a"]
    # what goes to the same port of another machine is none of ours
    elsewhere = [Flow("c", "198.51.100.1", 1, 30053, "a")]
    assert lost(elsewhere, udp("a", **outside), udp("b", **outside)) == []
