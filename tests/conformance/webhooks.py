"""A webhook of a test's own: a server on a port of this machine, and what it answers."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

from kybern.lib import pki, tls
from kybern.lib.clock import SYSTEM
from kybern.lib.http.messages import Request, Response
from kybern.lib.http.server import serve
from tests.unit.apiserver.harness import Server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Tree = dict[str, Any]

GROUP = "/apis/admissionregistration.k8s.io/v1"
MUTATING, VALIDATING = (
    f"{GROUP}/{kind}webhookconfigurations" for kind in ("mutating", "validating")
)
BAD = "webhook-e2e-test"
REASON = "the configmap contains unwanted key and value"


def allowed(*patch: Tree) -> Tree:
    """Return a yes, with operations on the object."""
    if not patch:
        return {"allowed": True}
    text = base64.b64encode(json.dumps(patch).encode()).decode()
    return {"allowed": True, "patchType": "JSONPatch", "patch": text}


def denied(message: str) -> Tree:
    return {"allowed": False, "status": {"message": message}}


class Hooks:
    """The server: a path is a function from a request to a response."""

    def __init__(self) -> None:
        self.asked: list[Tree] = []
        self.slow = 0.0
        self.broken = ""

    async def app(self, request: Request) -> Response:
        review = json.loads(await request.body(1 << 22))
        asked = review["request"]
        if review["kind"] == "ConversionReview":
            return _json({**review, "response": self.convert(asked)})
        self.asked.append(asked)
        answer = getattr(self, request.path.strip("/").replace("-", "_"))(asked)
        if request.path == "/always-allow-delay-5s":
            await asyncio.sleep(self.slow)
        body = {
            "kind": review["kind"], "apiVersion": review["apiVersion"],
            "response": {"uid": asked["uid"], **answer},
        }  # fmt: skip
        return _json(body)

    def convert(self, asked: Tree) -> Tree:
        """Keep `hostPort` in v1, and `host` and `port` in v2."""
        self.asked.append(asked)
        if self.broken:
            return {"uid": asked["uid"], "result": {"status": "Failed", "message": self.broken}}
        made = []
        for obj in asked["objects"]:
            new = {**obj, "apiVersion": asked["desiredAPIVersion"]}
            if new["apiVersion"].endswith("/v2") and "hostPort" in new:
                new["host"], _, new["port"] = new.pop("hostPort").partition(":")
            elif new["apiVersion"].endswith("/v1") and "host" in new:
                new["hostPort"] = f"{new.pop('host')}:{new.pop('port')}"
            made.append(new)
        return {"uid": asked["uid"], "result": {"status": "Success"}, "convertedObjects": made}

    def always_allow_delay_5s(self, asked: Tree) -> Tree:
        return allowed()

    def always_deny(self, asked: Tree) -> Tree:
        return denied("this webhook denies all requests")

    def configmaps(self, asked: Tree) -> Tree:
        data = (asked.get("object") or asked.get("oldObject") or {}).get("data") or {}
        return denied(REASON) if data.get(BAD) == "webhook-disallow" else allowed()

    def custom_resource(self, asked: Tree) -> Tree:
        shown = asked.get("object") or asked["oldObject"]
        bad = (shown.get("data") or {}).get(BAD) == "webhook-disallow"
        return denied("the custom resource contains unwanted data") if bad else allowed()

    def pods(self, asked: Tree) -> Tree:
        labels = asked["object"]["metadata"].get("labels") or {}
        if labels.get(BAD) == "disallow":
            return denied("the pod contains unwanted label")
        return allowed()

    def pods_attach(self, asked: Tree) -> Tree:
        assert asked["operation"] == "CONNECT"
        assert asked["object"]["kind"] == "PodAttachOptions"
        return denied("attaching to pod 'to-be-attached-pod' is not allowed")

    def crd(self, asked: Tree) -> Tree:
        labels = asked["object"]["metadata"].get("labels") or {}
        bad = labels.get("webhook-e2e-test") == "webhook-disallow"
        return denied("the crd contains unwanted label") if bad else allowed()

    def mutating_pods(self, asked: Tree) -> Tree:
        container = {"name": "webhook-added-init-container", "image": "webhook-added-image"}
        path = "/spec/initContainers"
        return allowed({"op": "add", "path": path, "value": [container]})

    def mutating_data(self, asked: Tree) -> Tree:
        data = asked["object"].get("data") or {}
        operations = []
        if data.get("mutation-start") == "yes":
            operations.append(_add("mutation-stage-1"))
        if data.get("mutation-stage-1") == "yes":
            operations.append(_add("mutation-stage-2"))
        return allowed(*operations)

    def add_label(self, asked: Tree) -> Tree:
        labels = {"added-label": "yes", **(asked["object"]["metadata"].get("labels") or {})}
        return allowed({"op": "add", "path": "/metadata/labels", "value": labels})


def _json(tree: Tree) -> Response:
    return Response(200, json.dumps(tree).encode(), "application/json", ())


def _add(key: str) -> Tree:
    return {"op": "add", "path": f"/data/{key}", "value": "yes"}


class World:
    """An API server, and the webhooks beside it."""

    def __init__(self, server: Server, hooks: Hooks, port: int, authority: pki.KeyPair) -> None:
        self.server, self.hooks, self.port = server, hooks, port
        self.bundle = base64.b64encode(authority.certificate).decode()

    def hook(
        self, path: str, plural: str, *operations: str, group: str = "", name: str = "", **more: Any
    ) -> Tree:
        """Return one webhook."""
        rule = {
            "apiGroups": [group], "apiVersions": ["*"], "resources": [plural],
            "operations": list(operations) or ["CREATE"],
        }  # fmt: skip
        return {
            "name": name or f"{path}.webhook.example.com", "rules": [rule], "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "clientConfig": {
                "url": f"https://localhost:{self.port}/{path}", "caBundle": self.bundle,
            },
            **more,
        }  # fmt: skip

    async def register(self, kind: str, name: str, *hooks: Tree, **labels: str) -> Tree:
        """Create a configuration."""
        body = {"metadata": {"name": name, "labels": labels}, "webhooks": list(hooks)}
        answer = await self.server.post(kind, body)
        assert answer.status == 201, answer.body
        return answer.tree


def play(story: Callable[[World], Awaitable[None]]) -> None:
    """Run a story in a world of its own."""

    async def main() -> None:
        now = SYSTEM.now()
        authority = pki.make_ca("webhooks", now=now)
        subject = pki.Subject("webhook", (), ("localhost",))
        pair = pki.issue(authority, subject, now=now, server=True)
        hooks = Hooks()
        context = tls.server_context(pair.certificate, pair.key)
        listener = await serve(hooks.app, "127.0.0.1", 0, ssl=context)
        try:
            async with Server() as server:
                await story(World(server, hooks, listener.port, authority))
        finally:
            await listener.close()

    asyncio.run(main())
