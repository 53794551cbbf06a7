"""Each admission plugin, through the requests it is there for."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.apiserver.harness import DEFAULT, PODS, Server, pod

from kybern.apiserver.admission import plugins

SA = f"{DEFAULT}/serviceaccounts"


async def _pod(server: Server, body: dict | None = None, status: int = 201) -> dict:
    answer = await server.post(PODS, body or pod())
    assert answer.status == status, answer.body
    return answer.tree


def test_every_plugin_file_is_in_the_list() -> None:
    from pathlib import Path

    folder = Path(plugins.__file__).parent
    known = {plugin.__module__.rpartition(".")[2] for plugin in plugins.PLUGINS}
    files = {file.stem for file in folder.glob("*.py")}
    assert files - known == {"__init__", "chain", "plugins", "looking", "limits"}


class TestServiceAccount:
    def test_a_pod_gets_a_token(self) -> None:
        async def story() -> None:
            async with Server() as server:
                spec = (await _pod(server))["spec"]
                assert spec["serviceAccountName"] == spec["serviceAccount"] == "default"
                volume = spec["volumes"][0]
                assert volume["name"].startswith("kube-api-access-")
                kinds = [next(iter(source)) for source in volume["projected"]["sources"]]
                assert kinds == ["serviceAccountToken", "configMap", "downwardAPI"]
                mount = spec["containers"][0]["volumeMounts"][0]
                assert mount == {
                    "name": volume["name"], "readOnly": True,
                    "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                }  # fmt: skip

        asyncio.run(story())

    def test_unless_pod_or_account_do_not_want_one(self) -> None:
        async def story() -> None:
            async with Server() as server:
                spec = (await _pod(server, pod("a", automountServiceAccountToken=False)))["spec"]
                assert "volumes" not in spec
                quiet = {"metadata": {"name": "quiet"}, "automountServiceAccountToken": False,
                         "imagePullSecrets": [{"name": "pull"}]}  # fmt: skip
                await server.post(SA, quiet)
                spec = (await _pod(server, pod("b", serviceAccountName="quiet")))["spec"]
                assert "volumes" not in spec
                assert spec["imagePullSecrets"] == [{"name": "pull"}]
                wanted = pod("c", serviceAccountName="quiet", automountServiceAccountToken=True)
                assert (await _pod(server, wanted))["spec"]["volumes"]

        asyncio.run(story())

    def test_a_missing_account(self) -> None:
        async def story() -> None:
            async with Server() as server:
                answer = await _pod(server, pod("a", serviceAccountName="none"), 403)
                assert answer["message"] == (
                    'pods "a" is forbidden: error looking up service account default/none: '
                    'serviceaccount "none" not found'
                )

        asyncio.run(story())

    def test_a_new_namespaces_default_account_is_waited_for(self, virtual) -> None:
        async def story() -> None:
            async with Server() as server:
                await server.post("/api/v1/namespaces", {"metadata": {"name": "n"}})
                path = "/api/v1/namespaces/n"

                async def later() -> None:
                    await asyncio.sleep(0.5)
                    await server.post(f"{path}/serviceaccounts", {"metadata": {"name": "default"}})

                async with asyncio.TaskGroup() as group:
                    made = group.create_task(server.post(f"{path}/pods", pod()))
                    group.create_task(later())
                assert made.result().status == 201
                await server.delete(f"{path}/serviceaccounts/default")
                assert (await server.post(f"{path}/pods", pod("q"))).status == 403

        virtual(story())


class TestNamespaceLifecycle:
    def test_nothing_new_where_nothing_stays(self) -> None:
        async def story() -> None:
            async with Server() as server:
                await server.post("/api/v1/namespaces", {"metadata": {"name": "n"}})
                await server.delete("/api/v1/namespaces/n")
                path = "/api/v1/namespaces/n/configmaps"
                answer = await server.post(path, {"metadata": {"name": "a"}})
                assert answer.status == 403
                assert answer.tree["details"]["causes"][0]["reason"] == "NamespaceTerminating"

        asyncio.run(story())

    def test_some_never_go(self) -> None:
        async def story() -> None:
            async with Server() as server:
                for name in ("default", "kube-system", "kube-public"):
                    answer = await server.delete(f"/api/v1/namespaces/{name}")
                    assert answer.message == (
                        f'namespaces "{name}" is forbidden: this namespace may not be deleted'
                    )

        asyncio.run(story())


class TestPriority:
    PATH = "/apis/scheduling.k8s.io/v1/priorityclasses"

    def test_from_name_to_number(self) -> None:
        async def story() -> None:
            async with Server() as server:
                spec = (await _pod(server))["spec"]
                assert (spec["priority"], spec["preemptionPolicy"]) == (0, "PreemptLowerPriority")
                high = {"metadata": {"name": "high"}, "value": 7, "preemptionPolicy": "Never"}
                await server.post(self.PATH, high)
                spec = (await _pod(server, pod("a", priorityClassName="high")))["spec"]
                assert (spec["priority"], spec["preemptionPolicy"]) == (7, "Never")
                wrong = pod("b", priorityClassName="high", priority=8)
                assert (
                    "must not be provided in pod spec"
                    in (await _pod(server, wrong, 403))["message"]
                )
                none = pod("c", priorityClassName="none")
                message = (await _pod(server, none, 403))["message"]
                assert "no PriorityClass with name none was found" in message

        asyncio.run(story())

    def test_one_default(self) -> None:
        async def story() -> None:
            async with Server() as server:
                first = {"metadata": {"name": "one"}, "value": 5, "globalDefault": True}
                assert (await server.post(self.PATH, first)).status == 201
                second = {**first, "metadata": {"name": "two"}}
                refused = await server.post(self.PATH, second)
                assert "is already marked as default" in refused.message
                spec = (await _pod(server))["spec"]
                assert (spec["priorityClassName"], spec["priority"]) == ("one", 5)

        asyncio.run(story())


class TestTolerations:
    def test_five_minutes_unless_the_pod_says_otherwise(self) -> None:
        async def story() -> None:
            async with Server() as server:
                spec = (await _pod(server))["spec"]
                assert [t["tolerationSeconds"] for t in spec["tolerations"]] == [300, 300]
                own = [{"key": "node.kubernetes.io/unreachable", "operator": "Exists",
                        "effect": "NoExecute", "tolerationSeconds": 5}]  # fmt: skip
                spec = (await _pod(server, pod("b", tolerations=own)))["spec"]
                assert sorted(t["tolerationSeconds"] for t in spec["tolerations"]) == [5, 300]
                everything = [{"operator": "Exists"}]
                spec = (await _pod(server, pod("c", tolerations=everything)))["spec"]
                assert len(spec["tolerations"]) == 1

        asyncio.run(story())


class TestRuntimeClass:
    def test_overhead_and_placement(self) -> None:
        async def story() -> None:
            async with Server() as server:
                body = {
                    "metadata": {"name": "rc"}, "handler": "h",
                    "overhead": {"podFixed": {"cpu": "100m"}},
                    "scheduling": {
                        "nodeSelector": {"a": "b"},
                        "tolerations": [{"key": "k", "operator": "Exists"}],
                    },
                }  # fmt: skip
                await server.post("/apis/node.k8s.io/v1/runtimeclasses", body)
                spec = (await _pod(server, pod("a", runtimeClassName="rc")))["spec"]
                assert spec["overhead"] == {"cpu": "100m"}
                assert spec["nodeSelector"] == {"a": "b"}
                assert any(t.get("key") == "k" for t in spec["tolerations"])
                clash = pod("b", runtimeClassName="rc", nodeSelector={"a": "c"})
                assert (await _pod(server, clash, 403))["message"].startswith(
                    'pods "b" is forbidden'
                )
                missing = await _pod(server, pod("c", runtimeClassName="none"), 403)
                assert 'pod rejected: RuntimeClass "none" not found' in missing["message"]

        asyncio.run(story())


class TestLimitRanger:
    PATH = f"{DEFAULT}/limitranges"

    def _limits(self, **item: object) -> dict:
        limits = [{"type": "Container", **item}]
        return {"metadata": {"name": "l"}, "spec": {"limits": limits}}

    def test_defaults(self) -> None:
        async def story() -> None:
            async with Server() as server:
                await server.post(self.PATH, self._limits(
                    default={"cpu": "1", "memory": "1Gi"}, defaultRequest={"cpu": "500m"},
                ))  # fmt: skip
                made = await _pod(server)
                resources = made["spec"]["containers"][0]["resources"]
                assert resources["limits"] == {"cpu": "1", "memory": "1Gi"}
                assert resources["requests"] == {"cpu": "500m", "memory": "1Gi"}
                note = made["metadata"]["annotations"]["kubernetes.io/limit-ranger"]
                assert note.startswith("LimitRanger plugin set: ")
                assert made["status"]["qosClass"] == "Burstable"

        asyncio.run(story())

    @pytest.mark.parametrize(
        ("item", "resources", "text"),
        [
            ({"max": {"cpu": "1"}}, {"limits": {"cpu": "2"}},
             "maximum cpu usage per Container is 1, but limit is 2"),
            ({"min": {"cpu": "1"}}, {"requests": {"cpu": "500m"}},
             "minimum cpu usage per Container is 1, but request is 500m"),
            ({"maxLimitRequestRatio": {"cpu": "2"}},
             {"limits": {"cpu": "4"}, "requests": {"cpu": "1"}},
             "cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000"),
        ],
    )  # fmt: skip
    def test_bounds(self, item: dict, resources: dict, text: str) -> None:
        async def story() -> None:
            async with Server() as server:
                made = await server.post(self.PATH, self._limits(**item))
                assert made.status == 201, made.body
                container = {"name": "c", "image": "i", "resources": resources}
                answer = await _pod(server, pod("a", containers=[container]), 403)
                assert text in answer["message"]

        asyncio.run(story())


class TestStorage:
    CLAIMS = f"{DEFAULT}/persistentvolumeclaims"

    def test_default_class_and_protection(self) -> None:
        async def story() -> None:
            async with Server() as server:
                body = {
                    "metadata": {"name": "a"},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": "1Gi"}},
                    },
                }
                made = (await server.post(self.CLAIMS, body)).tree
                assert "storageClassName" not in made["spec"]
                assert made["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
                assert made["status"]["phase"] == "Pending"
                mark = {"storageclass.kubernetes.io/is-default-class": "true"}
                fast = {"metadata": {"name": "fast", "annotations": mark}, "provisioner": "x.io/y"}
                await server.post("/apis/storage.k8s.io/v1/storageclasses", fast)
                body["metadata"]["name"] = "b"
                made = (await server.post(self.CLAIMS, body)).tree
                assert made["spec"]["storageClassName"] == "fast"

        asyncio.run(story())


class TestIngressClass:
    def test_default(self) -> None:
        async def story() -> None:
            async with Server() as server:
                mark = {"ingressclass.kubernetes.io/is-default-class": "true"}
                base = "/apis/networking.k8s.io/v1"
                await server.post(f"{base}/ingressclasses", {
                    "metadata": {"name": "web", "annotations": mark}, "spec": {"controller": "a.b/c"},
                })  # fmt: skip
                backend = {"service": {"name": "s", "port": {"number": 80}}}
                made = await server.post(f"{base}/namespaces/default/ingresses", {
                    "metadata": {"name": "i"}, "spec": {"defaultBackend": backend},
                })  # fmt: skip
                assert made.tree["spec"]["ingressClassName"] == "web"

        asyncio.run(story())
