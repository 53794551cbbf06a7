"""ConfigMaps, Secrets, PodTemplates and Leases."""

from __future__ import annotations

import base64

from tests.conformance.marks import conforms
from tests.conformance.operations import operations
from tests.conformance.wire import STRATEGIC, Resource, version
from tests.conformance.world import World, refused, world

POD = {"containers": [{"name": "nginx", "image": "nginx"}]}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@conforms("[sig-node] ConfigMap should fail to create ConfigMap with empty key [Conformance]")
@world()
async def test_config_maps_have_no_empty_key(w: World) -> None:
    maps = w.resource("v1", "configmaps", await w.namespace())
    with refused(422, "Invalid", 'data[]: Invalid value: ""'):
        await maps.create({"metadata": {"name": "c"}, "data": {"": "value-1"}})
    assert await maps.missing("c")


@conforms(
    "[sig-node] ConfigMap should update ConfigMap successfully [NodeConformance] [Conformance]"
)
@world()
async def test_config_maps_change(w: World) -> None:
    maps = w.resource("v1", "configmaps", await w.namespace())
    made = await maps.create({"metadata": {"name": "c"}, "data": {"data-1": "value-1"}})
    made["data"] = {"data": "value"}
    updated = await maps.update(made)
    assert updated["data"] == {"data": "value"}
    assert await maps.get("c") == updated
    assert version(updated) > version(made)


@conforms("[sig-node] ConfigMap should run through a ConfigMap lifecycle [Conformance]")
@world()
async def test_config_maps_live(w: World) -> None:
    namespace = await w.namespace()
    maps = w.resource("v1", "configmaps", namespace)
    await operations(w, maps, {"data": {"valueName": "value"}})
    labels = {"test-configmap-static": "true"}
    async with await maps.watch("test-configmap-static=true") as watch:
        made = await maps.create(
            {"metadata": {"name": "c", "labels": labels}, "data": {"valueName": "value"}}
        )
        assert await watch.expect("ADDED") == [made]
        change = {"metadata": {"labels": {"test-configmap": "patched"}}, "data": {"valueName": "1"}}
        patched = await maps.patch("c", change, STRATEGIC)
        assert await watch.expect("MODIFIED") == [patched]
        assert patched["metadata"]["labels"] == {**labels, "test-configmap": "patched"}
        assert await maps.get("c") == patched
        (found,) = await maps.items("test-configmap-static=true", everywhere=True)
        assert found["data"] == {"valueName": "1"}
        assert found["metadata"]["namespace"] == namespace
        await maps.delete_collection("test-configmap-static=true")
        await watch.expect("DELETED")
    assert await maps.items("test-configmap-static=true") == []


async def immutable(resource: Resource, name: str, one: str, other: str) -> None:
    """Put something with data and `immutable` through what may and what may not change."""
    made = await resource.create({"metadata": {"name": name}, "data": {"data-1": one}})
    made["data"]["data-4"] = other
    made = await resource.update(made)
    made["immutable"] = True
    made = await resource.update(made)
    assert made["immutable"] is True

    changed = {**made, "data": {**made["data"], "data-5": other}}
    with refused(422, "Invalid", "data: Forbidden: field is immutable when `immutable` is set"):
        await resource.update(changed)
    without = {key: value for key, value in made.items() if key != "immutable"}
    with refused(
        422, "Invalid", "immutable: Forbidden: field is immutable when `immutable` is set"
    ):
        await resource.update(without)
    with refused(422, "Invalid", "immutable: Forbidden"):
        await resource.patch(name, {"immutable": False})
    assert await resource.get(name) == made

    made["metadata"]["labels"] = {"label1": "value1"}
    labelled = await resource.update(made)
    assert labelled["metadata"]["labels"] == {"label1": "value1"}
    await resource.delete(name)
    assert await resource.missing(name)


@conforms("[sig-storage] ConfigMap should be immutable if `immutable` field is set [Conformance]")
@world()
async def test_config_maps_may_be_immutable(w: World) -> None:
    maps = w.resource("v1", "configmaps", await w.namespace())
    await immutable(maps, "immutable", "value-1", "value-4")


@conforms("[sig-storage] Secrets should be immutable if `immutable` field is set [Conformance]")
@world()
async def test_secrets_may_be_immutable(w: World) -> None:
    secrets = w.resource("v1", "secrets", await w.namespace())
    await immutable(secrets, "immutable", encoded("value-1"), encoded("value-4"))


@conforms("[sig-node] Secrets should fail to create secret due to empty secret key [Conformance]")
@world()
async def test_secrets_have_no_empty_key(w: World) -> None:
    secrets = w.resource("v1", "secrets", await w.namespace())
    with refused(422, "Invalid", 'data[]: Invalid value: ""'):
        await secrets.create({"metadata": {"name": "s"}, "data": {"": encoded("value-1")}})
    assert await secrets.missing("s")


@conforms("[sig-node] Secrets should patch a secret [Conformance]")
@world()
async def test_secrets_are_patched(w: World) -> None:
    secrets = w.resource("v1", "secrets", await w.namespace())
    await operations(w, secrets, {"data": {"key": encoded("value")}, "type": "Opaque"})
    body = {
        "metadata": {"name": "s", "labels": {"testsecret-constant": "true"}},
        "data": {"key": encoded("value")},
    }
    made = await secrets.create(body)
    assert made["type"] == "Opaque"
    assert await secrets.names("testsecret-constant=true", everywhere=True) == ["s"]
    change = {"metadata": {"labels": {"testsecret": "true"}}, "data": {"key": encoded("value1")}}
    await secrets.patch("s", change, STRATEGIC)
    found = await secrets.get("s")
    assert found["data"] == {"key": encoded("value1")}
    assert found["metadata"]["labels"] == {"testsecret-constant": "true", "testsecret": "true"}
    await secrets.delete_collection("testsecret-constant=true")
    assert await secrets.items("testsecret-constant=true", everywhere=True) == []


def template(name: str, **labels: str) -> dict:
    return {
        "metadata": {"name": name, "labels": labels},
        "template": {"metadata": {"labels": labels}, "spec": POD},
    }


@conforms("[sig-node] PodTemplates should run the lifecycle of PodTemplates [Conformance]")
@world()
async def test_pod_templates_live(w: World) -> None:
    templates = w.resource("v1", "podtemplates", await w.namespace())
    await operations(w, templates, {"template": {"spec": POD}})
    static = "podtemplate-static=true"
    await templates.create(template("nginx", **{"podtemplate-static": "true"}))
    assert await templates.names(static, everywhere=True) == ["nginx"]
    change = {"metadata": {"labels": {"podtemplate": "patched"}}}
    await templates.patch("nginx", change, STRATEGIC)
    found = await templates.get("nginx")
    assert found["metadata"]["labels"]["podtemplate"] == "patched"
    assert found["template"]["spec"]["restartPolicy"] == "Always"
    await templates.delete("nginx")
    assert await templates.items(static, everywhere=True) == []


@conforms("[sig-node] PodTemplates should delete a collection of pod templates [Conformance]")
@world()
async def test_pod_templates_go_together(w: World) -> None:
    templates = w.resource("v1", "podtemplates", await w.namespace())
    for number in range(1, 4):
        await templates.create(template(f"test-podtemplate-{number}", set="true"))
    await templates.create(template("kept", set="false"))
    assert len(await templates.items("set=true")) == 3
    await templates.delete_collection("set=true")
    assert await templates.items("set=true") == []
    assert await templates.names() == ["kept"]


@conforms("[sig-node] PodTemplates should replace a pod template [Conformance]")
@world()
async def test_pod_templates_are_replaced(w: World) -> None:
    templates = w.resource("v1", "podtemplates", await w.namespace())
    made = await templates.create(template("one", test="replace"))
    made["metadata"]["annotations"] = {"updated": "true"}
    replaced = await templates.update(made)
    assert replaced["metadata"]["annotations"] == {"updated": "true"}
    assert await templates.get("one") == replaced
    assert version(replaced) > version(made)


@conforms("[sig-node] Lease lease API should be available [Conformance]")
@world()
async def test_leases(w: World) -> None:
    leases = w.resource("coordination.k8s.io/v1", "leases", await w.namespace())
    spec = {
        "holderIdentity": "holder", "leaseDurationSeconds": 30, "leaseTransitions": 0,
        "acquireTime": "2026-01-02T03:04:05.000002Z", "renewTime": "2026-01-02T03:04:10.123456Z",
    }  # fmt: skip
    await leases.create({"metadata": {"name": "lease"}, "spec": spec})
    found = await leases.get("lease")
    assert found["spec"] == spec
    changed = {
        "holderIdentity": "holder2", "leaseDurationSeconds": 60, "leaseTransitions": 1,
        "acquireTime": "2026-01-02T03:05:05.500000Z", "renewTime": "2026-01-02T03:06:10.999999Z",
    }  # fmt: skip
    await leases.update({**found, "spec": changed})
    found = await leases.get("lease")
    assert found["spec"] == changed
    await leases.patch("lease", {"spec": spec}, STRATEGIC)
    assert (await leases.get("lease"))["spec"] == spec
    labelled = {"metadata": {"name": "lease2", "labels": {"deletecollection": "true"}}}
    await leases.create({**labelled, "spec": spec})
    assert await leases.names() == ["lease", "lease2"]
    await leases.delete_collection("deletecollection=true")
    assert await leases.names() == ["lease"]
    await leases.delete("lease")
    assert await leases.missing("lease")
    with refused(422, "Invalid", "must be greater than 0"):
        await leases.create({"metadata": {"name": "bad"}, "spec": {"leaseDurationSeconds": 0}})
