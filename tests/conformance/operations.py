"""What upstream asks of every kind's API, one after the other.

It must be in discovery, and support create, get, list, watch, update, patch, delete and
deletecollection; where it has a status, get, update and patch of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conformance.wire import MERGE, Resource, Tree, version
from tests.conformance.world import refused

if TYPE_CHECKING:
    from tests.conformance.wire import Caller
    from tests.conformance.world import World

LABEL = "conformance"
VERBS = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}


async def served(w: Caller, api_version: str, *resources: str) -> dict[str, Tree]:
    """Find resources in all three discovery documents that lead to them; return what is said."""
    group, _, name = api_version.rpartition("/")
    if group:
        groups = (await w.get("/apis"))["groups"]
        (found,) = [g for g in groups if g["name"] == group]
        assert await w.get(f"/apis/{group}") == {
            "kind": "APIGroup", "apiVersion": "v1", **found,
        }  # fmt: skip
        assert {"groupVersion": api_version, "version": name} in found["versions"]
        listed = await w.get(f"/apis/{api_version}")
    else:
        listed = await w.get(f"/api/{name}")
    assert listed["kind"] == "APIResourceList"
    assert listed["groupVersion"] == api_version
    known = {r["name"]: r for r in listed["resources"]}
    assert set(resources) <= known.keys()
    return known


async def operations(
    w: World,
    resource: Resource,
    body: Tree,
    *,
    names: list[str] | None = None,
    status: tuple[Tree, Tree] | None = None,
    subresources: tuple[str, ...] = (),
) -> None:
    """Put one kind through everything.

    Args:
        w: the cluster.
        resource: the kind and where its objects go.
        body: an object without metadata.
        names: three names, for kinds whose names mean something; generated when there are none.
        status: a status to patch in, and one to update with.
        subresources: what discovery must know beside the kind itself.
    """
    kind = resource.kind
    known = await served(
        w, kind.api_version, kind.plural, *(f"{kind.plural}/{name}" for name in subresources)
    )
    assert set(known[kind.plural]["verbs"]) == VERBS
    assert known[kind.plural]["kind"] == kind.kind
    assert known[kind.plural]["namespaced"] is kind.namespaced

    one = await _create_and_find(w, resource, body, names)
    one = await _change_and_watch(resource, one)
    if status:
        one = await statuses(resource, one, *status)
    await _delete(resource, one)


async def _create_and_find(
    w: World, resource: Resource, body: Tree, names: list[str] | None
) -> Tree:
    made = []
    for number in range(3):
        metadata: Tree = {"labels": {LABEL: "yes"}, "uid": "of-the-client", "generation": 100}
        metadata |= {"name": names[number]} if names else {"generateName": "of-a-kind-"}
        made.append(await resource.create({"metadata": metadata, **body}))
    kind = resource.kind
    for tree in made:
        assert (tree["apiVersion"], tree["kind"]) == (kind.api_version, kind.kind)
        metadata = tree["metadata"]
        assert metadata["uid"] != "of-the-client"
        assert metadata.get("generation", 1) == 1
        assert metadata["creationTimestamp"]
        assert metadata.get("namespace", "") == resource.namespace
        if not names:
            assert metadata["name"].startswith("of-a-kind-")
            assert len(metadata["name"]) == len("of-a-kind-") + 5
    assert len({tree["metadata"]["name"] for tree in made}) == 3
    assert version(made[0]) < version(made[1]) < version(made[2])

    one = made[0]
    again = {"metadata": {"name": one["metadata"]["name"], "labels": {LABEL: "yes"}}, **body}
    with refused(409, "AlreadyExists", f'"{one["metadata"]["name"]}" already exists'):
        await resource.create(again)

    assert await resource.get(one["metadata"]["name"]) == one
    wanted = {tree["metadata"]["uid"] for tree in made}
    for found in (
        await resource.items(f"{LABEL}=yes"),
        await resource.items(f"{LABEL}=yes", everywhere=True),
    ):
        assert {tree["metadata"]["uid"] for tree in found} == wanted
    assert await resource.items(f"{LABEL}=no") == []
    assert await resource.names(fieldSelector=f"metadata.name={one['metadata']['name']}") == [
        one["metadata"]["name"]
    ]
    return one


async def _change_and_watch(resource: Resource, one: Tree) -> Tree:
    name = one["metadata"]["name"]
    since = (await resource.list(f"{LABEL}=yes"))["metadata"]["resourceVersion"]
    async with (
        await resource.watch(f"{LABEL}=yes", since=since) as here,
        await resource.watch(f"{LABEL}=yes", since=since, everywhere=True) as everywhere,
    ):
        patched = await resource.patch(name, {"metadata": {"annotations": {"patched": "true"}}})
        assert patched["metadata"]["annotations"]["patched"] == "true"
        assert version(patched) > version(one)
        assert patched["metadata"]["uid"] == one["metadata"]["uid"]
        patched["metadata"]["annotations"]["updated"] = "true"
        updated = await resource.update(patched)
        assert updated["metadata"]["annotations"] == patched["metadata"]["annotations"]
        assert version(updated) > version(patched)
        for watch in (here, everywhere):
            events = await watch.expect("MODIFIED", "MODIFIED")
            assert events[1] == updated
        with refused(409, "Conflict", "the object has been modified"):
            await resource.update(patched)
        assert await resource.update(updated) == updated  # nothing changes, nothing is written
        await here.quiet()
    return updated


async def statuses(resource: Resource, one: Tree, patch: Tree, update: Tree) -> Tree:
    """Get, patch and update a status; nothing else may change by that but annotations."""
    name = one["metadata"]["name"]
    assert await resource.get(name, subresource="status") == one
    change = {"metadata": {"annotations": {"patchedstatus": "true"}}, "status": patch}
    patched = await resource.patch(name, change, MERGE, subresource="status")
    assert patched["metadata"]["annotations"]["patchedstatus"] == "true"
    includes(patched["status"], patch)
    assert patched.get("spec") == one.get("spec")
    assert patched["metadata"].get("generation") == one["metadata"].get("generation")

    sent = {**patched, "status": {**patched["status"], **update}}
    updated = await resource.update(sent, subresource="status")
    includes(updated["status"], update)
    assert updated.get("spec") == one.get("spec")
    assert await resource.get(name, subresource="status") == updated
    assert await resource.get(name) == updated
    # and the status is not for those who write the object
    ignored = {**updated, "status": {}}
    assert (await resource.update(ignored))["status"] == updated["status"]
    return await resource.get(name)


def includes(tree: Any, part: Any) -> None:
    """Fail unless all of `part` is in `tree`."""
    if isinstance(part, dict):
        for key, value in part.items():
            assert key in tree, key
            includes(tree[key], value)
    elif isinstance(part, list):
        assert len(tree) == len(part), tree
        for one, other in zip(tree, part, strict=True):
            includes(one, other)
    else:
        assert tree == part


async def _delete(resource: Resource, one: Tree) -> None:
    name = one["metadata"]["name"]
    since = (await resource.list())["metadata"]["resourceVersion"]
    async with await resource.watch(f"{LABEL}=yes", since=since) as watch:
        with refused(409, "Conflict", "the UID in the precondition"):
            await resource.delete(name, {"preconditions": {"uid": "another"}})
        await resource.delete(name)
        assert await resource.missing(name)
        (gone,) = await watch.expect("DELETED")
        assert gone["metadata"]["name"] == name
        assert version(gone) > version(one)
        with refused(404, "NotFound"):
            await resource.delete(name)
        assert len(await resource.items(f"{LABEL}=yes")) == 2
        await resource.delete_collection(f"{LABEL}=no")
        await watch.quiet()
        await resource.delete_collection(f"{LABEL}=yes")
        await watch.expect("DELETED", "DELETED")
        assert await resource.items(f"{LABEL}=yes") == []
