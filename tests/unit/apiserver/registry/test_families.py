"""Families of Services, and the addresses that follow: upstream's rules, case by case."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.apiserver.harness import DEFAULT, Server

from kybern.api.core.v1 import Service, ServiceSpec
from kybern.apiserver.registry.core.families import settle

SERVICES = f"{DEFAULT}/services"
V4, V6, BOTH, TURNED = ("IPv4",), ("IPv6",), ("IPv4", "IPv6"), ("IPv6", "IPv4")
SINGLE, PREFER, REQUIRE = "SingleStack", "PreferDualStack", "RequireDualStack"
IP4, IP6 = "10.0.0.9", "fd00::9"
SELECTOR = {"app": "web"}
NETWORKS = {V4: "10.0.0.0/16", V6: "fd00::/112", BOTH: "10.0.0.0/16,fd00::/112",
            TURNED: "fd00::/112,10.0.0.0/16"}  # fmt: skip


def service(**spec: Any) -> Service:
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("selector", SELECTOR)
    if ips := spec.get("clusterIPs"):
        spec.setdefault("clusterIP", ips[0])
    return Service(spec=ServiceSpec(**spec))


def had(policy: str, *families: str, **more: Any) -> Service:
    ips = [IP4 if family == "IPv4" else IP6 for family in families]
    return service(ipFamilyPolicy=policy, ipFamilies=list(families), **{"clusterIPs": ips, **more})


CREATED = [
    # what is asked for, what the cluster has, policy and families
    ({}, V4, SINGLE, V4),
    ({}, V6, SINGLE, V6),
    ({}, BOTH, SINGLE, V4),
    ({}, TURNED, SINGLE, V6),
    ({"ipFamilies": ["IPv6"]}, BOTH, SINGLE, V6),
    ({"ipFamilyPolicy": PREFER}, V4, PREFER, V4),
    ({"ipFamilyPolicy": PREFER}, BOTH, PREFER, BOTH),
    ({"ipFamilyPolicy": PREFER}, TURNED, PREFER, TURNED),
    ({"ipFamilyPolicy": PREFER, "ipFamilies": ["IPv6"]}, BOTH, PREFER, TURNED),
    ({"ipFamilyPolicy": REQUIRE}, BOTH, REQUIRE, BOTH),
    ({"ipFamilyPolicy": REQUIRE, "ipFamilies": ["IPv6", "IPv4"]}, BOTH, REQUIRE, TURNED),
    ({"clusterIPs": [IP6]}, BOTH, SINGLE, V6),
    ({"clusterIPs": [IP6], "ipFamilyPolicy": PREFER}, BOTH, PREFER, TURNED),
    ({"clusterIPs": [IP4, IP6], "ipFamilyPolicy": REQUIRE}, BOTH, REQUIRE, BOTH),
    ({"clusterIPs": [IP6, IP4], "ipFamilyPolicy": PREFER}, BOTH, PREFER, TURNED),
    # headless: with a selector as others, without one both, whatever the cluster has
    ({"clusterIPs": ["None"]}, BOTH, SINGLE, V4),
    ({"clusterIPs": ["None"], "ipFamilyPolicy": PREFER}, BOTH, PREFER, BOTH),
    ({"clusterIPs": ["None"], "selector": None}, V4, REQUIRE, BOTH),
    ({"clusterIPs": ["None"], "selector": None}, V6, REQUIRE, TURNED),
    ({"clusterIPs": ["None"], "selector": None, "ipFamilyPolicy": SINGLE}, BOTH, SINGLE, V4),
    ({"clusterIPs": ["None"], "selector": None, "ipFamilies": ["IPv6"]}, V4, REQUIRE, TURNED),
    ({"clusterIPs": ["None"], "selector": None, "ipFamilies": ["IPv6"],
      "ipFamilyPolicy": SINGLE}, V4, SINGLE, V6),
    ({"clusterIPs": ["None"], "selector": None, "ipFamilyPolicy": PREFER}, V4, PREFER, BOTH),
    ({"type": "ExternalName"}, BOTH, None, ()),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "cluster", "policy", "families"), CREATED)
def test_a_new_service(asked: dict, cluster: tuple, policy: str | None, families: tuple) -> None:
    made = service(**asked)
    assert settle(made, None, cluster) == []
    assert (made.spec.ipFamilyPolicy, tuple(made.spec.ipFamilies or ())) == (policy, families)


REFUSED = [
    (
        {"ipFamilyPolicy": REQUIRE}, V4,
        'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured '
        "for dual-stack services",
    ),
    (
        {"ipFamilies": ["IPv6"]}, V4,
        'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster',
    ),
    (
        {"ipFamilyPolicy": PREFER, "ipFamilies": ["IPv4", "IPv6"]}, V4,
        'spec.ipFamilies[1]: Invalid value: "IPv6": not configured on this cluster',
    ),
    (
        {"ipFamilies": ["IPv4", "IPv6"]}, BOTH,
        'spec.ipFamilyPolicy: Invalid value: "SingleStack": must be \'RequireDualStack\' or '
        "'PreferDualStack' when multiple IP families are specified",
    ),
    (
        {"clusterIPs": [IP4, IP6]}, BOTH,
        'spec.ipFamilyPolicy: Invalid value: "SingleStack": must be \'RequireDualStack\' or '
        "'PreferDualStack' when multiple cluster IPs are specified",
    ),
    (
        {"clusterIPs": [IP6]}, V4,
        f'spec.clusterIPs[0]: Invalid value: ["{IP6}"]: IPv6 is not configured on this cluster',
    ),
    (
        {"clusterIPs": [IP4], "ipFamilies": ["IPv6"]}, BOTH,
        f'spec.clusterIPs[0]: Invalid value: "{IP4}": expected an IPv6 value as indicated by '
        "`ipFamilies[0]`",
    ),
    (
        {"clusterIPs": [IP4, "10.0.0.8"], "ipFamilyPolicy": REQUIRE}, BOTH,
        f'spec.clusterIPs: Invalid value: ["{IP4}","10.0.0.8"]: may specify no more than one IP '
        "for each IP family",
    ),
    (
        {"ipFamilies": ["IPv4", "IPv4"], "ipFamilyPolicy": PREFER}, BOTH,
        'spec.ipFamilies[1]: Duplicate value: "IPv4"',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "cluster", "problem"), REFUSED)
def test_what_cannot_be(asked: dict, cluster: tuple, problem: str) -> None:
    assert [str(each) for each in settle(service(**asked), None, cluster)] == [problem]


CHANGED = [
    # before, after, what the cluster has, policy, families, addresses
    (had(SINGLE, "IPv4"), {"clusterIPs": [IP4]}, BOTH, SINGLE, V4, 1),
    (had(SINGLE, "IPv4"), {"clusterIPs": [IP4], "ipFamilyPolicy": PREFER}, BOTH, PREFER, BOTH, 1),
    (had(SINGLE, "IPv4"), {"clusterIPs": [IP4], "ipFamilyPolicy": PREFER}, V4, PREFER, V4, 1),
    (had(SINGLE, "IPv6"), {"clusterIPs": [IP6], "ipFamilyPolicy": REQUIRE}, BOTH, REQUIRE,
     TURNED, 1),
    (had(SINGLE, "IPv4"), {"clusterIPs": [IP4, IP6], "ipFamilyPolicy": PREFER}, BOTH, PREFER,
     BOTH, 2),
    # the cluster became one of two families: nothing changes by itself
    (had(PREFER, "IPv4"), {"clusterIPs": [IP4], "ipFamilies": ["IPv4"], "ipFamilyPolicy": PREFER},
     BOTH, PREFER, V4, 1),
    (had(PREFER, "IPv4", "IPv6"), {"clusterIPs": [IP4, IP6], "ipFamilies": ["IPv4", "IPv6"],
     "ipFamilyPolicy": PREFER}, V4, PREFER, BOTH, 2),
    # nor does it by leaving out the families, but what they follow from decides
    (had(PREFER, "IPv4"), {"clusterIPs": [IP4], "ipFamilyPolicy": PREFER}, BOTH, PREFER, BOTH, 1),
    # the policy lets go of the second one
    (had(PREFER, "IPv4", "IPv6"), {"clusterIPs": [IP4, IP6], "ipFamilies": ["IPv4", "IPv6"],
     "ipFamilyPolicy": SINGLE}, BOTH, SINGLE, V4, 1),
    (had(REQUIRE, "IPv6", "IPv4"), {"clusterIPs": [IP6, IP4], "ipFamilyPolicy": SINGLE}, BOTH,
     SINGLE, V6, 1),
    (had(REQUIRE, "IPv4", "IPv6"), {"clusterIPs": [IP4], "ipFamilies": ["IPv4"],
     "ipFamilyPolicy": SINGLE}, BOTH, SINGLE, V4, 1),
    (service(type="ExternalName"), {"ipFamilyPolicy": PREFER}, BOTH, PREFER, BOTH, 0),
]  # fmt: skip


@pytest.mark.parametrize(("old", "asked", "cluster", "policy", "families", "count"), CHANGED)
def test_a_service_that_changes(
    old: Service, asked: dict, cluster: tuple, policy: str, families: tuple, count: int
) -> None:
    new = service(**asked)
    assert settle(new, old, cluster) == []
    found = new.spec
    assert (found.ipFamilyPolicy, tuple(found.ipFamilies or ())) == (policy, families)
    assert len(found.clusterIPs or ()) == count


@pytest.mark.parametrize("policy", [None, PREFER, REQUIRE])
def test_only_the_policy_lets_go(policy: str | None) -> None:
    old = had(PREFER, "IPv4", "IPv6")
    new = service(clusterIPs=[IP4], ipFamilies=["IPv4"], ipFamilyPolicy=policy)
    shown = f"spec.ipFamilyPolicy: Invalid value: \"{policy or PREFER}\": must be 'SingleStack'"
    assert [str(each) for each in settle(new, old, BOTH)] == [
        f"{shown} to release the secondary cluster IP",
        f"{shown} to release the secondary IP family",
    ]


# --- through the API -----------------------------------------------------------------------------


def body(**spec: Any) -> dict[str, Any]:
    spec.setdefault("ports", [{"port": 80}])
    spec.setdefault("selector", SELECTOR)
    return {"metadata": {"name": "s"}, "spec": spec}


def test_from_one_family_to_two_and_back() -> None:
    async def story() -> None:
        async with Server(service_cidr=NETWORKS[BOTH]) as server:
            ips = server.api.services.allocators.addresses
            first = (await server.post(SERVICES, body())).tree["spec"]
            assert (first["ipFamilies"], first["ipFamilyPolicy"]) == (["IPv4"], SINGLE)
            before = len(ips)
            answer = await server.patch(f"{SERVICES}/s", {"spec": {"ipFamilyPolicy": REQUIRE}})
            two = answer.tree["spec"]
            assert two["ipFamilies"] == ["IPv4", "IPv6"]
            assert two["clusterIPs"][0] == two["clusterIP"] == first["clusterIP"]
            assert two["clusterIPs"][1].startswith("fd00::")
            assert len(ips) == before + 1
            refused = await server.patch(
                f"{SERVICES}/s", {"spec": {"clusterIPs": [two["clusterIP"]]}}
            )
            assert "must be 'SingleStack' to release the secondary cluster IP" in refused.message
            moved = {"spec": {"clusterIPs": [two["clusterIP"], "fd00::77"]}}
            refused = await server.patch(f"{SERVICES}/s", moved)
            assert "may not change once set" in refused.message
            assert len(ips) == before + 1
            answer = await server.patch(f"{SERVICES}/s", {"spec": {"ipFamilyPolicy": SINGLE}})
            one = answer.tree["spec"]
            assert (one["ipFamilies"], one["clusterIPs"]) == (["IPv4"], [first["clusterIP"]])
            assert len(ips) == before
            await server.patch(f"{SERVICES}/s", {"spec": {"ipFamilyPolicy": PREFER}})
            assert len(ips) == before + 1
            name = {"spec": {"type": "ExternalName", "externalName": "example.org"}}
            answer = await server.patch(f"{SERVICES}/s", name)
            assert answer.status == 200, answer.body
            assert not answer.tree["spec"].keys() & {"clusterIPs", "ipFamilies", "ipFamilyPolicy"}
            assert len(ips) == before - 1

    asyncio.run(story())


def test_addresses_of_ones_choice() -> None:
    async def story() -> None:
        async with Server(service_cidr=NETWORKS[TURNED]) as server:
            asked = body(clusterIP="fd00::55", clusterIPs=["fd00::55", "10.0.0.55"],
                         ipFamilyPolicy=PREFER)  # fmt: skip
            assert (await server.post(SERVICES, asked)).tree["spec"]["ipFamilies"] == [*TURNED]
            taken = await server.post(
                SERVICES, {**body(clusterIP="fd00::55"), "metadata": {"name": "t"}}
            )
            assert taken.message.endswith(
                'spec.clusterIPs: Invalid value: ["fd00::55"]: failed to allocate IP fd00::55: '
                "provided IP is already allocated"
            )
            known = (await server.get(f"{SERVICES}/kubernetes")).tree["spec"]
            assert (known["clusterIP"], known["ipFamilies"]) == ("fd00::1", ["IPv6"])
            cidr = await server.get("/apis/networking.k8s.io/v1/servicecidrs/kubernetes")
            assert cidr.tree["spec"]["cidrs"] == ["fd00::/112", "10.0.0.0/16"]

    asyncio.run(story())


def test_a_put_without_families_keeps_them() -> None:
    async def story() -> None:
        async with Server(service_cidr=NETWORKS[BOTH]) as server:
            made = (await server.post(SERVICES, body(ipFamilyPolicy=REQUIRE))).tree
            put = {**body(), "metadata": {"name": "s"}}
            after = (await server.put(f"{SERVICES}/s", put)).tree
            for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                assert after["spec"][name] == made["spec"][name]

    asyncio.run(story())
