"""What every cluster starts with, and that starting again changes nothing."""

from __future__ import annotations

import asyncio

from tests.unit.apiserver.harness import DEFAULT, Server

from kybern.apiserver.bootstrap import policy
from kybern.apiserver.bootstrap.controller_roles import CONTROLLERS

RBAC = "/apis/rbac.authorization.k8s.io/v1"


def test_the_second_start_writes_nothing() -> None:
    async def story() -> None:
        async with Server() as server:
            revision = server.store.revision
            async with Server(store=server.store):
                pass
            assert server.store.revision == revision

    asyncio.run(story())


def test_namespaces_and_service() -> None:
    async def story() -> None:
        async with Server(service_cidr="10.0.0.0/24", port=7443) as server:
            names = [
                i["metadata"]["name"]
                for i in (await server.get("/api/v1/namespaces")).tree["items"]
            ]
            assert names == ["default", "kube-node-lease", "kube-public", "kube-system"]
            service = (await server.get(f"{DEFAULT}/services/kubernetes")).tree
            assert service["spec"]["clusterIP"] == "10.0.0.1"
            assert service["spec"]["ports"] == [
                {"name": "https", "port": 443, "protocol": "TCP", "targetPort": 7443}
            ]
            endpoints = (await server.get(f"{DEFAULT}/endpoints/kubernetes")).tree
            assert endpoints["subsets"] == [
                {"addresses": [{"ip": "192.0.2.1"}],
                 "ports": [{"name": "https", "port": 7443, "protocol": "TCP"}]}
            ]  # fmt: skip
            path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"
            slice_ = (await server.get(path)).tree
            assert slice_["metadata"]["labels"] == {"kubernetes.io/service-name": "kubernetes"}
            assert slice_["endpoints"][0]["addresses"] == ["192.0.2.1"]
            cidr = (await server.get("/apis/networking.k8s.io/v1/servicecidrs/kubernetes")).tree
            assert cidr["spec"]["cidrs"] == ["10.0.0.0/24"]
            assert cidr["status"]["conditions"][0]["status"] == "True"

    asyncio.run(story())


def test_the_service_is_put_right_again(virtual) -> None:
    async def story() -> None:
        async with Server() as server:
            await server.delete(f"{DEFAULT}/endpoints/kubernetes")
            await server.delete(f"{DEFAULT}/services/kubernetes")
            await asyncio.sleep(0.3)
            service = (await server.get(f"{DEFAULT}/services/kubernetes")).tree
            assert service["spec"]["clusterIP"] == "10.96.0.1"
            path = f"{DEFAULT}/endpoints/kubernetes"
            await server.patch(path, {"subsets": [{"addresses": [{"ip": "198.51.100.1"}]}]})
            await asyncio.sleep(0.3)
            subsets = (await server.get(path)).tree["subsets"]
            assert subsets[0]["addresses"] == [{"ip": "192.0.2.1"}]

    virtual(story())


def test_roles_of_upstream_are_there() -> None:
    async def story() -> None:
        async with Server() as server:
            roles = {
                item["metadata"]["name"]: item
                for item in (await server.get(f"{RBAC}/clusterroles")).tree["items"]
            }
            assert {"cluster-admin", "admin", "edit", "view", "system:discovery"} <= set(roles)
            assert {f"system:controller:{name}" for name in CONTROLLERS} <= set(roles)
            assert roles["cluster-admin"]["rules"] == [
                {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
                {"nonResourceURLs": ["*"], "verbs": ["*"]},
            ]
            view = roles["view"]
            assert view["aggregationRule"]["clusterRoleSelectors"] == [
                {"matchLabels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}}
            ]
            pods = next(r for r in view["rules"] if "pods" in r["resources"])
            assert pods["verbs"] == ["get", "list", "watch"]
            assert not any("secrets" in r["resources"] for r in view["rules"])
            edit = {str(rule) for rule in roles["edit"]["rules"]}
            admin = {str(rule) for rule in roles["admin"]["rules"]}
            assert {str(rule) for rule in view["rules"]} <= edit <= admin
            bindings = (await server.get(f"{RBAC}/clusterrolebindings")).tree["items"]
            masters = next(b for b in bindings if b["metadata"]["name"] == "cluster-admin")
            assert masters["subjects"][0]["name"] == "system:masters"

    asyncio.run(story())


def test_roles_get_back_what_was_taken_unless_told_not_to() -> None:
    async def story() -> None:
        async with Server() as server:
            path = f"{RBAC}/clusterroles/system:discovery"
            extra = {"verbs": ["get"], "nonResourceURLs": ["/extra"]}
            await server.patch(path, {"rules": [extra], "metadata": {"labels": None}})
            kept = f"{RBAC}/clusterroles/system:basic-user"
            name = "rbac.authorization.kubernetes.io/autoupdate"
            await server.patch(kept, {"rules": [], "metadata": {"annotations": {name: "false"}}})
            binding = f"{RBAC}/clusterrolebindings/system:discovery"
            await server.patch(binding, {"subjects": []})
            async with Server(store=server.store) as second:
                rules = (await second.get(path)).tree["rules"]
                assert extra in rules
                assert len(rules) == 2
                assert (await second.get(kept)).tree["rules"] == []
                assert len((await second.get(binding)).tree["subjects"]) == 1

    asyncio.run(story())


def test_priorities_and_flows() -> None:
    async def story() -> None:
        async with Server() as server:
            classes = (await server.get("/apis/scheduling.k8s.io/v1/priorityclasses")).tree["items"]
            assert {c["metadata"]["name"]: c["value"] for c in classes} == {
                "system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000,
            }  # fmt: skip
            flow = "/apis/flowcontrol.apiserver.k8s.io/v1"
            assert len((await server.get(f"{flow}/flowschemas")).tree["items"]) == 13
            assert len((await server.get(f"{flow}/prioritylevelconfigurations")).tree["items"]) == 8

    asyncio.run(story())


def test_what_is_served_is_listed_as_available() -> None:
    async def story() -> None:
        async with Server() as server:
            found = (await server.get("/apis/apiregistration.k8s.io/v1/apiservices")).tree["items"]
            by_name = {item["metadata"]["name"]: item for item in found}
            assert {"v1.", "v1.apps", "v2.autoscaling"} <= set(by_name)
            condition = by_name["v1.apps"]["status"]["conditions"][0]
            assert (condition["type"], condition["status"]) == ("Available", "True")
            assert by_name["v1."]["spec"]["groupPriorityMinimum"] == 18000

    asyncio.run(story())


def test_tables_can_be_read() -> None:
    names = [
        (type(obj).__name__, obj.metadata.namespace, obj.metadata.name) for obj in policy.objects()
    ]
    assert len(names) == len(set(names))
    rule = policy.rule("get list: core apps: pods deployments: one two")
    assert rule.verbs == ["get", "list"]
    assert rule.apiGroups == ["", "apps"]
    assert rule.resourceNames == ["one", "two"]


def test_readiness_follows_the_start() -> None:
    async def story() -> None:
        server = Server()
        assert (await server.get("/readyz")).status == 500
        assert (await server.get("/livez")).status == 200
        await server.api.start()
        assert (await server.get("/readyz")).status == 200
        verbose = (await server.get("/readyz?verbose&exclude=ping")).body.decode()
        assert "[+]ping excluded: ok" in verbose
        assert verbose.endswith("readyz check passed\n")
        assert (await server.get("/readyz/etcd")).body == b"ok"
        assert (await server.get("/readyz/none")).status == 404

    asyncio.run(story())
