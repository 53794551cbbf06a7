"""Nodes get their parts of the pods' network, against the real API server."""

from __future__ import annotations

import asyncio

from tests.unit.controllers.cluster import cluster

from kybern.api.core.v1 import Node, NodeSpec
from kybern.api.meta.v1 import ObjectMeta
from kybern.lib.clock import run_virtual

OPTIONS = {"allocate_node_cidrs": True, "cluster_cidrs": ("10.244.0.0/23",)}


def ipam(story, **options):
    async def main():
        async with cluster("nodeipam", nodes=False, **{**OPTIONS, **options}) as it:
            await story(it)
            await it.quiet()

    run_virtual(main())


def node(name, *networks):
    spec = NodeSpec(podCIDR=networks[0], podCIDRs=list(networks)) if networks else NodeSpec()
    return Node(metadata=ObjectMeta(name=name), spec=spec)


async def parts(it):
    await asyncio.sleep(5)
    return {n.metadata.name: n.spec.podCIDRs for n in (await it.client.list(Node))[0]}


def test_each_node_gets_one():
    async def story(it):
        for name in ("a", "b"):
            await it.client.create(node(name))
        found = await parts(it)
        assert sorted(found["a"] + found["b"]) == ["10.244.0.0/24", "10.244.1.0/24"]
        one = await it.client.get(Node, "a")
        assert one.spec.podCIDR == one.spec.podCIDRs[0]

    ipam(story)


def test_what_a_node_has_it_keeps_and_nobody_else_gets():
    async def story(it):
        await it.client.create(node("a", "10.244.0.0/24"))
        await it.client.create(node("b"))
        wanted = {"a": ["10.244.0.0/24"], "b": ["10.244.1.0/24"]}
        assert await parts(it) == wanted
        await it.restart_controllers()
        assert await parts(it) == wanted

    ipam(story)


def test_after_a_restart_what_others_have_is_known_before_anything_is_given_out():
    async def story(it):
        await it.client.create(node("b"))
        assert await parts(it) == {"b": ["10.244.0.0/24"]}
        await it.stop_controllers()
        await it.client.create(node("a"))
        await it.restart_controllers()
        assert (await parts(it))["a"] == ["10.244.1.0/24"]

    ipam(story)


def test_when_there_is_none_it_is_told_once_and_made_good_later():
    async def story(it):
        for name in ("a", "b", "c"):
            await it.client.create(node(name))
        found = await parts(it)
        [without] = [name for name, has in found.items() if not has]
        told = [event for event in await it.events() if event[0] == "CIDRNotAvailable"]
        assert told == [("CIDRNotAvailable", f"Node {without} status is now: CIDRNotAvailable")]
        [gone, _] = sorted(found.keys() - {without})
        await it.client.delete(Node, gone)
        assert (await parts(it))[without] == found[gone]
        await it.client.create(node("d"))
        assert (await parts(it))["d"] is None

    ipam(story)


def test_services_keep_their_network():
    async def story(it):
        await it.client.create(node("a"))
        assert await parts(it) == {"a": ["10.244.1.0/24"]}

    ipam(story, service_cidrs=("10.244.0.0/24",))


def test_both_families():
    async def story(it):
        await it.client.create(node("a"))
        assert await parts(it) == {"a": ["10.244.0.0/24", "fd00:10::/64"]}

    ipam(story, cluster_cidrs=("10.244.0.0/23", "fd00:10::/56"))


def test_without_the_flag_nobody_gets_any():
    async def story(it):
        await it.client.create(node("a"))
        assert await parts(it) == {"a": None}

    ipam(story, allocate_node_cidrs=False)
