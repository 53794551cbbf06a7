"""What is served, from one document or from many."""

from __future__ import annotations

import json

from tests.unit.client.scripted import status

from kybern.api.scheme import SCHEME
from kybern.client.discovery import discover
from kybern.client.in_process import InProcessTransport
from kybern.client.rest import Client
from kybern.client.transport import MASTER
from kybern.lib.clock import VirtualClock, run_virtual
from kybern.lib.http.messages import Request, Response


def run(documents):
    async def app(request: Request) -> Response:
        found = documents.get(request.path)
        if found is None:
            return Response(503, status(503, "ServiceUnavailable", "not now"))
        return Response(200, json.dumps(found).encode())

    async def main():
        return await discover(Client(InProcessTransport(app, MASTER), VirtualClock()))

    return run_virtual(main())


def version(name, *resources, freshness="Current"):
    return {"version": name, "freshness": freshness, "resources": list(resources)}


def resource(plural, kind, group, v, scope="Namespaced", subresources=()):
    return {
        "resource": plural,
        "responseKind": {"group": group, "version": v, "kind": kind},
        "scope": scope,
        "verbs": ["get", "list"],
        "subresources": [{"subresource": name} for name in subresources],
    }


def test_aggregated():
    core = {
        "kind": "APIGroupDiscoveryList",
        "items": [{"metadata": {}, "versions": [version("v1", resource("pods", "Pod", "", "v1"))]}],
    }
    widgets = [
        version("v2", resource("widgets", "Widget", "example.com", "v2", subresources=["status"])),
        version(
            "v1",
            resource("widgets", "Widget", "example.com", "v1"),
            resource("olds", "Old", "example.com", "v1", "Cluster"),
        ),
    ]
    groups = {
        "kind": "APIGroupDiscoveryList",
        "items": [
            {"metadata": {"name": "example.com"}, "versions": widgets},
            {"metadata": {"name": "stale.io"}, "versions": [version("v1", freshness="Stale")]},
        ],
    }
    served = run({"/api": core, "/apis": groups})
    assert served.kinds[0] is SCHEME.by_resource("", "v1", "pods")
    found = {(k.plural, k.version, k.namespaced, k.subresources) for k in served.kinds[1:]}
    assert found == {("widgets", "v2", True, ("status",)), ("olds", "v1", False, ())}
    assert served.failed == (("stale.io/v1", "stale GroupVersion discovery"),)


def test_one_document_per_group():
    def listed(*resources):
        return {"kind": "APIResourceList", "resources": list(resources)}

    def one(name, kind, namespaced=True):
        return {"name": name, "kind": kind, "namespaced": namespaced, "verbs": ["get"]}

    groups = [
        {
            "name": "example.com",
            "versions": [{"version": "v1"}, {"version": "v2"}],
            "preferredVersion": {"version": "v2"},
        },
        {"name": "away.io", "versions": [{"version": "v1"}]},
    ]
    served = run(
        {
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "groups": groups},
            "/api/v1": listed(one("pods", "Pod"), one("pods/log", "Pod")),
            "/apis/example.com/v1": listed(one("widgets", "Widget")),
            "/apis/example.com/v2": listed(
                one("widgets", "Widget"), one("widgets/scale", "Scale"), one("gears", "Gear", False)
            ),
        }
    )
    found = {(k.plural, k.version, k.namespaced) for k in served.kinds}
    assert found == {("pods", "v1", True), ("widgets", "v2", True), ("gears", "v2", False)}
    widgets = next(k for k in served.kinds if k.plural == "widgets")
    assert widgets.subresources == ("scale",)
    assert served.failed == (("away.io/v1", "not now"),)
