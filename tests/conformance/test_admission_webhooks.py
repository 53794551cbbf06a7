"""Webhooks refuse and change what is to be stored."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conformance.definitions import ANYTHING, definition, version
from tests.conformance.marks import conforms
from tests.conformance.webhooks import BAD, MUTATING, REASON, VALIDATING, World, play
from tests.unit.apiserver.harness import DEFAULT, JSON_PATCH, PODS

MAPS = f"{DEFAULT}/configmaps"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
TESTS = "/apis/stable.example.com/v1/namespaces/default/crontabs"
DATA = {"type": "object", "properties": {"data": ANYTHING}}


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": data}


def pod(name: str, **labels: str) -> dict[str, Any]:
    containers = [{"name": "c", "image": "pause"}]
    return {"metadata": {"name": name, "labels": labels}, "spec": {"containers": containers}}


def tab(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": {"name": name},
            "data": data}  # fmt: skip


async def define(w: World, *versions: Any) -> None:
    assert (await w.server.post(CRDS, definition(*versions))).status == 201
    async with asyncio.timeout(10):
        while (await w.server.get("/apis/stable.example.com/v1")).status != 200:
            await asyncio.sleep(0)


@conforms(
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should be able to deny pod and"
    " configmap creation [Conformance]"
)
def test_refusals() -> None:
    async def story(w: World) -> None:
        exempt = {"matchExpressions": [
            {"key": "skip-webhook-admission", "operator": "NotIn", "values": ["yes"]}]}  # fmt: skip
        hooks = (
            w.hook("pods", "pods", "CREATE"),
            w.hook("configmaps", "configmaps", "CREATE", "UPDATE", "DELETE",
                   namespaceSelector=exempt),
        )  # fmt: skip
        await w.register(VALIDATING, "refusing", *hooks)
        refused = await w.server.post(PODS, pod("bad", **{BAD: "disallow"}))
        assert refused.status == 400
        assert refused.message == (
            'admission webhook "pods.webhook.example.com" denied the request: '
            "the pod contains unwanted label"
        )
        bad = {BAD: "webhook-disallow"}
        refused = await w.server.post(MAPS, config_map("bad", **bad))
        assert REASON in refused.message
        assert (await w.server.post(MAPS, config_map("good", a="b"))).status == 201
        put = await w.server.put(f"{MAPS}/good", config_map("good", **bad))
        assert REASON in put.message
        assert REASON in (await w.server.patch(f"{MAPS}/good", {"data": bad})).message
        space = {"metadata": {"name": "exempted", "labels": {"skip-webhook-admission": "yes"}}}
        assert (await w.server.post("/api/v1/namespaces", space)).status == 201
        path = "/api/v1/namespaces/exempted/configmaps"
        assert (await w.server.post(path, config_map("bad", **bad))).status == 201

    play(story)


@conforms(
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should be able to deny"
    " attaching pod [Conformance]"
)
def test_a_conversation_is_refused() -> None:
    async def story(w: World) -> None:
        hook = w.hook("pods-attach", "pods/attach", "CONNECT")
        await w.register(VALIDATING, "attach", hook)
        await w.server.post(PODS, pod("to-be-attached-pod"))
        refused = await w.server.post(f"{PODS}/to-be-attached-pod/attach?stdin=true", None)
        assert "attaching to pod 'to-be-attached-pod' is not allowed" in refused.message

    play(story)


@conforms(
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should be able to deny custom"
    " resource creation, update and deletion [Conformance]"
)
def test_objects_of_a_kind_of_ones_own_are_refused() -> None:
    async def story(w: World) -> None:
        await define(w, version("v1", DATA))
        await w.server.post(TESTS, tab("there", a="b"))
        await w.register(
            VALIDATING, "custom",
            w.hook("custom-resource", "crontabs", "CREATE", "UPDATE", "DELETE",
                   group="stable.example.com"),
        )  # fmt: skip
        bad, told = {BAD: "webhook-disallow"}, "the custom resource contains unwanted data"
        assert told in (await w.server.post(TESTS, tab("bad", **bad))).message
        assert told in (await w.server.patch(f"{TESTS}/there", {"data": bad})).message
        await w.server.delete(f"{VALIDATING}/custom")
        await w.server.patch(f"{TESTS}/there", {"data": bad})
        hook = w.hook("custom-resource", "crontabs", "DELETE", group="stable.example.com")
        await w.register(VALIDATING, "custom", hook)
        assert told in (await w.server.delete(f"{TESTS}/there")).message
        await w.server.delete(f"{VALIDATING}/custom")
        assert (await w.server.delete(f"{TESTS}/there")).status == 200

    play(story)


@conforms(
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should deny crd creation"
    " [Conformance]"
)
def test_definitions_are_refused() -> None:
    async def story(w: World) -> None:
        hook = w.hook("crd", "customresourcedefinitions", group="apiextensions.k8s.io")
        await w.register(VALIDATING, "definitions", hook)
        body = definition(version("v1", DATA))
        body["metadata"]["labels"] = {"webhook-e2e-test": "webhook-disallow"}
        assert "the crd contains unwanted label" in (await w.server.post(CRDS, body)).message

    play(story)


@conforms(
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should unconditionally reject"
    " operations on fail closed webhook [Conformance]"
)
def test_a_webhook_that_cannot_be_asked() -> None:
    async def story(w: World) -> None:
        hook = w.hook("always-deny", "configmaps", failurePolicy="Fail")
        del hook["clientConfig"]["caBundle"]  # so that its certificate is nobody's
        await w.register(VALIDATING, "closed", hook)
        refused = await w.server.post(MAPS, config_map("one"))
        assert (refused.status, refused.tree["reason"]) == (500, "InternalError")
        assert refused.message.startswith(
            'Internal error occurred: failed calling webhook "always-deny.webhook.example.com": '
            f'failed to call webhook: Post "https://localhost:{w.port}/always-deny?timeout=10s": '
        )
        await w.server.patch(
            f"{VALIDATING}/closed",
            [{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}], JSON_PATCH,
        )  # fmt: skip
        assert (await w.server.post(MAPS, config_map("one"))).status == 201

    play(story)


@conforms(
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should mutate configmap"
    " [Conformance]"
)
def test_one_webhook_sees_what_another_made() -> None:
    async def story(w: World) -> None:
        hooks = (
            w.hook("mutating-data", "configmaps", name="one.example.com.x"),
            w.hook("mutating-data", "configmaps", name="two.example.com.x"),
        )
        await w.register(MUTATING, "stages", *hooks)
        made = (await w.server.post(MAPS, config_map("one", **{"mutation-start": "yes"}))).tree
        assert made["data"] == dict.fromkeys(
            ("mutation-start", "mutation-stage-1", "mutation-stage-2"), "yes"
        )

    play(story)


@conforms(
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should mutate pod and apply"
    " defaults after mutation [Conformance]"
)
def test_what_a_webhook_adds_gets_defaults() -> None:
    async def story(w: World) -> None:
        await w.register(MUTATING, "init", w.hook("mutating-pods", "pods"))
        made = (await w.server.post(PODS, pod("one"))).tree
        (added,) = made["spec"]["initContainers"]
        assert added["name"] == "webhook-added-init-container"
        assert added["terminationMessagePolicy"] == "File"

    play(story)


@conforms(
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should mutate custom resource"
    " [Conformance]",
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should mutate custom resource"
    " with pruning [Conformance]",
)
@pytest.mark.parametrize("pruned", [False, True])
def test_objects_of_a_kind_of_ones_own_are_changed(pruned: bool) -> None:
    async def story(w: World) -> None:
        text = {"type": "string"}
        named = {"type": "object", "properties": {"mutation-start": text, "mutation-stage-1": text}}
        schema = {"type": "object", "properties": {"data": named if pruned else ANYTHING}}
        await define(w, version("v1", schema))
        hooks = (
            w.hook("mutating-data", "crontabs", group="stable.example.com", name="one.example.com.x"),
            w.hook("mutating-data", "crontabs", group="stable.example.com", name="two.example.com.x"),
        )  # fmt: skip
        await w.register(MUTATING, "stages", *hooks)
        made = (await w.server.post(TESTS, tab("one", **{"mutation-start": "yes"}))).tree
        wanted = {"mutation-start": "yes", "mutation-stage-1": "yes"}
        if not pruned:
            wanted["mutation-stage-2"] = "yes"
        assert made["data"] == wanted

    play(story)


@conforms(
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should mutate custom resource"
    " with different stored version [Conformance]"
)
def test_objects_stored_in_another_version_are_changed() -> None:
    async def story(w: World) -> None:
        await define(w, version("v1", DATA, storage=True), version("v2", DATA))
        hook = w.hook("mutating-data", "crontabs", "CREATE", "UPDATE", group="stable.example.com")
        await w.register(MUTATING, "stages", hook)
        await w.server.post(TESTS, tab("one", **{"mutation-start": "yes"}))
        swap = [{"op": "replace", "path": f"/spec/versions/{number}/storage", "value": value}
                for number, value in ((0, False), (1, True))]  # fmt: skip
        name = "crontabs.stable.example.com"
        changed = await w.server.patch(f"{CRDS}/{name}", swap, JSON_PATCH)
        assert changed.tree["status"]["storedVersions"] == ["v1", "v2"]
        await w.server.settle()
        patched = await w.server.patch(f"{TESTS}/one", {"data": {"dummy": "test"}})
        assert patched.status == 200, patched.body
        assert patched.tree["data"]["dummy"] == "test"
        assert patched.tree["data"]["mutation-stage-1"] == "yes"

    play(story)


@conforms(
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should not be able to mutate or"
    " prevent deletion of webhook configuration objects [Conformance]"
)
def test_configurations_are_nobodys_to_protect() -> None:
    async def story(w: World) -> None:
        group, kinds = "admissionregistration.k8s.io", "*"
        await w.register(VALIDATING, "deny", w.hook("always-deny", kinds, "DELETE", group=group))
        await w.register(MUTATING, "label", w.hook("add-label", kinds, "*", group=group))
        for kind in (VALIDATING, MUTATING):
            made = await w.register(kind, "victim", w.hook("always-deny", "nothings"))
            assert "added-label" not in (made["metadata"].get("labels") or {})
            assert (await w.server.delete(f"{kind}/victim")).status == 200

    play(story)


@conforms(
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should honor timeout"
    " [Conformance]"
)
def test_patience() -> None:
    async def story(w: World) -> None:
        async def ask(name: str, slow: float, **more: Any) -> Any:
            w.hooks.slow = slow
            hook = w.hook("always-allow-delay-5s", "configmaps", **more)
            await w.register(VALIDATING, "slow", hook)
            answer = await w.server.post(MAPS, config_map(name))
            await w.server.delete(f"{VALIDATING}/slow")
            return answer

        late = await ask("a", 30.0, timeoutSeconds=1, failurePolicy="Fail")
        assert late.status == 500
        assert "?timeout=1s" in late.message
        assert "context deadline exceeded" in late.message
        assert (await ask("b", 30.0, timeoutSeconds=1, failurePolicy="Ignore")).status == 201
        assert (await ask("c", 0.1, failurePolicy="Fail")).status == 201

    play(story)


@conforms(
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] patching/updating a validating"
    " webhook should work [Conformance]",
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] patching/updating a mutating"
    " webhook should work [Conformance]",
)
@pytest.mark.parametrize("kind", [VALIDATING, MUTATING])
def test_a_changed_configuration_counts_at_once(kind: str) -> None:
    async def story(w: World) -> None:
        path = "configmaps" if kind == VALIDATING else "mutating-data"
        made = await w.register(kind, "changing", w.hook(path, "configmaps", "CREATE"))
        body = {BAD: "webhook-disallow", "mutation-start": "yes"}

        async def works(name: str) -> bool:
            answer = await w.server.post(MAPS, config_map(name, **body))
            if kind == VALIDATING:
                return answer.status == 400
            return "mutation-stage-1" in answer.tree["data"]

        assert await works("one")
        made["webhooks"][0]["rules"][0]["operations"] = ["UPDATE"]
        assert (await w.server.put(f"{kind}/changing", made)).status == 200
        assert not await works("two")
        operation = {"op": "replace", "path": "/webhooks/0/rules/0/operations", "value": ["CREATE"]}
        await w.server.patch(f"{kind}/changing", [operation], JSON_PATCH)
        assert await works("three")

    play(story)


@conforms(
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] listing validating webhooks"
    " should work [Conformance]",
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] listing mutating webhooks"
    " should work [Conformance]",
)
@pytest.mark.parametrize("kind", [VALIDATING, MUTATING])
def test_many_configurations(kind: str) -> None:
    async def story(w: World) -> None:
        path = "configmaps" if kind == VALIDATING else "mutating-data"
        for number in range(10):
            await w.register(kind, f"many-{number}", w.hook(path, "configmaps"), suite="listing")
        listed = (await w.server.get(f"{kind}?labelSelector=suite%3Dlisting")).tree["items"]
        assert len(listed) == 10
        body = {BAD: "webhook-disallow", "mutation-start": "yes"}
        before = await w.server.post(MAPS, config_map("one", **body))
        assert before.status == (400 if kind == VALIDATING else 201)
        if kind == MUTATING:
            assert before.tree["data"]["mutation-stage-2"] == "yes"
        assert (await w.server.delete(f"{kind}?labelSelector=suite%3Dlisting")).status == 200
        after = await w.server.post(MAPS, config_map("two", **body))
        assert after.tree["data"] == body

    play(story)


@conforms(
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should be able to create and"
    " update validating webhook configurations with match conditions [Conformance]",
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should be able to create and"
    " update mutating webhook configurations with match conditions [Conformance]",
)
@pytest.mark.parametrize("kind", [VALIDATING, MUTATING])
def test_match_conditions_are_kept(kind: str) -> None:
    async def story(w: World) -> None:
        first = [
            {"name": "expression-1", "expression": "object.metadata.namespace == 'production'"}
        ]
        hook = w.hook("always-deny", "configmaps", matchConditions=first)
        made = await w.register(kind, "conditional", hook)
        assert made["webhooks"][0]["matchConditions"] == first
        second = [{"name": "expression-2", "expression": "object.metadata.namespace == 'staging'"}]
        made["webhooks"][0]["matchConditions"] = second
        assert (await w.server.put(f"{kind}/conditional", made)).status == 200
        found = (await w.server.get(f"{kind}/conditional")).tree
        assert found["webhooks"][0]["matchConditions"] == second

    play(story)


@conforms(
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should reject validating"
    " webhook configurations with invalid match conditions [Conformance]",
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should reject mutating webhook"
    " configurations with invalid match conditions [Conformance]",
)
@pytest.mark.parametrize("kind", [VALIDATING, MUTATING])
def test_match_conditions_that_are_none(kind: str) -> None:
    async def story(w: World) -> None:
        bad = [{"name": "invalid-expression-1", "expression": "... [] bad expression"}]
        hook = w.hook("always-deny", "configmaps", matchConditions=bad)
        refused = await w.server.post(kind, {"metadata": {"name": "bad"}, "webhooks": [hook]})
        assert refused.status == 422
        assert "compilation failed" in refused.message

    play(story)


@conforms(
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should mutate everything except"
    " 'skip-me' configmaps [Conformance]"
)
def test_a_condition_spares_some() -> None:
    async def story(w: World) -> None:
        condition = {"name": "skip-me", "expression": "object.metadata.name != 'skip-me'"}
        hook = w.hook("mutating-data", "configmaps", matchConditions=[condition])
        await w.register(MUTATING, "most", hook)
        start = {"mutation-start": "yes"}
        spared = (await w.server.post(MAPS, config_map("skip-me", **start))).tree
        changed = (await w.server.post(MAPS, config_map("other", **start))).tree
        assert spared["data"] == start
        assert changed["data"]["mutation-stage-1"] == "yes"

    play(story)


def test_what_a_webhook_is_told() -> None:
    async def story(w: World) -> None:
        await w.register(VALIDATING, "told", w.hook("configmaps", "configmaps", "*"))
        await w.server.post(f"{MAPS}?dryRun=All&fieldManager=me", config_map("one", a="b"))
        (asked,) = w.hooks.asked
        assert asked["kind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
        assert asked["resource"] == {"group": "", "version": "v1", "resource": "configmaps"}
        assert (asked["name"], asked["namespace"]) == ("one", "default")
        assert (asked["operation"], asked["dryRun"]) == ("CREATE", True)
        assert asked["userInfo"]["username"] == "admin"
        assert asked["options"]["kind"] == "CreateOptions"
        assert asked["object"]["metadata"]["uid"]
        assert "oldObject" not in asked
        await w.server.post(MAPS, config_map("one", a="b"))
        await w.server.delete(f"{MAPS}/one")
        gone = w.hooks.asked[-1]
        assert gone["operation"] == "DELETE"
        assert gone["oldObject"]["data"] == {"a": "b"}
        assert "object" not in gone

    play(story)


def test_a_webhook_looks_again_at_what_others_changed() -> None:
    async def story(w: World) -> None:
        hooks = (
            w.hook("add-label", "configmaps", name="one.example.com.x",
                   reinvocationPolicy="IfNeeded"),
            w.hook("mutating-data", "configmaps", name="two.example.com.x"),
        )  # fmt: skip
        await w.register(MUTATING, "again", *hooks)
        await w.server.post(MAPS, config_map("one", **{"mutation-start": "yes"}))
        assert len(w.hooks.asked) == 3
        assert "mutation-stage-1" in w.hooks.asked[2]["object"]["data"]
        w.hooks.asked.clear()
        await w.server.post(MAPS, config_map("two", a="b"))
        assert len(w.hooks.asked) == 2  # nobody changed it after the first

    play(story)
