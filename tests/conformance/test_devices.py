"""Dynamic resource allocation: its four kinds, as objects.

Upstream puts each through one harness: two informers watch while the object is created, updated,
patched in every way, and deleted, and must agree with what every answer said.
"""

from __future__ import annotations

from typing import Any

from tests.conformance.marks import conforms
from tests.conformance.operations import includes, served
from tests.conformance.wire import APPLY, JSON_PATCH, MERGE, STRATEGIC, Resource, Tree, version
from tests.conformance.world import World, world

GROUP = "resource.k8s.io/v1"
LABEL = "e2e-test.kubernetes.io"
STRICT: dict[str, Any] = {"fieldValidation": "Strict"}


async def exercise(
    w: World, plural: str, spec: Tree, change: Tree, status: Tree | None = None
) -> None:
    """Put one kind through the harness: `change` is merged into the object in every way."""
    namespace = await w.namespace()
    known = await served(w, GROUP, plural)
    namespaced = known[plural]["namespaced"]
    things = w.resource(GROUP, plural, namespace if namespaced else "", dynamic=True)
    name = "test" if namespaced else f"test-{namespace}"
    body = {"metadata": {"name": name, "labels": {LABEL: "yes"}}, "spec": spec}
    watching: dict[str, Any] = {"sendInitialEvents": "true", "allowWatchBookmarks": "true",
                                "resourceVersionMatch": "NotOlderThan"}  # fmt: skip
    async with (
        await things.watch(f"{LABEL}=yes", everywhere=True, **watching) as everywhere,
        await things.watch(f"{LABEL}=yes", **watching) as here,
    ):
        watches = (everywhere, here)
        for watch in watches:
            (bookmark,) = await watch.expect("BOOKMARK")
            assert bookmark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}

        async def seen(kind: str, tree: Tree | None = None) -> None:
            for watch in watches:
                (obj,) = await watch.expect(kind)
                assert tree is None or obj == tree

        made = await things.create(body, **STRICT)
        await seen("ADDED", made)
        assert await things.get(name) == made
        merged = _merged(made, change)
        updated = await things.update(merged, **STRICT)
        includes(updated, change)
        assert version(updated) > version(made)
        await seen("MODIFIED", updated)
        if status is not None:
            sent = {**updated, "status": status}
            done = await things.update(sent, subresource="status", **STRICT)
            includes(done["status"], status)
            assert done["spec"] == updated["spec"]
            await seen("MODIFIED", done)
            assert await things.get(name, subresource="status") == done

        for media, patch in _patches(change):
            await _again(things, name, body)
            await seen("DELETED")
            await seen("ADDED")
            patched = await _patched(things, name, media, patch)
            includes(patched, change)
            await seen("MODIFIED", patched)
            if status is None:
                continue
            for media_, patch_ in _patches({"status": status}):
                if media_ is media:
                    done = await _patched(things, name, media, patch_, "status")
                    includes(done["status"], status)
                    assert done["spec"] == patched["spec"]
                    await seen("MODIFIED", done)

        assert await things.names(f"{LABEL}=yes", everywhere=True) == [name]
        await things.delete_collection(f"{LABEL}=yes")
        await seen("DELETED")
        assert await things.items(f"{LABEL}=yes") == []


def _merged(tree: Tree, change: Tree) -> Tree:
    merged = dict(tree)
    for key, value in change.items():
        merged[key] = _merged(tree.get(key, {}), value) if isinstance(value, dict) else value
    return merged


def _patches(change: Tree) -> list[tuple[str, Any]]:
    operations = [
        {"op": "add", "path": f"/{top}/{key}", "value": value}
        for top, rest in change.items()
        if top != "status"
        for key, value in rest.items()
    ]
    if "status" in change:
        operations = [{"op": "add", "path": "/status", "value": change["status"]}]
    return [(STRATEGIC, change), (APPLY, change), (MERGE, change), (JSON_PATCH, operations)]


async def _patched(
    things: Resource, name: str, media: str, patch: Any, subresource: str = ""
) -> Tree:
    if media is APPLY:
        metadata = {"name": name, **patch.get("metadata", {})}
        obj = {**patch, "metadata": metadata}
        return await things.apply(obj, subresource=subresource, force="true", **STRICT)
    return await things.patch(name, patch, media, subresource=subresource, **STRICT)


async def _again(things: Resource, name: str, body: Tree) -> None:
    await things.delete(name)
    assert await things.missing(name)
    await things.create(body)


@conforms("[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 DeviceClass [Conformance]")
@world()
async def test_device_classes(w: World) -> None:
    selector = {"cel": {"expression": 'device.driver == "dra.example.com"'}}
    change = {"spec": {"selectors": [selector]}}
    await exercise(w, "deviceclasses", {}, change)


def device_request(name: str) -> Tree:
    return {"name": name, "exactly": {"deviceClassName": "a-class"}}


@conforms("[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceClaim [Conformance]")
@world()
async def test_resource_claims(w: World) -> None:
    spec = {"devices": {"requests": [device_request("req-0")]}}
    change = {"metadata": {"labels": {LABEL: "yes", "updated": "true"}}}
    result = {"request": "req-0", "driver": "dra.example.com", "pool": "p", "device": "d"}
    status = {"allocation": {"devices": {"results": [result]}}}
    await exercise(w, "resourceclaims", spec, change, status)


@conforms("[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceClaimTemplate [Conformance]")
@world()
async def test_resource_claim_templates(w: World) -> None:
    spec = {"spec": {"devices": {"requests": [device_request("req-0")]}}}
    change = {"metadata": {"labels": {LABEL: "yes", "updated": "true"}}}
    await exercise(w, "resourceclaimtemplates", spec, change)


@conforms("[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceSlice [Conformance]")
@world()
async def test_resource_slices(w: World) -> None:
    spec = {
        "driver": "dra.example.com", "nodeName": "node-1",
        "pool": {"name": "pool", "generation": 1, "resourceSliceCount": 1},
        "devices": [{"name": "device-0"}],
    }  # fmt: skip
    change = {"spec": {"devices": [{"name": "device-0"}, {"name": "device-1"}]}}
    await exercise(w, "resourceslices", spec, change)
