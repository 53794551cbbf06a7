"""What is special about the core kinds."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.apiserver.harness import DEFAULT, MERGE, PODS, STRATEGIC, Server, deployment, pod

SERVICES = f"{DEFAULT}/services"
BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"


def _service(name: str = "s", **spec: object) -> dict:
    spec.setdefault("ports", [{"port": 80}])
    return {"metadata": {"name": name}, "spec": spec}


class TestPods:
    def test_qos_class_generation_and_phase(self) -> None:
        async def story() -> None:
            async with Server() as server:
                resources = {"limits": {"cpu": "1", "memory": "1Gi"}}
                container = {"name": "c", "image": "i", "resources": resources}
                made = (await server.post(PODS, pod(containers=[container]))).tree
                assert made["status"] == {"phase": "Pending", "qosClass": "Guaranteed"}
                assert made["metadata"]["generation"] == 1
                patch = {"metadata": {"labels": {"a": "b"}}}
                same = (await server.patch(f"{PODS}/p", patch)).tree
                assert same["metadata"]["generation"] == 1
                patch = {"spec": {"containers": [{"name": "c", "image": "j"}]}}
                changed = (await server.patch(f"{PODS}/p", patch, STRATEGIC)).tree
                assert changed["metadata"]["generation"] == 2

        asyncio.run(story())

    def test_a_reporter_cannot_lose_the_qos_class(self) -> None:
        async def story() -> None:
            async with Server() as server:
                await server.post(PODS, pod())
                answer = await server.put(
                    f"{PODS}/p/status", {**pod(), "status": {"phase": "Running"}}
                )
                assert answer.tree["status"]["qosClass"] == "BestEffort"

        asyncio.run(story())

    def test_gated_pods_say_so_and_are_not_bound(self) -> None:
        async def story() -> None:
            async with Server() as server:
                made = await server.post(PODS, pod(schedulingGates=[{"name": "x.io/g"}]))
                condition = made.tree["status"]["conditions"][0]
                assert condition["reason"] == "SchedulingGated"
                body = {"target": {"kind": "Node", "name": "n"}}
                refused = await server.post(f"{PODS}/p/binding", body)
                assert "has non-empty .spec.schedulingGates" in refused.message

        asyncio.run(story())

    def test_binding(self) -> None:
        async def story() -> None:
            async with Server() as server:
                await server.post(PODS, pod())
                body = {
                    "metadata": {"name": "p", "annotations": {"a": "b"}},
                    "target": {"kind": "Node", "name": "n1"},
                }
                wrong = {**body, "metadata": {"name": "p", "uid": "other"}}
                assert (await server.post(f"{PODS}/p/binding", wrong)).status == 409
                answer = await server.post(f"{PODS}/p/binding", body)
                assert (answer.status, answer.tree["status"]) == (201, "Success")
                bound = (await server.get(f"{PODS}/p")).tree
                assert bound["spec"]["nodeName"] == "n1"
                assert bound["metadata"]["annotations"] == {"a": "b"}
                assert bound["metadata"]["generation"] == 1
                assert bound["status"]["conditions"][0]["type"] == "PodScheduled"
                again = await server.post(f"{PODS}/p/binding", body)
                assert again.message == (
                    'Operation cannot be fulfilled on pods/binding "p": pod p is already assigned '
                    'to node "n1"'
                )
                nowhere = await server.post(f"{PODS}/p/binding", {"target": {"kind": "Node"}})
                assert nowhere.status == 422
                assert (await server.post(f"{PODS}/q/binding", {
                    "target": {"name": "n1"},
                })).status == 404  # fmt: skip
                await server.post(PODS, pod("old"))
                old_way = {"metadata": {"name": "old"}, "target": {"name": "n2"}}
                assert (await server.post(f"{DEFAULT}/bindings", old_way)).status == 201
                assert (await server.get(f"{PODS}/old")).tree["spec"]["nodeName"] == "n2"

        asyncio.run(story())

    def test_ephemeral_containers_and_resize(self) -> None:
        async def story() -> None:
            async with Server() as server:
                await server.post(PODS, pod())
                debug = {"name": "debug", "image": "busybox", "targetContainerName": "c"}
                path = f"{PODS}/p/ephemeralcontainers"
                answer = await server.patch(
                    path, {"spec": {"ephemeralContainers": [debug]}}, STRATEGIC
                )
                assert answer.status == 200, answer.body
                assert answer.tree["spec"]["ephemeralContainers"][0]["name"] == "debug"
                assert answer.tree["metadata"]["generation"] == 2
                gone = await server.patch(path, {"spec": {"ephemeralContainers": None}}, MERGE)
                assert gone.status == 422
                resources = {"requests": {"cpu": "100m"}, "limits": {"cpu": "200m"}}
                container = {"name": "c", "image": "i", "resources": resources}
                await server.post(PODS, pod("r", containers=[container]))
                more = {"name": "c", "resources": {"limits": {"cpu": "300m"}}}
                resized = await server.patch(
                    f"{PODS}/r/resize", {"spec": {"containers": [more], "nodeName": "x"}}, STRATEGIC
                )
                assert resized.status == 200, resized.body
                assert resized.tree["spec"]["containers"][0]["resources"]["limits"] == {
                    "cpu": "300m"
                }
                assert "nodeName" not in resized.tree["spec"]
                assert resized.body == (await server.get(f"{PODS}/r")).body

        asyncio.run(story())


class TestEviction:
    async def _ready(self, server: Server, name: str) -> None:
        await server.post(PODS, pod(name, labels={"app": "web"}, nodeName="n1"))
        condition = {"type": "Ready", "status": "True"}
        await server.patch(
            f"{PODS}/{name}/status", {"status": {"phase": "Running", "conditions": [condition]}}
        )

    def test_without_a_budget_the_pod_goes(self) -> None:
        async def story() -> None:
            async with Server() as server:
                await self._ready(server, "a")
                body = {"metadata": {"name": "a"}, "deleteOptions": {"gracePeriodSeconds": 5}}
                answer = await server.post(f"{PODS}/a/eviction", body)
                assert (answer.status, answer.tree["status"]) == (201, "Success")
                left = (await server.get(f"{PODS}/a")).tree
                assert left["metadata"]["deletionGracePeriodSeconds"] == 5
                kinds = {c["type"]: c for c in left["status"]["conditions"]}
                assert kinds["DisruptionTarget"]["reason"] == "EvictionByEvictionAPI"

        asyncio.run(story())

    def test_a_budget_says_no_until_it_allows_one(self) -> None:
        async def story() -> None:
            async with Server() as server:
                await self._ready(server, "a")
                budget = {
                    "metadata": {"name": "b"},
                    "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
                }
                await server.post(BUDGETS, budget)
                refused = await server.post(f"{PODS}/a/eviction", {})
                assert refused.status == 429
                assert "is still being processed" in str(refused.tree["details"])
                status = {"observedGeneration": 1, "disruptionsAllowed": 0, "currentHealthy": 1,
                          "desiredHealthy": 1, "expectedPods": 1}  # fmt: skip
                await server.patch(f"{BUDGETS}/b/status", {"status": status})
                refused = await server.post(f"{PODS}/a/eviction", {})
                assert refused.message == (
                    "Cannot evict pod as it would violate the pod's disruption budget."
                )
                cause = refused.tree["details"]["causes"][0]
                assert cause == {
                    "reason": "DisruptionBudget",
                    "message": "The disruption budget b needs 1 healthy pods and has 1 currently",
                }
                await server.patch(f"{BUDGETS}/b/status", {"status": {"disruptionsAllowed": 1}})
                assert (await server.post(f"{PODS}/a/eviction", {})).status == 201
                after = (await server.get(f"{BUDGETS}/b")).tree["status"]
                assert after["disruptionsAllowed"] == 0
                assert list(after["disruptedPods"]) == ["a"]

        asyncio.run(story())

    def test_pods_that_do_not_run_need_no_budget(self) -> None:
        async def story() -> None:
            async with Server() as server:
                await server.post(PODS, pod("a", labels={"app": "web"}))
                budget = {"metadata": {"name": "b"}, "spec": {"selector": {}, "minAvailable": 5}}
                await server.post(BUDGETS, budget)
                assert (await server.post(f"{PODS}/a/eviction", {})).status == 201
                assert (await server.get(f"{PODS}/a")).status == 404

        asyncio.run(story())


class TestServices:
    def test_addresses_and_ports(self) -> None:
        async def story() -> None:
            async with Server() as server:
                made = (await server.post(SERVICES, _service(type="NodePort"))).tree["spec"]
                assert made["clusterIP"] == made["clusterIPs"][0]
                assert made["clusterIP"].startswith("10.")
                assert 30000 <= made["ports"][0]["nodePort"] <= 32767
                assert (made["ipFamilies"], made["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")
                taken = await server.post(SERVICES, _service("t", clusterIP=made["clusterIP"]))
                assert "provided IP is already allocated" in taken.message
                port = {"port": 80, "nodePort": made["ports"][0]["nodePort"]}
                taken = await server.post(SERVICES, _service("t", type="NodePort", ports=[port]))
                assert "provided port is already allocated" in taken.message
                far = await server.post(SERVICES, _service("t", clusterIP="192.0.2.7"))
                assert "provided IP is not in the valid range" in far.message
                port = {"port": 80, "nodePort": 80}
                far = await server.post(SERVICES, _service("t", type="NodePort", ports=[port]))
                assert "The range of valid ports is 30000-32767" in far.message

        asyncio.run(story())

    def test_what_is_refused_takes_nothing(self) -> None:
        async def story() -> None:
            async with Server() as server:
                addresses = server.api.services.allocators.addresses
                ports = server.api.services.allocators.ports._numbers
                before = len(addresses), len(ports)
                bad = _service("Bad_Name", type="NodePort")
                assert (await server.post(SERVICES, bad)).status == 422
                assert (await server.post(f"{SERVICES}?dryRun=All", _service())).status == 201
                assert (len(addresses), len(ports)) == before
                await server.post(SERVICES, _service(type="NodePort"))
                assert (await server.post(SERVICES, _service(type="NodePort"))).status == 409
                assert (len(addresses), len(ports)) == (before[0] + 1, before[1] + 1)
                await server.delete(f"{SERVICES}/s")
                assert (len(addresses), len(ports)) == before

        asyncio.run(story())

    def test_types_change(self) -> None:
        async def story() -> None:
            async with Server() as server:
                first = (await server.post(SERVICES, _service())).tree["spec"]

                async def to(type_: str, **more: object) -> dict:
                    spec = {"type": type_, **more}
                    answer = await server.patch(f"{SERVICES}/s", {"spec": spec})
                    assert answer.status == 200, answer.body
                    return answer.tree["spec"]

                node = await to("NodePort")
                assert node["clusterIP"] == first["clusterIP"]
                assert node["ports"][0]["nodePort"]
                plain = await to("ClusterIP")
                assert "nodePort" not in plain["ports"][0]
                outside = await to("ExternalName", externalName="a.b.c")
                assert "clusterIP" not in outside
                back = await to("ClusterIP", externalName=None)
                assert back["clusterIP"]
                ports = server.api.services.allocators.ports._numbers
                assert len(ports) == 0

        asyncio.run(story())

    def test_an_update_keeps_what_was_allocated(self) -> None:
        async def story() -> None:
            async with Server() as server:
                made = (await server.post(SERVICES, _service(type="NodePort"))).tree["spec"]
                body = _service(type="NodePort", selector={"a": "b"})
                kept = (await server.put(f"{SERVICES}/s", body)).tree["spec"]
                assert kept["clusterIP"] == made["clusterIP"]
                assert kept["ports"] == made["ports"]
                moved = await server.patch(f"{SERVICES}/s", {"spec": {"clusterIP": "10.96.9.9"}})
                assert moved.status == 422
                assert "may not change once set" in moved.message

        asyncio.run(story())

    def test_headless_and_two_protocols(self) -> None:
        async def story() -> None:
            async with Server() as server:
                headless = _service("h", clusterIP="None", selector={"a": "b"})
                made = (await server.post(SERVICES, headless)).tree["spec"]
                assert (made["clusterIP"], made["clusterIPs"]) == ("None", ["None"])
                ports = [
                    {"name": "t", "port": 53, "protocol": "TCP"},
                    {"name": "u", "port": 53, "protocol": "UDP"},
                ]
                made = (
                    await server.post(SERVICES, _service("d", type="NodePort", ports=ports))
                ).tree
                numbers = {port["nodePort"] for port in made["spec"]["ports"]}
                assert len(numbers) == 1

        asyncio.run(story())

    def test_allocations_survive_a_restart(self) -> None:
        async def story() -> None:
            async with Server() as server:
                made = (await server.post(SERVICES, _service(type="NodePort"))).tree["spec"]
                async with Server(store=server.store) as second:
                    again = await second.post(SERVICES, _service("t", clusterIP=made["clusterIP"]))
                    assert "already allocated" in again.message

        asyncio.run(story())


class TestNamespaces:
    def test_finalizers_of_the_spec(self) -> None:
        async def story() -> None:
            async with Server() as server:
                body = {"metadata": {"name": "n"}, "status": {"phase": "Terminating"}}
                made = (await server.post("/api/v1/namespaces", body)).tree
                assert made["spec"] == {"finalizers": ["kubernetes"]}
                assert made["status"] == {"phase": "Active"}
                assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "n"}
                path = "/api/v1/namespaces/n"
                kept = await server.patch(path, {"spec": {"finalizers": []}})
                assert kept.tree["spec"] == {"finalizers": ["kubernetes"]}
                going = (await server.delete(path)).tree
                assert going["status"]["phase"] == "Terminating"
                assert "deletionGracePeriodSeconds" not in going["metadata"]
                again = await server.delete(path)
                assert again.status == 200
                done = await server.put(f"{path}/finalize", {"metadata": {"name": "n"}})
                assert done.status == 200
                assert (await server.get(path)).status == 404

        asyncio.run(story())

    def test_generated_names_get_their_label(self) -> None:
        async def story() -> None:
            async with Server() as server:
                body = {"metadata": {"generateName": "n-"}}
                meta = (await server.post("/api/v1/namespaces", body)).tree["metadata"]
                assert meta["labels"]["kubernetes.io/metadata.name"] == meta["name"]

        asyncio.run(story())


class TestScale:
    PATH = "/apis/apps/v1/namespaces/default/deployments"

    def test_show_and_change(self) -> None:
        async def story() -> None:
            async with Server() as server:
                made = (await server.post(self.PATH, deployment())).tree
                shown = (await server.get(f"{self.PATH}/d/scale")).tree
                assert shown["kind"] == "Scale"
                assert shown["spec"] == {"replicas": 2}
                assert shown["status"] == {"replicas": 0, "selector": "app=d"}
                assert shown["metadata"]["uid"] == made["metadata"]["uid"]
                shown["spec"]["replicas"] = 4
                changed = await server.put(f"{self.PATH}/d/scale", shown)
                assert changed.tree["spec"] == {"replicas": 4}
                stale = await server.put(f"{self.PATH}/d/scale", shown)
                assert stale.status == 409
                del shown["metadata"]["resourceVersion"]
                assert (await server.put(f"{self.PATH}/d/scale", shown)).status == 200
                patched = await server.patch(f"{self.PATH}/d/scale", {"spec": {"replicas": 0}})
                assert patched.tree["spec"] == {"replicas": 0}
                less = await server.patch(f"{self.PATH}/d/scale", {"spec": {"replicas": -1}})
                assert less.status == 422
                assert (await server.get(f"{self.PATH}/d")).tree["metadata"]["generation"] == 3

        asyncio.run(story())


class TestEvents:
    def test_one_storage_two_groups(self) -> None:
        async def story() -> None:
            async with Server() as server:
                body = {
                    "metadata": {"name": "e"}, "reason": "R", "message": "m", "type": "Normal",
                    "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
                    "source": {"component": "kubelet", "host": "n"}, "count": 3,
                    "firstTimestamp": "2026-01-02T03:04:05Z",
                    "lastTimestamp": "2026-01-02T03:04:06Z",
                }  # fmt: skip
                await server.post(f"{DEFAULT}/events", body)
                new = "/apis/events.k8s.io/v1/namespaces/default/events"
                other = (await server.get(f"{new}/e")).tree
                assert other["apiVersion"] == "events.k8s.io/v1"
                assert (other["note"], other["regarding"]["name"]) == ("m", "p")
                assert other["deprecatedCount"] == 3
                assert other["deprecatedSource"] == body["source"]
                await server.patch(f"{DEFAULT}/events/e", {"message": "changed", "count": 4})
                other = (await server.get(f"{new}/e")).tree
                assert (other["note"], other["deprecatedCount"]) == ("changed", 4)
                assert other["deprecatedLastTimestamp"] == "2026-01-02T03:04:06Z"
                by_field = "fieldSelector=reportingController%3Dkubelet,regarding.name%3Dp"
                assert len((await server.get(f"{new}?{by_field}")).tree["items"]) == 1
                assert (await server.delete(f"{new}/e")).status == 200

        asyncio.run(story())

    def test_they_vanish(self) -> None:
        async def story() -> None:
            async with Server(event_ttl=5.0) as server:
                body = {"metadata": {"name": "e"}, "involvedObject": {"namespace": "default"}}
                await server.post(f"{DEFAULT}/events", body)
                entry = server.store.get("/registry/events/default/e")
                assert 0 < entry.expires - server.api.services.clock.now() <= 5

        asyncio.run(story())


class TestAutoscalers:
    def test_two_versions(self) -> None:
        async def story() -> None:
            async with Server() as server:
                old = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
                new = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
                spec = {
                    "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"},
                    "maxReplicas": 5, "targetCPUUtilizationPercentage": 60,
                }  # fmt: skip
                made = await server.post(old, {"metadata": {"name": "h"}, "spec": spec})
                assert made.status == 201, made.body
                assert made.tree["spec"]["targetCPUUtilizationPercentage"] == 60
                as_new = (await server.get(f"{new}/h")).tree
                metric = as_new["spec"]["metrics"][0]["resource"]
                assert metric["target"] == {"type": "Utilization", "averageUtilization": 60}
                memory = {"type": "Resource", "resource": {
                    "name": "memory", "target": {"type": "Utilization", "averageUtilization": 70},
                }}  # fmt: skip
                as_new["spec"]["metrics"].append(memory)
                assert (await server.put(f"{new}/h", as_new)).status == 200
                as_old = (await server.get(f"{old}/h")).tree
                name = "autoscaling.alpha.kubernetes.io/metrics"
                assert "memory" in as_old["metadata"]["annotations"][name]
                assert (await server.put(f"{old}/h", as_old)).status == 200
                assert len((await server.get(f"{new}/h")).tree["spec"]["metrics"]) == 2

        asyncio.run(story())


class TestCertificates:
    PATH = "/apis/certificates.k8s.io/v1/certificatesigningrequests"

    def test_approval_and_signing_are_apart(self) -> None:
        async def story() -> None:
            from tests.unit.apiserver.test_every_kind import _certificate_request

            async with Server() as server:
                spec = {
                    "request": _certificate_request(), "signerName": "x.io/y",
                    "usages": ["client auth"], "username": "somebody-else",
                }  # fmt: skip
                made = (
                    await server.post(self.PATH, {"metadata": {"name": "r"}, "spec": spec})
                ).tree
                assert made["spec"]["username"] == "admin"
                condition = {"type": "Approved", "status": "True", "reason": "r", "message": "m"}
                made["status"] = {"conditions": [condition], "certificate": "eA=="}
                ignored = await server.put(f"{self.PATH}/r/status", made)
                assert "conditions" not in ignored.tree["status"]
                made = (await server.get(f"{self.PATH}/r")).tree
                made["status"] = {"conditions": [condition]}
                approved = (await server.put(f"{self.PATH}/r/approval", made)).tree
                assert approved["status"]["conditions"][0]["lastUpdateTime"]

        asyncio.run(story())


@pytest.mark.parametrize("number", [0, 1])
def test_uids_and_names_are_drawn_once_each(number: int) -> None:
    import random

    from kybern.apiserver.registry.identity import Identities

    ids = Identities(random.Random(number))
    uids = {ids.uid() for _ in range(500)}
    assert len(uids) == 500
    assert all(len(u) == 36 and u[14] == "4" and u[19] in "89ab" for u in uids)
    assert len(ids.name("x" * 80)) == 63
