"""What NetworkPolicies let through, judged by the rules made of them."""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kybern.api import codec
from kybern.api.core.v1 import Pod
from kybern.api.networking.v1 import NetworkPolicy
from kybern.network.policy.peers import Peers, facts_of
from kybern.network.policy.plan import EGRESS, INGRESS, Ruleset, peers_of, plan
from kybern.network.policy.script import changes, empty_table

NODE = "n"
NAMESPACES = {"blue": {"team": "blue"}, "red": {"team": "red"}}


def pod(namespace: str, name: str, address: str, **labels: str) -> Pod:
    ports = [{"name": "web", "containerPort": 8080}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}]  # fmt: skip
    return codec.from_tree(
        {
            "metadata": {"namespace": namespace, "name": name, "labels": labels},
            "spec": {"nodeName": NODE, "containers": [{"name": "c", "ports": ports}]},
            "status": {"phase": "Running", "podIP": address},
        },
        Pod,
    )


PODS = [
    pod("blue", "a", "10.0.0.1", app="a"),
    pod("blue", "b", "10.0.0.2", app="b"),
    pod("red", "a", "10.0.0.3", app="a"),
    pod("red", "b", "10.0.0.4", app="b"),
]
OUTSIDE = "192.0.2.7"


def policy(namespace: str = "blue", name: str = "p", **spec: Any) -> NetworkPolicy:
    spec.setdefault("podSelector", {})
    return codec.from_tree(
        {"metadata": {"namespace": namespace, "name": name}, "spec": spec}, NetworkPolicy
    )


def peers(pods: list[Pod] = PODS) -> Peers:
    found = Peers()
    for name, labels in NAMESPACES.items():
        found.put_namespace(name, labels)
    for each in pods:
        found.put_pod((each.metadata.namespace, each.metadata.name), facts_of(each))
    return found


def ruleset(*policies: NetworkPolicy, among: Peers | None = None) -> Ruleset:
    among = among or peers()
    among.keep(peers_of(policies))
    named = {(p.metadata.namespace, p.metadata.name): p for p in policies}
    return plan(named, among, NODE)


def passes(rules: Ruleset, source: str, target: str, protocol: str = "tcp", port: int = 80) -> bool:
    """Say what becomes of the first packet of a connection."""
    packet = {"saddr": source, "daddr": target, "l4proto": protocol, "th dport": port}
    for way, address in ((EGRESS, source), (INGRESS, target)):
        chain = rules.judges[way].get(address)
        if chain is not None and not any(_returns(r, rules, packet) for r in rules.chains[chain]):
            return False
    return True


def _returns(rule: str, rules: Ruleset, packet: dict[str, Any]) -> bool:
    if not rule.endswith("return"):
        assert rule == "drop"
        return False
    rest = rule.removesuffix("return").strip()
    while rest:
        if found := re.match(r"ip daddr \. meta l4proto \. th dport @(\w+)", rest):
            key = (packet["daddr"], packet["l4proto"], packet["th dport"])
            holds = key in rules.ports[found[1]]
        elif found := re.match(r"ip (saddr|daddr) @(\w+)", rest):
            holds = packet[found[1]] in rules.addresses[found[2]]
        elif found := re.match(r"ip (saddr|daddr) != \{ ([^}]*) \}", rest):
            address = ipaddress.ip_address(packet[found[1]])
            holds = all(address not in ipaddress.ip_network(n) for n in found[2].split(", "))
        elif found := re.match(r"ip (saddr|daddr) ([\d./]+)", rest):
            holds = ipaddress.ip_address(packet[found[1]]) in ipaddress.ip_network(found[2])
        elif found := re.match(r"meta l4proto (\w+)", rest):
            holds = packet["l4proto"] == found[1]
        elif found := re.match(r"th dport (\d+)(?:-(\d+))?", rest):
            holds = int(found[1]) <= packet["th dport"] <= int(found[2] or found[1])
        else:
            raise AssertionError(f"no such condition: {rest}")
        if not holds:
            return False
        rest = rest[found.end() :].strip()
    return True


A, B, RED_A, RED_B = (each.status.podIP for each in PODS)


class TestIsolation:
    def test_without_a_policy_everything_passes(self) -> None:
        rules = ruleset()
        assert passes(rules, RED_A, A)
        assert rules == Ruleset()

    def test_deny_what_comes(self) -> None:
        rules = ruleset(policy())
        assert not passes(rules, B, A)
        assert not passes(rules, OUTSIDE, A)
        assert passes(rules, A, RED_A)  # what goes is another matter
        assert passes(rules, B, RED_A)

    def test_deny_what_goes(self) -> None:
        rules = ruleset(policy(policyTypes=["Egress"]))
        assert not passes(rules, A, B)
        assert not passes(rules, A, OUTSIDE)
        assert passes(rules, RED_A, A)

    def test_an_empty_rule_allows_everything(self) -> None:
        rules = ruleset(policy(ingress=[{}], egress=[{}], policyTypes=["Ingress", "Egress"]))
        assert passes(rules, RED_A, A)
        assert passes(rules, A, OUTSIDE)

    def test_what_one_policy_allows_no_other_can_forbid(self) -> None:
        allow = policy(name="allow", ingress=[{"from": [{"podSelector": {}}]}])
        rules = ruleset(policy(name="deny"), allow)
        assert passes(rules, B, A)
        assert not passes(rules, RED_A, A)

    def test_both_ends_have_to_agree(self) -> None:
        out = policy("red", "out", policyTypes=["Egress"], egress=[{"to": [{"namespaceSelector": {}}]}])  # fmt: skip
        assert passes(ruleset(out), RED_A, A)
        assert not passes(ruleset(out, policy()), RED_A, A)


class TestPeers:
    @pytest.mark.parametrize(
        ("peer", "allowed"),
        [
            ({"podSelector": {"matchLabels": {"app": "b"}}}, {B}),
            ({"namespaceSelector": {"matchLabels": {"team": "red"}}}, {RED_A, RED_B}),
            (
                {
                    "namespaceSelector": {"matchLabels": {"team": "red"}},
                    "podSelector": {"matchLabels": {"app": "b"}},
                },
                {RED_B},
            ),
            ({"namespaceSelector": {}}, {B, RED_A, RED_B}),
            ({"ipBlock": {"cidr": "192.0.2.0/24"}}, {OUTSIDE}),
            ({"ipBlock": {"cidr": "10.0.0.0/29", "except": ["10.0.0.3/32"]}}, {B, RED_B}),
        ],
    )
    def test_who_may_come(self, peer: dict[str, Any], allowed: set[str]) -> None:
        rules = ruleset(policy(podSelector={"matchLabels": {"app": "a"}}, ingress=[{"from": [peer]}]))  # fmt: skip
        assert {s for s in (B, RED_A, RED_B, OUTSIDE) if passes(rules, s, A)} == allowed

    def test_a_pod_that_changes_its_labels(self) -> None:
        mine = policy(ingress=[{"from": [{"podSelector": {"matchLabels": {"role": "client"}}}]}])
        among = peers()
        assert not passes(ruleset(mine, among=among), B, A)
        among.put_pod(("blue", "b"), facts_of(pod("blue", "b", B, role="client")))
        assert passes(ruleset(mine, among=among), B, A)
        among.put_pod(("blue", "b"), None)
        assert not passes(ruleset(mine, among=among), B, A)

    def test_a_namespace_that_changes_its_labels(self) -> None:
        mine = policy(ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"x": "y"}}}]}])
        among = peers()
        assert not passes(ruleset(mine, among=among), RED_A, A)
        among.put_namespace("red", {"x": "y"})
        assert passes(ruleset(mine, among=among), RED_A, A)


class TestPorts:
    @pytest.mark.parametrize(
        ("port", "allowed"),
        [
            ({"port": 80}, {("tcp", 80)}),
            ({"protocol": "UDP"}, {("udp", 53), ("udp", 80)}),
            ({"port": 80, "endPort": 8080}, {("tcp", 80), ("tcp", 443), ("tcp", 8080)}),
            ({"port": "web"}, {("tcp", 8080)}),
            ({"port": "dns", "protocol": "UDP"}, {("udp", 53)}),
            ({"port": "web", "protocol": "UDP"}, set()),
        ],
    )
    def test_which(self, port: dict[str, Any], allowed: set[tuple[str, int]]) -> None:
        tried = [("tcp", 80), ("tcp", 443), ("tcp", 8080), ("tcp", 9000), ("udp", 53), ("udp", 80)]
        come = ruleset(policy(ingress=[{"ports": [port]}]))
        assert {each for each in tried if passes(come, RED_A, A, *each)} == allowed
        go = ruleset(policy(policyTypes=["Egress"], egress=[{"ports": [port]}]))
        assert {each for each in tried if passes(go, A, RED_A, *each)} == allowed

    def test_peer_and_port_belong_together(self) -> None:
        rule = {"from": [{"podSelector": {}}], "ports": [{"port": 80}, {"port": 443}]}
        rules = ruleset(policy(ingress=[rule]))
        assert passes(rules, B, A, "tcp", 443)
        assert not passes(rules, B, A, "tcp", 8080)
        assert not passes(rules, RED_A, A, "tcp", 443)


def test_pods_to_which_the_same_applies_share_a_chain() -> None:
    rules = ruleset(policy())
    assert set(rules.judges[INGRESS]) == {A, B}
    assert len(rules.chains) == 1


selectors = st.sampled_from([{}, {"matchLabels": {"app": "a"}}, {"matchLabels": {"app": "b"}}])
places = st.sampled_from([{}, {"matchLabels": {"team": "red"}}, {"matchLabels": {"team": "blue"}}])
far = st.one_of(
    st.fixed_dictionaries({"podSelector": selectors}),
    st.fixed_dictionaries({"namespaceSelector": places}),
    st.fixed_dictionaries({"namespaceSelector": places, "podSelector": selectors}),
    st.just({"ipBlock": {"cidr": "10.0.0.0/30", "except": ["10.0.0.2/32"]}}),
)
ports = st.sampled_from([{"port": 80}, {"port": "web"}, {"port": 8000, "endPort": 9000}, {"protocol": "UDP"}])  # fmt: skip
rule = st.tuples(st.lists(far, max_size=2), st.lists(ports, max_size=2))


@st.composite
def policies(draw: st.DrawFn) -> list[NetworkPolicy]:
    made = []
    for number in range(draw(st.integers(0, 3))):
        types = draw(st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]]))
        come = [{"from": f, "ports": p} for f, p in draw(st.lists(rule, max_size=2))]
        go = [{"to": f, "ports": p} for f, p in draw(st.lists(rule, max_size=2))]
        made.append(
            policy(
                draw(st.sampled_from(["blue", "red"])), f"p{number}", policyTypes=types,
                podSelector=draw(selectors), ingress=come, egress=go,
            )
        )  # fmt: skip
    return made


def expected(made: list[NetworkPolicy], source: str, target: str, protocol: str, port: int) -> bool:
    """Say what the API's documentation says, in the plainest way."""
    by_address = {each.status.podIP: each for each in PODS}

    def selects(found: Any, labels: Any) -> bool:
        return found is None or (found.matchLabels or {}).items() <= (labels or {}).items()

    def is_far(peer: Any, address: str, namespace: str) -> bool:
        if peer.ipBlock is not None:
            inside = ipaddress.ip_address(address) in ipaddress.ip_network(peer.ipBlock.cidr)
            return inside and all(
                ipaddress.ip_address(address) not in ipaddress.ip_network(e)
                for e in peer.ipBlock.except_ or ()
            )
        other = by_address.get(address)
        if other is None:
            return False
        where = other.metadata.namespace
        if peer.namespaceSelector is None:
            fits = where == namespace
        else:
            fits = selects(peer.namespaceSelector, NAMESPACES[where])
        return fits and selects(peer.podSelector, other.metadata.labels)

    def is_port(wanted: Any) -> bool:
        if (wanted.protocol or "TCP").lower() != protocol:
            return False
        if wanted.port is None:
            return True
        if isinstance(wanted.port, str):
            receiver = by_address.get(target)
            return receiver is not None and any(
                (p.name, (p.protocol or "TCP").lower(), p.containerPort) == (wanted.port, protocol, port)
                for p in receiver.spec.containers[0].ports
            )  # fmt: skip
        return wanted.port <= port <= (wanted.endPort or wanted.port)

    for way, mine, other in (("Egress", source, target), ("Ingress", target, source)):
        me = by_address.get(mine)
        if me is None:
            continue
        applying = [
            p
            for p in made
            if p.metadata.namespace == me.metadata.namespace
            and way in p.spec.policyTypes
            and selects(p.spec.podSelector, me.metadata.labels)
        ]
        allowed = [
            (r.from_ if way == "Ingress" else r.to, r.ports)
            for p in applying
            for r in (p.spec.ingress if way == "Ingress" else p.spec.egress) or ()
        ]
        if applying and not any(
            (not who or any(is_far(w, other, me.metadata.namespace) for w in who))
            and (not what or any(is_port(w) for w in what))
            for who, what in allowed
        ):
            return False
    return True


@settings(max_examples=150, deadline=None)
@given(made=policies())
def test_as_the_documentation_says(made: list[NetworkPolicy]) -> None:
    rules = ruleset(*made)
    for source in (A, B, RED_A, OUTSIDE):
        for target in (A, RED_B, OUTSIDE):
            for protocol, port in (("tcp", 80), ("tcp", 8080), ("udp", 53)):
                if source != target:
                    assert passes(rules, source, target, protocol, port) is expected(
                        made, source, target, protocol, port
                    ), (source, target, protocol, port, rules)


def test_only_what_changed_is_written() -> None:
    among = peers()
    mine = policy(ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"team": "red"}}}]}])
    before = ruleset(mine, among=among)
    assert changes("t", before, before) == ""
    among.put_pod(("red", "c"), facts_of(pod("red", "c", "10.0.0.9")))
    after = ruleset(mine, among=among)
    assert changes("t", before, after) == (
        f"add element inet t {next(iter(after.addresses))} {{ 10.0.0.9 }}\n"
    )
    gone = changes("t", after, Ruleset())
    assert gone.index("delete element inet t received_by") < gone.index("delete chain")


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("nft"), reason="needs root and nft")
@settings(max_examples=12, deadline=None)
@given(first=policies(), second=policies())
def test_the_kernel_takes_every_change(
    first: list[NetworkPolicy], second: list[NetworkPolicy]
) -> None:
    one, two = ruleset(*first), ruleset(*second)
    script = empty_table("t") + changes("t", Ruleset(), one)
    steps = [script, changes("t", one, two), changes("t", two, Ruleset())]
    # each step is a transaction of its own, in a network namespace that ends with the shell
    lines = "\n".join(f"nft -f - <<'END' || exit 1\n{step}\nEND" for step in steps if step)
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", f"{lines}\nnft list table inet t"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "in_" not in done.stdout
    assert "pods_" not in done.stdout
