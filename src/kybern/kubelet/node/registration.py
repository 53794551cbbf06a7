"""Making this machine's Node, or bringing the one there is up to date.

In:   what the machine is, how the kubelet is configured.
Out:  a Node the API server has.
By:   agent.py. `new_node` and `label_changes` are pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import quantity, release
from kybern.api.core.v1 import (
    DaemonEndpoint,
    Node,
    NodeAddress,
    NodeDaemonEndpoints,
    NodeSpec,
    NodeStatus,
    NodeSystemInfo,
    Taint,
)
from kybern.api.errors import AlreadyExists, ApiError
from kybern.api.meta.v1 import ObjectMeta
from kybern.client.transport import Unreachable
from kybern.lib import logs
from kybern.lib.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kybern.client.rest import Client
    from kybern.kubelet.config import KubeletConfig
    from kybern.kubelet.node.facts import Machine
    from kybern.lib.clock import Clock

log = logs.get("kubelet.node")
RETRY = Backoff(initial=0.1, factor=2.0, cap=7.0)


def capacity(machine: Machine, config: KubeletConfig) -> dict[str, str]:
    """Return all resources of the machine."""
    found = {
        "cpu": str(machine.cpus),
        "memory": f"{machine.memory // 1024}Ki",
        "ephemeral-storage": f"{machine.disk // 1024}Ki",
        "pods": str(config.max_pods),
    }
    for size, amount in machine.huge_pages.items():
        found[f"hugepages-{size}"] = quantity.canonical(str(amount)) if amount else "0"
    return found


def allocatable(machine: Machine, config: KubeletConfig) -> dict[str, str]:
    """Return the resources pods may use: all but what is reserved."""
    found = capacity(machine, config)
    for name, reserved in config.reserved.items():
        if name in found:
            found[name] = quantity.subtract(found[name], reserved)
    set_aside = sum(machine.huge_pages.values())
    if set_aside:
        found["memory"] = quantity.subtract(found["memory"], f"{set_aside // 1024}Ki")
    return found


def labels(machine: Machine, config: KubeletConfig) -> dict[str, str]:
    """Return the labels a node always has, and those it was configured with."""
    return {
        "beta.kubernetes.io/arch": machine.architecture,
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine.architecture,
        "kubernetes.io/hostname": config.node_name,
        "kubernetes.io/os": "linux",
        **config.labels,
    }


def new_node(machine: Machine, config: KubeletConfig, status: NodeStatus) -> Node:
    """Return the Node of this machine, as it is first created."""
    return Node(
        metadata=ObjectMeta(name=config.node_name, labels=labels(machine, config)),
        spec=NodeSpec(
            podCIDR=config.pod_cidr or None,
            podCIDRs=[config.pod_cidr] if config.pod_cidr else None,
            taints=[parse_taint(text) for text in config.taints] or None,
        ),
        status=status,
    )


def base_status(
    machine: Machine, config: KubeletConfig, runtime: str, addresses: tuple[str, ...], port: int
) -> NodeStatus:
    """Return the part of the status that does not change while the kubelet runs."""
    return NodeStatus(
        capacity=capacity(machine, config),
        allocatable=allocatable(machine, config),
        addresses=[
            *(NodeAddress(type="InternalIP", address=address) for address in addresses),
            NodeAddress(type="Hostname", address=config.node_name),
        ],
        daemonEndpoints=NodeDaemonEndpoints(kubeletEndpoint=DaemonEndpoint(Port=port)),
        nodeInfo=NodeSystemInfo(
            machineID=machine.machine_id,
            systemUUID=machine.system_uuid,
            bootID=machine.boot_id,
            kernelVersion=machine.kernel,
            osImage=machine.os_image,
            containerRuntimeVersion=runtime,
            kubeletVersion=release.GIT_VERSION,
            kubeProxyVersion="",
            operatingSystem="linux",
            architecture=machine.architecture,
        ),
    )


def parse_taint(text: str) -> Taint:
    """Read `key=value:Effect` or `key:Effect`.

    Raises:
        ValueError: it is neither.
    """
    rest, colon, effect = text.rpartition(":")
    key, _, value = rest.partition("=")
    if not colon or not key or effect not in ("NoSchedule", "PreferNoSchedule", "NoExecute"):
        raise ValueError(f"{text!r} is no taint: key=value:Effect is expected")
    return Taint(key=key, value=value or None, effect=effect)


def label_changes(node: Node, machine: Machine, config: KubeletConfig) -> dict[str, Any]:
    """Return the merge patch that gives a Node there is already its labels; {} for none."""
    have: Mapping[str, str] = node.metadata.labels or {}
    missing = {k: v for k, v in labels(machine, config).items() if have.get(k) != v}
    changes: dict[str, Any] = {"metadata": {"labels": missing}} if missing else {}
    if config.pod_cidr and not node.spec.podCIDR:
        changes["spec"] = {"podCIDR": config.pod_cidr, "podCIDRs": [config.pod_cidr]}
    return changes


async def register(
    client: Client, clock: Clock, machine: Machine, config: KubeletConfig, status: NodeStatus
) -> Node:
    """Create the Node or take over the one there is; until the API server can be reached."""
    wanted = new_node(machine, config, status)
    attempt = 0
    while True:
        try:
            return await _register_once(client, machine, config, wanted)
        except (Unreachable, ApiError) as error:
            log.warning("node not registered, trying again", node=config.node_name, why=str(error))
            await clock.sleep(RETRY.delay(attempt))
            attempt += 1


async def _register_once(
    client: Client, machine: Machine, config: KubeletConfig, wanted: Node
) -> Node:
    try:
        node = await client.create(wanted)
    except AlreadyExists:
        node = await client.get(Node, config.node_name)
        if changes := label_changes(node, machine, config):
            node = await client.patch(Node, config.node_name, "", changes)
        log.info("node taken over", node=config.node_name)
    else:
        log.info("node registered", node=config.node_name)
    return node
