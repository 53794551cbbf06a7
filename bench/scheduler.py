#!/usr/bin/env python3
"""How long one scheduling cycle takes, in memory, without an API server.

Usage: bench/scheduler.py [NODES] [PODS]

A cycle is: decide where a pod goes, and take its requests from that node, so that the next pod sees
it. Making a `PodInfo` of a decoded Pod is timed too, since every pod pays for it once. One table.
"""

import os
import random
import resource
import statistics
import sys
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from kybern.api import codec
from kybern.api.core.v1 import (
    Affinity,
    Container,
    Node,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    NodeSpec,
    NodeStatus,
    Pod,
    PodAffinityTerm,
    PodAntiAffinity,
    PodSpec,
    PreferredSchedulingTerm,
    ResourceRequirements,
    Taint,
    Toleration,
    TopologySpreadConstraint,
)
from kybern.api.meta.v1 import LabelSelector, ObjectMeta
from kybern.scheduler.cache import Cache
from kybern.scheduler.cycle import Cycle, NoFit
from kybern.scheduler.pod_info import PodInfo
from kybern.scheduler.profile import default_profile


def make_node(i: int) -> Node:
    amounts = {"cpu": "32", "memory": "256Gi", "pods": "110", "ephemeral-storage": "1Ti"}
    labels = {"kubernetes.io/hostname": f"node-{i}", "topology.kubernetes.io/zone": f"z{i % 3}"}
    taints = [Taint(key="dedicated", value="gpu", effect="NoSchedule")] if i % 10 == 0 else None
    return Node(
        metadata=ObjectMeta(name=f"node-{i}", labels=labels),
        spec=NodeSpec(taints=taints),
        status=NodeStatus(allocatable=amounts, capacity=amounts),
    )


def make_pod(i: int, spec: dict, cpu: str = "100m") -> Pod:
    requests = ResourceRequirements(requests={"cpu": cpu, "memory": "500Mi"})
    container = Container(name="pause", image="registry.k8s.io/pause:3.10", resources=requests)
    tolerations = [
        Toleration(key=f"node.kubernetes.io/{k}", operator="Exists", effect="NoExecute")
        for k in ("not-ready", "unreachable")
    ]
    meta = ObjectMeta(name=f"pod-{i}", namespace="default", uid=f"uid-{i}", labels={"app": "x"})
    return Pod(metadata=meta, spec=PodSpec(containers=[container], tolerations=tolerations, **spec))


def in_zone(*zones: str) -> NodeSelectorTerm:
    key = "topology.kubernetes.io/zone"
    return NodeSelectorTerm(
        matchExpressions=[NodeSelectorRequirement(key=key, operator="In", values=list(zones))]
    )


REQUIRED = NodeAffinity(
    requiredDuringSchedulingIgnoredDuringExecution=NodeSelector(
        nodeSelectorTerms=[in_zone("z0", "z1")]
    )
)
PREFERRED = NodeAffinity(
    preferredDuringSchedulingIgnoredDuringExecution=[
        PreferredSchedulingTerm(weight=10, preference=in_zone("z2"))
    ]
)
SAME = LabelSelector(matchLabels={"app": "x"})
APART = Affinity(
    podAntiAffinity=PodAntiAffinity(
        requiredDuringSchedulingIgnoredDuringExecution=[
            PodAffinityTerm(topologyKey="kubernetes.io/hostname", labelSelector=SAME)
        ]
    )
)


def spread(key: str) -> TopologySpreadConstraint:
    return TopologySpreadConstraint(
        maxSkew=1, topologyKey=key, whenUnsatisfiable="DoNotSchedule", labelSelector=SAME
    )


CASES = {
    "alike": lambda i: make_pod(i, {}),
    "1,000 kinds by turns": lambda i: make_pod(i, {}, cpu=f"{50 + i % 1000}m"),
    "node selector": lambda i: make_pod(i, {"nodeSelector": {"topology.kubernetes.io/zone": "z1"}}),
    "required affinity": lambda i: make_pod(i, {"affinity": Affinity(nodeAffinity=REQUIRED)}),
    "preferred affinity": lambda i: make_pod(i, {"affinity": Affinity(nodeAffinity=PREFERRED)}),
    "spread over zones": lambda i: make_pod(
        i, {"topologySpreadConstraints": [spread("topology.kubernetes.io/zone")]}
    ),
    "spread over nodes": lambda i: make_pod(
        i, {"topologySpreadConstraints": [spread("kubernetes.io/hostname")]}
    ),
    "one per node": lambda i: make_pod(i, {"affinity": APART}),
    "fits nowhere, alike": lambda i: make_pod(i, {}, cpu="64"),
    "fits nowhere, all different": lambda i: make_pod(i, {}, cpu=f"{64 + i}"),
}


def main() -> None:
    nodes, count = (int(arg) for arg in (sys.argv[1:] + ["5000", "3000"][len(sys.argv) - 1 :]))
    print(f"{nodes} nodes, {count} pods of each sort\n")
    print("| Pods | PodInfo | Cycle p50 | Cycle p99 | Pods/s |")
    print("|---|---|---|---|---|")
    for name, make in CASES.items():
        cache = Cache()
        for i in range(nodes):
            cache.put_node(make_node(i))
        cycle = Cycle(default_profile(), cache.nodes, random.Random(1))
        pods = [codec.clone(make(i)) for i in range(count)]
        began = time.perf_counter()
        infos = [PodInfo(pod) for pod in pods]
        for info in infos:
            info.alike  # noqa: B018 - computed when first asked for
        making = (time.perf_counter() - began) / count
        taken = []
        for info in infos:
            start = time.perf_counter()
            decision = cycle.decide(info)
            if not isinstance(decision, NoFit):
                cache.assume(info, decision.row)
            taken.append(time.perf_counter() - start)
        p99 = statistics.quantiles(taken, n=100)[98]
        rate = 1 / (making + statistics.mean(taken))
        print(
            f"| {name} | {making * 1e6:.1f} µs | {statistics.median(taken) * 1e6:.0f} µs "
            f"| {p99 * 1e6:.0f} µs | {rate:,.0f} |",
            flush=True,
        )
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"\n{rss / 1024:.0f} MB RSS at most")


if __name__ == "__main__":
    main()
