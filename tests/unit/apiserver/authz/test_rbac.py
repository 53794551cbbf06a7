"""Roles, bindings, access reviews, and that nobody grants more than they have."""

from __future__ import annotations

import asyncio

from tests.unit.apiserver.harness import DEFAULT, PODS, Identity, Server, config_map

from kybern.apiserver.authz import rbac as rbac_module
from kybern.apiserver.context import Attributes, User

GROUP = "rbac.authorization.k8s.io"
RBAC = f"/apis/{GROUP}/v1"
REVIEWS = "/apis/authorization.k8s.io/v1"
JOE = Identity("joe", ("devs",))


def _role(name: str, *rules: tuple[str, str, str], **more: object) -> dict:
    return {
        "metadata": {"name": name},
        "rules": [
            {"verbs": v.split(), "apiGroups": g.split(",") if g else [""], "resources": r.split()}
            for v, g, r in rules
        ],
        **more,
    }


def _binding(name: str, role: str, kind: str = "ClusterRole", *subjects: dict) -> dict:
    return {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role},
        "subjects": list(subjects) or [{"apiGroup": GROUP, "kind": "User", "name": "joe"}],
    }


async def _make(server: Server, path: str, body: dict) -> None:
    answer = await server.post(f"{RBAC}/{path}", body)
    assert answer.status == 201, answer.body
    await server.settle()


def test_nothing_is_allowed_that_no_role_says() -> None:
    async def story() -> None:
        async with Server() as server:
            answer = await server.get(f"{PODS}/p", user=JOE)
            assert answer.status == 403
            assert answer.tree == {
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": 'pods "p" is forbidden: User "joe" cannot get resource "pods" in API '
                'group "" in the namespace "default"',
                "reason": "Forbidden", "details": {"name": "p", "kind": "pods"}, "code": 403,
            }  # fmt: skip
            log = await server.get(f"{PODS}/p/log", user=JOE)
            assert 'cannot get resource "pods/log"' in log.message
            nodes = await server.get("/api/v1/nodes", user=JOE)
            assert nodes.message.endswith("at the cluster scope")
            unknown = await server.get("/api/v1/foos", user=JOE)
            assert unknown.status == 403
            page = await server.get("/nothing", user=JOE)
            assert page.message == 'forbidden: User "joe" cannot get path "/nothing"'

    asyncio.run(story())


def test_discovery_is_for_everybody_known() -> None:
    async def story() -> None:
        async with Server() as server:
            for path in ("/api", "/apis", "/apis/apps/v1", "/version", "/openapi/v3", "/readyz"):
                assert (await server.get(path, user=JOE)).status == 200, path
            assert (await server.get("/metrics", user=JOE)).status == 403

    asyncio.run(story())


def test_bindings_come_and_go() -> None:
    async def story() -> None:
        async with Server() as server:
            await _make(server, "namespaces/default/roles", _role("r", ("get list", "", "pods")))
            await _make(server, "namespaces/default/rolebindings", _binding("b", "r", "Role"))
            assert (await server.get(PODS, user=JOE)).status == 200
            assert (await server.get("/api/v1/pods", user=JOE)).status == 403
            other = "/api/v1/namespaces/kube-system/pods"
            assert (await server.get(other, user=JOE)).status == 403
            await server.patch(f"{RBAC}/namespaces/default/roles/r", {"rules": []})
            await server.settle()
            assert (await server.get(PODS, user=JOE)).status == 403
            await _make(server, "clusterrolebindings", _binding("c", "view"))
            assert (await server.get(other, user=JOE)).status == 200
            secret = await server.get(f"{DEFAULT}/secrets", user=JOE)
            assert secret.status == 403
            await server.delete(f"{RBAC}/clusterrolebindings/c")
            await server.settle()
            assert (await server.get(other, user=JOE)).status == 403

    asyncio.run(story())


def test_names_subresources_and_wildcards() -> None:
    async def story() -> None:
        async with Server() as server:
            rules = [
                {"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"],
                 "resourceNames": ["one"]},
                {"verbs": ["*"], "apiGroups": ["apps"], "resources": ["*/scale"]},
                {"verbs": ["get"], "nonResourceURLs": ["/metr*"]},
            ]  # fmt: skip
            await _make(server, "clusterroles", {"metadata": {"name": "r"}, "rules": rules})
            await _make(server, "clusterrolebindings", _binding("b", "r"))
            await server.post(f"{DEFAULT}/configmaps", config_map("one"))
            maps = f"{DEFAULT}/configmaps"
            assert (await server.get(f"{maps}/one", user=JOE)).status == 200
            assert (await server.get(f"{maps}/two", user=JOE)).status == 403
            assert (await server.get(maps, user=JOE)).status == 403
            scale = "/apis/apps/v1/namespaces/default/deployments/d/scale"
            assert (await server.get(scale, user=JOE)).status == 404
            assert (await server.get(scale.removesuffix("/scale"), user=JOE)).status == 403
            assert (await server.get("/metrics", user=JOE)).status == 200

    asyncio.run(story())


def test_a_list_narrowed_to_a_name_may_be_allowed() -> None:
    async def story() -> None:
        async with Server() as server:
            rules = [{"verbs": ["list", "watch"], "apiGroups": [""], "resources": ["secrets"],
                      "resourceNames": ["one"]}]  # fmt: skip
            await _make(server, "clusterroles", {"metadata": {"name": "r"}, "rules": rules})
            await _make(server, "clusterrolebindings", _binding("b", "r"))
            path = f"{DEFAULT}/secrets"
            assert (await server.get(path, user=JOE)).status == 403
            named = f"{path}?fieldSelector=metadata.name%3Done"
            assert (await server.get(named, user=JOE)).status == 200

    asyncio.run(story())


def test_a_missing_role_is_named() -> None:
    async def story() -> None:
        async with Server() as server:
            await _make(server, "clusterrolebindings", _binding("b", "nothere"))
            answer = await server.get(PODS, user=JOE)
            assert answer.message.endswith(f'RBAC: clusterrole.{GROUP} "nothere" not found')

    asyncio.run(story())


def test_groups_and_service_accounts_as_subjects() -> None:
    async def story() -> None:
        async with Server() as server:
            group = {"apiGroup": GROUP, "kind": "Group", "name": "devs"}
            account = {"kind": "ServiceAccount", "name": "default", "namespace": "default"}
            await _make(
                server, "clusterrolebindings", _binding("b", "view", "ClusterRole", group, account)
            )
            assert (await server.get(PODS, user=JOE)).status == 200
            token = await server.token()
            answer = await server.get(PODS, user=None, authorization=f"Bearer {token}")
            assert answer.status == 200

    asyncio.run(story())


def test_access_reviews() -> None:
    async def story() -> None:
        async with Server() as server:
            await _make(server, "namespaces/default/rolebindings", _binding("b", "view"))
            wanted = {"verb": "list", "resource": "pods", "namespace": "default"}

            async def ask(kind: str, spec: dict, path: str = REVIEWS, **more: object) -> dict:
                answer = await server.post(f"{path}/{kind}", {"spec": spec}, **more)
                assert answer.status == 201, answer.body
                return answer.tree["status"]

            mine = {"resourceAttributes": wanted}
            assert (await ask("selfsubjectaccessreviews", mine, user=JOE))["allowed"] is True
            theirs = {"resourceAttributes": wanted, "user": "ann"}
            assert (await ask("subjectaccessreviews", theirs))["allowed"] is False
            local = f"{REVIEWS}/namespaces/default"
            theirs = {"resourceAttributes": wanted, "user": "joe"}
            assert (await ask("localsubjectaccessreviews", theirs, local))["allowed"] is True
            elsewhere = {"resourceAttributes": {**wanted, "namespace": "x"}, "user": "joe"}
            refused = await server.post(f"{local}/localsubjectaccessreviews", {"spec": elsewhere})
            assert refused.status == 422
            path = {"nonResourceAttributes": {"verb": "get", "path": "/version"}}
            assert (await ask("selfsubjectaccessreviews", path, user=JOE))["allowed"] is True
            nothing = await server.post(f"{REVIEWS}/selfsubjectaccessreviews", {"spec": {}})
            assert nothing.status == 422
            rules = await ask("selfsubjectrulesreviews", {"namespace": "default"}, user=JOE)
            assert any("pods" in rule["resources"] for rule in rules["resourceRules"])
            table = await server.post(
                f"{REVIEWS}/selfsubjectaccessreviews", {"spec": mine},
                accept="application/json;as=Table;v=v1;g=meta.k8s.io",
            )  # fmt: skip
            assert table.status == 406

    asyncio.run(story())


def test_nobody_grants_more_than_they_have() -> None:
    async def story() -> None:
        async with Server() as server:
            writer = _role("writer", ("create update patch bind", GROUP, "roles rolebindings"))
            writer["rules"][0]["verbs"] = ["create", "update", "patch"]
            await _make(server, "clusterroles", writer)
            await _make(server, "namespaces/default/rolebindings", _binding("w", "writer"))
            await _make(server, "namespaces/default/rolebindings", _binding("v", "view"))
            roles = f"{RBAC}/namespaces/default/roles"
            bindings = f"{RBAC}/namespaces/default/rolebindings"
            fine = await server.post(roles, _role("ok", ("get", "", "pods")), user=JOE)
            assert fine.status == 201
            much = await server.post(roles, _role("no", ("delete", "", "pods")), user=JOE)
            assert much.status == 403
            assert (
                'user "joe" (groups=["devs", "system:authenticated"]) is attempting to grant RBAC '
                'permissions not currently held:\n{APIGroups:[""], Resources:["pods"], '
                'Verbs:["delete"]}'
            ) in much.message
            more = {"rules": _role("", ("delete", "", "pods"))["rules"]}
            assert (await server.patch(f"{roles}/ok", more, user=JOE)).status == 403
            labelled = {"metadata": {"labels": {"a": "b"}}}
            assert (await server.patch(f"{roles}/ok", labelled, user=JOE)).status == 200
            assert (await server.post(bindings, _binding("x", "view"), user=JOE)).status == 201
            assert (await server.post(bindings, _binding("y", "edit"), user=JOE)).status == 403
            missing = await server.post(bindings, _binding("z", "none"), user=JOE)
            assert missing.status == 404
            bind = _role("binder", ("bind", GROUP, "clusterroles"))
            await _make(server, "clusterroles", bind)
            await _make(server, "clusterrolebindings", _binding("binder", "binder"))
            assert (await server.post(bindings, _binding("y", "edit"), user=JOE)).status == 201

    asyncio.run(story())


def test_impersonation() -> None:
    async def story() -> None:
        async with Server() as server:
            whoami = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
            answer = await server.post(
                whoami, {}, impersonate_user="ann", impersonate_group="devs",
                impersonate_uid="7", **{"impersonate-extra-scopes": "view"},
            )  # fmt: skip
            info = answer.tree["status"]["userInfo"]
            assert info == {
                "username": "ann", "uid": "7", "groups": ["devs", "system:authenticated"],
                "extra": {"scopes": ["view"]},
            }  # fmt: skip
            refused = await server.get(PODS, user=JOE, impersonate_user="ann")
            assert refused.status == 403
            assert 'cannot impersonate resource "users"' in refused.message
            masters = await server.get(PODS, impersonate_user="joe")
            assert masters.status == 403
            account = await server.post(
                whoami, {}, impersonate_user="system:serviceaccount:default:default"
            )
            assert "system:serviceaccounts:default" in account.tree["status"]["userInfo"]["groups"]
            groups_alone = await server.get(PODS, impersonate_group="devs")
            assert groups_alone.status == 500

    asyncio.run(story())


def test_following_again_forgets_what_went_in_between() -> None:
    async def story() -> None:
        async with Server() as server:
            await _make(server, "clusterrolebindings", _binding("c", "view"))
            await _make(server, "namespaces/default/roles", _role("r", ("get", "", "secrets")))
            await _make(server, "namespaces/default/rolebindings", _binding("b", "r", "Role"))
            assert (await server.get(PODS, user=JOE)).status == 200
            server._running.cancel()
            await asyncio.wait([server._running])
            await server.delete(f"{RBAC}/clusterrolebindings/c")
            await server.delete(f"{RBAC}/namespaces/default/rolebindings/b")
            assert (await server.get(PODS, user=JOE)).status == 200
            server._running = asyncio.create_task(server.api.run())
            await server.settle()
            assert (await server.get(PODS, user=JOE)).status == 403
            assert (await server.get(f"{DEFAULT}/secrets/x", user=JOE)).status == 403
            assert (await server.get("/api", user=JOE)).status == 200

    asyncio.run(story())


def test_what_is_kept_does_not_grow_with_what_is_asked() -> None:
    async def story() -> None:
        async with Server() as server:
            rbac = server.api.rbac
            for number in range(rbac_module.KEPT + 10):
                asked = Attributes(User("joe"), "list", plural="pods", namespace=f"n{number}")
                rbac.authorize(asked)
            assert len(rbac._rules) <= rbac_module.KEPT
            assert len(rbac._decisions) <= rbac_module.KEPT

    asyncio.run(story())
