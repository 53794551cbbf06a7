"""What nodes and pods use: rates from counts, and the API that shows them."""

from __future__ import annotations

import asyncio
import json

from tests.unit.apiserver.harness import PODS, Server, pod

from kybern.apiserver.usage.samples import (
    Counted,
    Usage,
    kept,
    nodes_of,
    pods_of,
    rate,
    sample_of,
)
from kybern.lib.clock import VirtualClock, run_virtual

NODE_METRICS = "/apis/metrics.k8s.io/v1beta1/nodes"
POD_METRICS = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods"


def counted(cpu: int, memory: int = 1 << 20) -> dict:
    return {"cpu": {"usageCoreNanoSeconds": cpu}, "memory": {"workingSetBytes": memory}}


def summary(cpu: int, **containers: int) -> dict:
    reference = {"namespace": "default", "name": "p", "uid": "1"}
    found = [{"name": name, **counted(used)} for name, used in containers.items()]
    return {"node": {"nodeName": "n", **counted(cpu)}, "pods": [{"podRef": reference, "containers": found}]}  # fmt: skip


def test_a_rate_is_the_difference_by_time() -> None:
    assert rate(Counted(10.0, 5_000_000_000, 1), Counted(12.0, 6_000_000_000, 7)) == Usage(
        500_000_000, 7
    )
    assert rate(Counted(10.0, 5, 1), Counted(10.0, 6, 1)) is None
    assert rate(Counted(10.0, 5, 1), Counted(11.0, 4, 1)) is None  # it began anew


def test_the_longest_window_in_which_something_was_there() -> None:
    samples = [
        sample_of([summary(0)], 0.0),
        sample_of([summary(10**9, c=0)], 10.0),
        sample_of([summary(4 * 10**9, c=10**9)], 20.0),
    ]
    (node,) = nodes_of(samples)
    assert (node.usage.cpu, node.window) == (200_000_000, 20.0)
    (used,) = pods_of(samples)
    assert (used.containers["c"].cpu, used.window) == (100_000_000, 10.0)


def test_the_window_is_as_short_as_it_may_be() -> None:
    def window_of(*times: float) -> float:
        samples = []
        for at in times:
            samples = kept([*samples, sample_of([], at)])
        return samples[-1].at - samples[0].at

    assert window_of(0, 1) == 1  # who asks for the first time
    assert window_of(0, 1, 16) == 15
    assert window_of(0, 1, 16, 31, 46) == 15  # as autoscalers ask
    assert window_of(*range(100)) == 10  # as people do


def test_a_pod_with_a_container_that_is_new_waits() -> None:
    samples = [sample_of([summary(0, c=0)], 0.0), sample_of([summary(0, c=1, d=1)], 1.0)]
    assert pods_of(samples) == []


class Kubelet:
    """Answers with what a node has used so far: half a core, and its pod a quarter."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.asked = 0
        self.status = 200

    def client(self, name: str) -> Kubelet:
        assert name == "n"
        return self

    async def request(self, method: str, target: str, *, timeout: float) -> Kubelet:
        assert (method, target) == ("GET", "/stats/summary")
        self.asked += 1
        return self

    async def read(self) -> bytes:
        at = self.clock.monotonic()
        return json.dumps(summary(int(at * 5e8), c=int(at * 25e7))).encode()


def test_the_api() -> None:
    async def story() -> None:
        clock = VirtualClock()
        async with Server(clock=clock) as server:
            kubelet = server.api.services.nodes = Kubelet(clock)
            await server.post("/api/v1/nodes", {"metadata": {"name": "n", "labels": {"a": "b"}}})
            await server.post(PODS, pod())
            listed = (await server.get(NODE_METRICS)).tree
            (node,) = listed["items"]
            assert listed["kind"] == "NodeMetricsList"
            assert node["usage"] == {"cpu": "500000000n", "memory": "1024Ki"}
            assert kubelet.asked == 2  # the first who asks waits for a second sample
            found = (await server.get(f"{POD_METRICS}/p")).tree
            assert found["containers"] == [
                {"name": "c", "usage": {"cpu": "250000000n", "memory": "1024Ki"}}
            ]
            assert found["metadata"]["labels"] == {"app": "p"}
            assert kubelet.asked == 2
            none = (await server.get(f"{POD_METRICS}?labelSelector=app%3Dother")).tree
            assert none["items"] == []
            assert (await server.get(f"{POD_METRICS}/other")).message == (
                'pods.metrics.k8s.io "other" not found'
            )
            assert (await server.delete(f"{POD_METRICS}/p")).status == 405
            kubelet.status = 500
            await clock.sleep(10)
            assert (await server.get(NODE_METRICS)).tree["items"] == []

    run_virtual(story())


def test_kubectl_finds_it() -> None:
    async def story() -> None:
        async with Server() as server:
            resources = (await server.get("/apis/metrics.k8s.io/v1beta1")).tree["resources"]
            assert [(r["name"], r["verbs"]) for r in resources] == [
                ("nodes", ["get", "list"]), ("pods", ["get", "list"]),
            ]  # fmt: skip

    asyncio.run(story())
