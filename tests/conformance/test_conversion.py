"""Versions of a kind that a webhook converts."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from tests.conformance.definitions import definition, version
from tests.conformance.marks import conforms
from tests.conformance.webhooks import World, play
from tests.unit.apiserver.harness import JSON_PATCH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NAME = "crontabs.stable.example.com"
V1, V2 = (f"/apis/stable.example.com/{v}/namespaces/default/crontabs" for v in ("v1", "v2"))
TEXT = {"type": "string"}


def schema(*fields: str) -> dict[str, Any]:
    return {"type": "object", "properties": dict.fromkeys(fields, TEXT)}


def fields(*names: str) -> dict[str, Any]:
    return {"selectableFields": [{"jsonPath": f".{name}"} for name in names]}


async def define(w: World) -> None:
    """Define a kind whose two versions hold the same in different fields; v1 is stored."""
    body = definition(
        version("v1", schema("hostPort"), storage=True, **fields("hostPort")),
        version("v2", schema("host", "port"), **fields("host", "port")),
    )
    config = {"url": f"https://localhost:{w.port}/crdconvert", "caBundle": w.bundle}
    webhook = {"clientConfig": config, "conversionReviewVersions": ["v1", "v1beta1"]}
    body["spec"]["conversion"] = {"strategy": "Webhook", "webhook": webhook}
    made = await w.server.post(CRDS, body)
    assert made.status == 201, made.body
    async with asyncio.timeout(10):
        while (await w.server.get("/apis/stable.example.com/v1")).status != 200:
            await asyncio.sleep(0)


def tab(name: str, host_port: str) -> dict[str, Any]:
    return {"apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": {"name": name},
            "hostPort": host_port}  # fmt: skip


def tab2(name: str, host: str, port: str) -> dict[str, Any]:
    return {"apiVersion": "stable.example.com/v2", "kind": "CronTab", "metadata": {"name": name},
            "host": host, "port": port}  # fmt: skip


@conforms(
    "[sig-api-machinery] CustomResourceConversionWebhook [Privileged:ClusterAdmin] should be able"
    " to convert from CR v1 to CR v2 [Conformance]"
)
def test_an_object_in_another_version() -> None:
    async def story(w: World) -> None:
        await define(w)
        made = (await w.server.post(V1, tab("one", "localhost:8080"))).tree
        other = (await w.server.get(f"{V2}/one")).tree
        assert (other["apiVersion"], other["host"], other["port"]) == (
            "stable.example.com/v2", "localhost", "8080",
        )  # fmt: skip
        assert other["metadata"]["uid"] == made["metadata"]["uid"]
        assert other["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
        made2 = (await w.server.post(V2, tab2("two", "example.com", "80"))).tree
        assert made2["host"] == "example.com"
        assert (await w.server.get(f"{V1}/two")).tree["hostPort"] == "example.com:80"
        changed = (await w.server.patch(f"{V2}/two", {"port": "81"})).tree
        assert (changed["port"], changed["metadata"]["generation"]) == ("81", 2)
        assert (await w.server.get(f"{V1}/two")).tree["hostPort"] == "example.com:81"
        dry = await w.server.patch(f"{V2}/two?dryRun=All", {"port": "9"})
        assert dry.tree["port"] == "9"
        assert (await w.server.get(f"{V2}/two")).tree["port"] == "81"
        dry = (await w.server.post(f"{V2}?dryRun=All", tab2("three", "h", "1"))).tree
        assert (dry["apiVersion"], dry["host"]) == ("stable.example.com/v2", "h")

    play(story)


@conforms(
    "[sig-api-machinery] CustomResourceConversionWebhook [Privileged:ClusterAdmin] should be able"
    " to convert a non homogeneous list of CRs [Conformance]"
)
def test_a_list_of_objects_that_are_stored_in_different_versions() -> None:
    async def story(w: World) -> None:
        await define(w)
        await w.server.post(V1, tab("one", "a:1"))
        swap = [{"op": "replace", "path": f"/spec/versions/{number}/storage", "value": value}
                for number, value in ((0, False), (1, True))]  # fmt: skip
        assert (await w.server.patch(f"{CRDS}/{NAME}", swap, JSON_PATCH)).status == 200
        await w.server.settle()
        await w.server.post(V1, tab("two", "b:2"))
        w.hooks.asked.clear()
        listed = (await w.server.get(V2)).tree["items"]
        assert [(each["host"], each["port"]) for each in listed] == [("a", "1"), ("b", "2")]
        assert len(w.hooks.asked) == 1  # only what is stored in v1
        listed = (await w.server.get(V1)).tree["items"]
        assert [each["hostPort"] for each in listed] == ["a:1", "b:2"]

    play(story)


@conforms(
    "[sig-api-machinery] CustomResourceFieldSelectors [Privileged:ClusterAdmin]"
    " CustomResourceFieldSelectors MUST list and watch custom resources matching the field selector"
    " [Conformance]"
)
def test_fields_are_those_of_the_version_that_is_asked_for() -> None:
    async def story(w: World) -> None:
        await define(w)
        await w.server.post(V1, tab("one", "host1:80"))
        await w.server.post(V1, tab("two", "host1:8080"))
        await w.server.post(V2, tab2("three", "host2", "80"))

        async def names(path: str, selector: str) -> list[str]:
            listed = (await w.server.get(f"{path}?fieldSelector={selector}")).tree["items"]
            return [each["metadata"]["name"] for each in listed]

        assert await names(V1, "hostPort%3Dhost1:80") == ["one"]
        assert await names(V2, "host%3Dhost1") == ["one", "two"]
        assert await names(V2, "host%3Dhost1,port%3D80") == ["one"]
        assert await names(V2, "port%3D80") == ["one", "three"]
        unknown = await w.server.get(f"{V1}?fieldSelector=host%3Dhost1")
        assert (unknown.status, unknown.message) == (400, "field label not supported: host")

        answer = await w.server.raw("GET", f"{V2}?watch=true&fieldSelector=host%3Dhost1")
        events = lines(answer.chunks)
        first = [await anext(events), await anext(events)]
        assert [(e["type"], e["object"]["metadata"]["name"]) for e in first] == [
            ("ADDED", "one"), ("ADDED", "two"),
        ]  # fmt: skip
        await w.server.patch(f"{V2}/three", {"host": "host1"})
        came = await anext(events)
        assert (came["type"], came["object"]["host"]) == ("ADDED", "host1")
        await w.server.patch(f"{V1}/one", {"hostPort": "host9:80"})
        went = await anext(events)
        assert (went["type"], went["object"]["metadata"]["name"]) == ("DELETED", "one")
        assert went["object"]["host"] == "host1"
        await answer.chunks.aclose()
        assert (await w.server.delete(f"{V2}?fieldSelector=host%3Dhost1")).status == 200
        assert [e["metadata"]["name"] for e in (await w.server.get(V1)).tree["items"]] == ["one"]

    play(story)


def test_a_conversion_that_fails_is_said() -> None:
    async def story(w: World) -> None:
        await define(w)
        await w.server.post(V1, tab("one", "a:1"))
        w.hooks.broken = "no idea"
        refused = await w.server.get(f"{V2}/one")
        assert refused.status == 500
        assert refused.message == (
            "Internal error occurred: conversion webhook for stable.example.com/v1, Kind=CronTab "
            "failed: no idea"
        )
        assert (await w.server.get(f"{V1}/one")).tree["hostPort"] == "a:1"  # nobody is asked
        w.hooks.broken = ""
        assert (await w.server.get(f"{V2}/one")).tree["host"] == "a"

    play(story)


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    """Yield the events of a watch."""
    rest = b""
    async for piece in chunks:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield json.loads(line)
