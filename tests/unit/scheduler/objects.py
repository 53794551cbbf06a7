"""Nodes and pods for tests of the scheduler, in few words."""

from __future__ import annotations

import itertools

from kybern.api.core.v1 import (
    Container,
    ContainerImage,
    ContainerPort,
    Node,
    NodeSpec,
    NodeStatus,
    Pod,
    PodSchedulingGate,
    PodSpec,
    PodStatus,
    ResourceRequirements,
    Taint,
)
from kybern.api.meta.v1 import ObjectMeta
from kybern.scheduler.cache import Cache
from kybern.scheduler.cycle import ALL
from kybern.scheduler.pod_info import PodInfo

_numbers = itertools.count(1)


def a_node(
    name="n1",
    *,
    cpu="4",
    memory="8Gi",
    pods="110",
    labels=None,
    taints=(),
    unschedulable=None,
    images=None,
    **more,
):
    amounts = {"cpu": cpu, "memory": memory, "pods": pods, **more}
    return Node(
        metadata=ObjectMeta(name=name, labels=labels),
        spec=NodeSpec(
            unschedulable=unschedulable, taints=[taint(*each) for each in taints] or None
        ),
        status=NodeStatus(
            allocatable={key: value for key, value in amounts.items() if value is not None},
            images=images and [ContainerImage(names=[n], sizeBytes=s) for n, s in images.items()],
        ),
    )


def taint(key, value=None, effect="NoSchedule"):
    return Taint(key=key, value=value, effect=effect)


def a_pod(
    name=None,
    *,
    cpu=None,
    memory=None,
    ports=(),
    gates=(),
    labels=None,
    namespace="default",
    uid=None,
    image="app",
    node=None,
    phase=None,
    requests=None,
    **spec,
):
    number = next(_numbers)
    wanted = {"cpu": cpu, "memory": memory, **(requests or {})}
    wanted = {key: value for key, value in wanted.items() if value is not None}
    container = Container(
        name="main",
        image=image,
        resources=ResourceRequirements(requests=wanted or None),
        ports=[
            ContainerPort(containerPort=port, hostPort=port, hostIP=ip, protocol=protocol)
            for port, ip, protocol in ports
        ]
        or None,
    )
    spec.setdefault("containers", [container])
    return Pod(
        metadata=ObjectMeta(
            name=name or f"pod-{number}",
            namespace=namespace,
            uid=uid or f"uid-{number}",
            labels=labels,
        ),
        spec=PodSpec(
            nodeName=node,
            schedulingGates=[PodSchedulingGate(name=g) for g in gates] or None,
            **spec,
        ),
        status=PodStatus(phase=phase or "Pending"),
    )


def info(*args, **kwargs):
    return PodInfo(a_pod(*args, **kwargs))


def cache_of(*nodes, pods=()):
    cache = Cache()
    for node in nodes:
        cache.put_node(node)
    for pod in pods:
        cache.put_pod(pod)
    return cache


def verdicts(plugin, pod, *nodes, pods=()):
    """Ask a filter about each node: True, or the reasons why not."""
    cache = cache_of(*nodes, pods=pods)
    columns = cache.nodes
    state = plugin.prepare(pod, columns)
    if state is None:
        return [True] * len(nodes)
    fits = plugin.fits(state, columns, ALL)
    assert len(fits) == columns.size
    found = []
    for row in range(columns.size):
        one = columns.rows()[row : row + 1]
        assert plugin.fits(state, columns, one)[0] == fits[row]
        if fits[row]:
            found.append(True)
            continue
        why = plugin.why(state, columns, one)
        assert all(count == 1 for count in why.reasons.values())
        found.append((*why.reasons, bool(why.resolvable[0])))
    return found


def scores(plugin, pod, *nodes, pods=()):
    """Ask a scorer about each node, all of which fit; None when it does not care."""
    columns = cache_of(*nodes, pods=pods).nodes
    state = plugin.prepare(pod, columns)
    if state is None:
        return None
    raw = plugin.score(state, columns, ALL)
    for row in range(columns.size):
        assert plugin.score(state, columns, columns.rows()[row : row + 1])[0] == raw[row]
    return plugin.normalise(state, columns, raw, columns.valid[: columns.size]).tolist()
