"""Another API server behind ours: found, asked in the caller's name, shown, and missed when gone."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest
from tests.unit.apiserver.aggregator.other import (
    FLUNDERS,
    GROUP,
    PREFIX,
    RESOURCES,
    SCHEMA,
    VERSION,
)
from tests.unit.apiserver.aggregator.world import NAME, SERVICES, World, player
from tests.unit.apiserver.harness import ADMIN, DEFAULT, Identity

from kybern.lib import pki
from kybern.lib.clock import SYSTEM

FLUNDER = {"kind": "Flunder", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {"name": "one"}}


@pytest.fixture
def play(tmp_path):
    return player(tmp_path)


def test_requests_are_passed_on_in_the_callers_name(play) -> None:
    async def story(w: World) -> None:
        await w.register()
        await w.condition(status="True", reason="Passed", message="all checks passed")
        status, body = await w.ask(f"{FLUNDERS}?dryRun=All", "POST", FLUNDER,
                                   content_type="application/json", authorization="Bearer mine",
                                   x_remote_user="somebody", x_remote_extra_a="b")  # fmt: skip
        assert status == 201
        assert json.loads(body) == FLUNDER
        request = w.other.requests(FLUNDERS)[-1]
        assert request.query == "dryRun=All"
        assert request.headers["x-remote-user"] == "admin"
        assert request.headers["x-remote-group"] == "system:masters, system:authenticated"
        assert "authorization" not in request.headers
        assert "x-remote-extra-a" not in request.headers
        assert pki.parse_identity(request.peer_certificate)[0] == "front-proxy-client"

    play(story)


def test_who_may_not_is_not_passed_on(play) -> None:
    async def story(w: World) -> None:
        await w.register()
        await w.condition(status="True")
        status, body = await w.ask(FLUNDERS, user=Identity("ann"))
        assert status == 403
        assert b'flunders.wardle.example.com is forbidden: User \\"ann\\" cannot list' in body
        assert w.other.requests(FLUNDERS) == []

    play(story)


def test_discovery_shows_both(play) -> None:
    async def story(w: World) -> None:
        await w.register()
        await w.condition(status="True")
        get = w.server.get
        groups = {group["name"]: group for group in (await get("/apis")).tree["groups"]}
        assert {"apps", GROUP} <= groups.keys()
        assert groups[GROUP]["preferredVersion"]["groupVersion"] == f"{GROUP}/{VERSION}"
        assert (await get(f"/apis/{GROUP}")).tree["versions"] == groups[GROUP]["versions"]
        assert json.loads((await w.ask(PREFIX))[1]) == RESOURCES
        accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        whole = (await get("/apis", accept=accept)).tree["items"]
        item = next(item for item in whole if item["metadata"]["name"] == GROUP)
        (version,) = item["versions"]
        assert (version["version"], version["freshness"]) == (VERSION, "Current")
        (resource,) = version["resources"]
        kind = {"group": GROUP, "version": VERSION, "kind": "Flunder"}
        assert resource == {
            "resource": "flunders", "responseKind": kind, "scope": "Namespaced",
            "singularResource": "flunder", "verbs": ["create", "delete", "get", "list"],
            "shortNames": ["fl"],
            "subresources": [{"subresource": "status", "responseKind": kind, "verbs": ["get"]}],
        }  # fmt: skip

    play(story)


def test_its_schemas_are_among_ours(play) -> None:
    async def story(w: World) -> None:
        before = (await w.server.get("/openapi/v2")).header("etag")
        await w.register()
        await w.condition(status="True")
        index = (await w.server.get("/openapi/v3")).tree["paths"]
        assert index[PREFIX[1:]] == {"serverRelativeURL": f"/openapi/v3{PREFIX}?hash=1"}
        document = json.loads((await w.ask(f"/openapi/v3{PREFIX}"))[1])
        assert document["info"]["title"] == "wardle"
        second = await w.server.get("/openapi/v2")
        assert second.header("etag") != before
        assert f"{PREFIX}/flunders" in second.tree["paths"]
        assert "/other" not in second.tree["paths"]
        assert second.tree["definitions"][SCHEMA] == {"type": "object"}
        assert "properties" in second.tree["definitions"]["io.k8s.api.core.v1.Pod"]

    play(story)


def test_one_that_fails_is_not_available_until_it_answers(play) -> None:
    async def story(w: World) -> None:
        w.other.healthy = False
        await w.register()
        failed = await w.condition(status="False", reason="FailedDiscoveryCheck")
        assert failed["message"] == (
            f"failing or missing response from https://localhost:{w.port}{PREFIX}: "
            f"bad status from {PREFIX}: 500"
        )
        assert await w.ask(FLUNDERS) == (503, b"service unavailable\n")
        w.other.healthy = True
        await w.condition(status="True")
        assert (await w.ask(FLUNDERS))[0] == 200

    play(story)


def test_a_certificate_of_somebody_else_is_refused(play) -> None:
    async def story(w: World) -> None:
        stranger = pki.make_ca("stranger", now=SYSTEM.now()).certificate
        await w.register(bundle=base64.b64encode(stranger).decode())
        failed = await w.condition(status="False", reason="FailedDiscoveryCheck")
        assert "certificate verify failed" in failed["message"]
        skip = {"spec": {"caBundle": None, "insecureSkipTLSVerify": True}}
        assert (await w.server.patch(f"{SERVICES}/{NAME}", skip)).status == 200
        await w.condition(status="True")

    play(story)


def test_why_a_service_leads_nowhere(play) -> None:
    async def story(w: World) -> None:
        missing = {"namespace": "default", "name": "later", "port": 443}
        await w.register(service=missing)
        told = 'service/later in "default"'
        await w.condition(reason="ServiceNotFound", message=f"{told} is not present")
        port = {"name": "https", "port": 8443}
        service = {"metadata": {"name": "later"}, "spec": {"ports": [port]}}
        await w.server.post(f"{DEFAULT}/services", service)
        await w.condition(reason="ServicePortError", message=f"{told} is not listening on port 443")
        ports = {"spec": {"ports": [port | {"port": 443}]}}
        await w.server.patch(f"{DEFAULT}/services/later", ports)
        await w.condition(
            reason="EndpointsNotFound",
            message='cannot find endpointslices for service/later in "default"',
        )
        slice_ = {
            "metadata": {"name": "later-1", "labels": {"kubernetes.io/service-name": "later"}},
            "addressType": "IPv4", "ports": [{"name": "https", "port": 443}],
            "endpoints": [{"addresses": ["192.0.2.9"], "conditions": {"ready": False}}],
        }  # fmt: skip
        path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
        assert (await w.server.post(path, slice_)).status == 201
        await w.condition(
            reason="MissingEndpoints",
            message='endpoints for service/later in "default" have no addresses with port name '
            '"https"',
        )

    play(story)


def test_one_that_is_removed_is_forgotten(play) -> None:
    async def story(w: World) -> None:
        await w.register()
        await w.condition(status="True")
        assert (await w.server.delete(f"{SERVICES}/{NAME}")).status == 200
        await w.server.settle()
        assert (await w.ask(FLUNDERS))[0] == 404
        names = [group["name"] for group in (await w.server.get("/apis")).tree["groups"]]
        assert GROUP not in names

    play(story)


def test_the_metrics_api_may_be_somebody_elses(play) -> None:
    async def story(w: World) -> None:
        metrics = "/apis/metrics.k8s.io/v1beta1"
        await w.register()
        made = {
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {
                "group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100,
                "versionPriority": 100, "caBundle": w.bundle,
                "service": {"namespace": "default", "name": "wardle", "port": w.port},
            },
        }  # fmt: skip
        assert (await w.server.post(SERVICES, made)).status == 201
        async with asyncio.timeout(20):
            while not w.other.requests(metrics):  # it is asked, and answers 404
                await asyncio.sleep(0.01)
        assert await w.ask(f"{metrics}/nodes") == (503, b"service unavailable\n")

    play(story)


def test_other_servers_are_told_whom_to_believe(play) -> None:
    async def story(w: World) -> None:
        path = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
        data = (await w.server.get(path, user=ADMIN)).tree["data"]
        assert data["requestheader-client-ca-file"].startswith("-----BEGIN CERTIFICATE-----")
        assert json.loads(data["requestheader-allowed-names"]) == ["front-proxy-client"]
        assert json.loads(data["requestheader-username-headers"]) == ["X-Remote-User"]
        assert json.loads(data["requestheader-extra-headers-prefix"]) == ["X-Remote-Extra-"]

    play(story)
