"""Answers `metrics.k8s.io/v1beta1`.

In:   GET of nodes or pods, one or many, chosen by labels.
Out:  NodeMetrics and PodMetrics as JSON.
By:   routes, for resources that are computed and not stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import codec, errors, selectors
from kybern.api.scheme import Kind
from kybern.apiserver.answers import json_response
from kybern.apiserver.usage.samples import NODES, NodeUsage, PodUsage, Sampler, nodes_of, pods_of
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.apiserver.context import Handler, RequestContext, Services
    from kybern.apiserver.usage.samples import Sample, Usage
    from kybern.lib.http.messages import Response

    Tree = dict[str, Any]

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
READ = ("get", "list")
NODE_METRICS = Kind(GROUP, VERSION, "NodeMetrics", "nodes", "", False, verbs=READ)
POD_METRICS = Kind(GROUP, VERSION, "PodMetrics", "pods", "", True, verbs=READ)
KINDS = (NODE_METRICS, POD_METRICS)


class UsageApi:
    """Nodes and pods with what they use."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._sampler = Sampler(services)

    def computed(self) -> dict[tuple[str, str, str], Handler]:
        """Return who answers which resource."""
        return {(GROUP, VERSION, "nodes"): self.nodes, (GROUP, VERSION, "pods"): self.pods}

    async def _samples(self, ctx: RequestContext) -> list[Sample]:
        if ctx.verb not in READ:
            raise errors.MethodNotAllowed(
                "the server does not allow this method on the requested resource", {}
            )
        return await self._sampler.samples()

    async def nodes(self, ctx: RequestContext) -> Response:
        """Answer for one node or all."""
        found = (
            self._shown(NODE_METRICS, NODES + each.name, each, {"usage": _amounts(each.usage)})
            for each in nodes_of(await self._samples(ctx))
            if ctx.name in ("", each.name)
        )
        return self._answer(ctx, NODE_METRICS, found)

    async def pods(self, ctx: RequestContext) -> Response:
        """Answer for one pod, those of a namespace, or all."""
        found = (
            self._shown(
                POD_METRICS, f"/registry/pods/{each.namespace}/{each.name}", each,
                {"containers": _containers(each)},
            )
            for each in pods_of(await self._samples(ctx))
            if ctx.namespace in ("", each.namespace) and ctx.name in ("", each.name)
        )  # fmt: skip
        return self._answer(ctx, POD_METRICS, found)

    def _shown(self, kind: Kind, key: str, each: NodeUsage | PodUsage, used: Tree) -> Tree | None:
        """Return one object; None when what was measured is no longer there."""
        entry = self._services.store.get(key)
        if entry is None:
            return None
        clock = self._services.clock
        stored = codec.decode_tree(entry.held)["metadata"]
        now = clock.now()
        meta = {"name": each.name, "creationTimestamp": rfc3339(now)}
        if isinstance(each, PodUsage):
            meta["namespace"] = each.namespace
        if stored.get("labels"):
            meta["labels"] = stored["labels"]
        return {
            "kind": kind.kind, "apiVersion": kind.api_version, "metadata": meta,
            "timestamp": rfc3339(now - (clock.monotonic() - each.at)),
            "window": f"{each.window:.3f}s", **used,
        }  # fmt: skip

    def _answer(self, ctx: RequestContext, kind: Kind, found: Iterable[Tree | None]) -> Response:
        if ctx.verb == "get":
            for tree in found:
                if tree is not None:
                    return json_response(ctx, 200, codec.encode(tree))
            raise errors.NotFound.of(kind, ctx.name)
        chosen = _selector(ctx)
        items = [
            tree
            for tree in found
            if tree is not None and chosen.matches(tree["metadata"].get("labels"))
        ]
        for tree in items:
            del tree["kind"], tree["apiVersion"]
        body = {"kind": kind.list_kind, "apiVersion": kind.api_version, "metadata": {}}
        return json_response(ctx, 200, codec.encode({**body, "items": items}))


def _selector(ctx: RequestContext) -> selectors.Selector:
    try:
        return selectors.parse(ctx.param("labelSelector"))
    except selectors.SelectorError as error:
        raise errors.BadRequest(f"unable to parse requirement: {error}") from None


def _containers(pod: PodUsage) -> list[Tree]:
    return [{"name": name, "usage": _amounts(usage)} for name, usage in pod.containers.items()]


def _amounts(usage: Usage) -> dict[str, str]:
    return {"cpu": f"{usage.cpu}n", "memory": f"{usage.memory // 1024}Ki"}
