"""From what kubelets have counted to what is used.

In:   `/stats/summary` of every kubelet, twice.
Out:  CPU and memory of nodes and containers.
By:   usage.serve.

Nothing is asked while nobody wants to know. Who asks first after a while waits for a second, for
the rate of the CPU is the difference of two samples; who keeps asking gets the rate over the last
ten seconds, or since the look before: an autoscaler looks every fifteen, and should see what has
changed since.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from kybern.api import codec
from kybern.lib import logs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kybern.apiserver.context import Services

    Tree = dict[str, Any]

log = logs.get("apiserver.usage")

FRESH = 2.0  # seconds for which a sample is good enough
WINDOW = 10.0  # seconds over which a rate is made, at least, when there are samples enough
STALE = 90.0  # seconds after which a sample is too old to make a rate with
SHORTEST = 1.0  # seconds between two samples when there was none
PATIENCE = 5.0  # seconds a kubelet gets to answer
NODES = "/registry/minions/"


class Counted(NamedTuple):
    """What a node or container has used since it began, and uses of memory."""

    at: float
    cpu: int
    """Nanoseconds of a core."""
    memory: int
    """Bytes of the working set."""


class Usage(NamedTuple):
    """What something uses now."""

    cpu: int
    """Thousand-millionths of a core."""
    memory: int
    """Bytes."""


class PodUsage(NamedTuple):
    """What a pod's containers use."""

    namespace: str
    name: str
    at: float
    window: float
    containers: dict[str, Usage]


class NodeUsage(NamedTuple):
    """What a node uses."""

    name: str
    at: float
    window: float
    usage: Usage


class Sample(NamedTuple):
    """One look at all nodes."""

    at: float
    nodes: dict[str, Counted]
    pods: dict[tuple[str, str, str], dict[str, Counted]]
    """By namespace, name and uid; then by container."""


def sample_of(summaries: Iterable[Tree], at: float) -> Sample:
    """Return the sample in the kubelets' answers, which came at about the same time."""
    nodes: dict[str, Counted] = {}
    pods: dict[tuple[str, str, str], dict[str, Counted]] = {}
    for summary in summaries:
        node = summary["node"]
        nodes[node["nodeName"]] = _counted(node, at)
        for pod in summary.get("pods", ()):
            reference = pod["podRef"]
            key = (reference["namespace"], reference["name"], reference["uid"])
            pods[key] = {
                container["name"]: _counted(container, at)
                for container in pod.get("containers", ())
                if "cpu" in container and "memory" in container
            }
    return Sample(at, nodes, pods)


def _counted(tree: Tree, at: float) -> Counted:
    memory = tree["memory"]
    return Counted(at, tree["cpu"]["usageCoreNanoSeconds"], memory["workingSetBytes"])


def rate(before: Counted, after: Counted) -> Usage | None:
    """Return what is used; None when the count began anew in between."""
    seconds = after.at - before.at
    if seconds <= 0 or after.cpu < before.cpu:
        return None
    return Usage(int((after.cpu - before.cpu) / seconds), after.memory)


def nodes_of(samples: Sequence[Sample]) -> list[NodeUsage]:
    """Return what the nodes use that are in the last sample and in one before."""
    last, found = samples[-1], []
    for name, counted in sorted(last.nodes.items()):
        for before in samples[:-1]:
            earlier = before.nodes.get(name)
            usage = rate(earlier, counted) if earlier is not None else None
            if usage is not None:
                found.append(NodeUsage(name, last.at, last.at - before.at, usage))
                break
    return found


def pods_of(samples: Sequence[Sample]) -> list[PodUsage]:
    """Return what the pods use of which every container is in the last sample and one before."""
    last, found = samples[-1], []
    for (namespace, name, uid), containers in sorted(last.pods.items()):
        for before in samples[:-1]:
            earlier = before.pods.get((namespace, name, uid), {})
            used = {
                container: usage
                for container, counted in containers.items()
                if container in earlier and (usage := rate(earlier[container], counted))
            }
            if used and len(used) == len(containers):
                found.append(PodUsage(namespace, name, last.at, last.at - before.at, used))
                break
    return found


def kept(samples: list[Sample]) -> list[Sample]:
    """Return the samples still needed: the first makes the shortest window that will do."""
    last = samples[-1].at
    enough = [index for index, sample in enumerate(samples) if last - sample.at >= WINDOW]
    return samples[enough[-1] :] if enough else samples


class Sampler:
    """Asks the kubelets when somebody wants to know."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = asyncio.Lock()
        self._samples: list[Sample] = []

    async def samples(self) -> list[Sample]:
        """Return two samples or more, the last of them not older than some seconds."""
        clock, samples = self._services.clock, self._samples
        async with self._lock:
            if samples and clock.monotonic() - samples[-1].at > STALE:
                samples.clear()
            if not samples:
                samples.append(await self._look())
            if len(samples) == 1:
                await clock.sleep(SHORTEST)
            if len(samples) == 1 or clock.monotonic() - samples[-1].at > FRESH:
                samples.append(await self._look())
            self._samples = kept(samples)
            return self._samples

    async def _look(self) -> Sample:
        names = [
            entry.key.removeprefix(NODES) for entry in self._services.store.list(NODES).entries
        ]
        summaries: list[Tree] = []
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(self._ask(name, summaries), name=f"usage of {name}")
        return sample_of(summaries, self._services.clock.monotonic())

    async def _ask(self, node: str, summaries: list[Tree]) -> None:
        try:
            client = self._services.nodes.client(node)
            answer = await client.request("GET", "/stats/summary", timeout=PATIENCE)
            body = await answer.read()
            if answer.status != 200:
                raise OSError(f"{answer.status} {body[:200]!r}")
            summaries.append(codec.decode_tree(body))
        except Exception as error:  # noqa: BLE001 - one node that is down must not hide the others
            log.warning("a kubelet does not say what it uses", node=node, reason=str(error))
