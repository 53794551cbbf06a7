"""A Pod in the runtime's words.

In:   a Pod, and what the kubelet has worked out for it (DNS, mounts, environment, image).
Out:  CRI's configurations of its sandbox and containers.
By:   pods/act.py. Pure: it decides nothing, it only says it differently.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kybern.api import quantity
from kybern.kubelet.pods import qos, security, specs
from kybern.kubelet.pods.expansion import expand
from kybern.kubelet.pods.names import log_directory_name
from kybern.kubelet.runtime import labels
from kybern.kubelet.runtime.messages import container as c
from kybern.kubelet.runtime.messages import image as i
from kybern.kubelet.runtime.messages import sandbox as s

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kybern.api.core.v1 import Pod
    from kybern.kubelet.pods.specs import AnyContainer, Wanted

HUGE_PAGES = "hugepages-"


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What translation needs to know of the node."""

    memory: int = 1 << 30
    cgroup_version: int = 1


@dataclass(frozen=True, slots=True)
class SandboxParts:
    """What was worked out for a sandbox."""

    host_name: str
    logs_dir: Path
    cgroup_parent: str
    dns: s.DNSConfig
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class ContainerParts:
    """What was worked out for one try of a container."""

    image_ref: str
    restarts: int
    environment: Mapping[str, str]
    mounts: Sequence[c.Mount]
    image_user: security.ImageUser = field(default_factory=security.ImageUser)
    target_id: str = ""
    devices: Sequence[c.Device] = ()


def sandbox_config(pod: Pod, parts: SandboxParts) -> s.PodSandboxConfig:
    """Return the configuration of a pod's sandbox."""
    meta = pod.metadata
    name, namespace, uid = meta.name or "", meta.namespace or "", meta.uid or ""
    privileged = any(security.is_privileged(w) for w in specs.all_containers(pod))
    context = pod.spec.securityContext
    sysctls = (context.sysctls if context else None) or ()
    return s.PodSandboxConfig(
        metadata=s.PodSandboxMetadata(name, uid, namespace, parts.attempt),
        hostname="" if pod.spec.hostNetwork else parts.host_name,
        log_directory=str(parts.logs_dir / log_directory_name(namespace, name, uid)),
        dns_config=parts.dns,
        port_mappings=port_mappings(pod),
        labels={**(meta.labels or {}), **_pod_labels(pod)},
        annotations=dict(meta.annotations or {}),
        linux=s.LinuxPodSandboxConfig(
            cgroup_parent=parts.cgroup_parent,
            security_context=security.sandbox_security(pod, privileged=privileged),
            sysctls={sysctl.name: sysctl.value for sysctl in sysctls},
        ),
    )


def port_mappings(pod: Pod) -> list[s.PortMapping]:
    """Return the node ports which lead into the pod."""
    if pod.spec.hostNetwork:
        return []
    return [
        s.PortMapping(
            int(s.Protocol[port.protocol or "TCP"]),
            port.containerPort,
            port.hostPort,
            port.hostIP or "",
        )
        for wanted in (*specs.init_containers(pod), *specs.regular_containers(pod))
        for port in wanted.spec.ports or ()
        if port.hostPort
    ]


def container_config(
    pod: Pod, wanted: Wanted, parts: ContainerParts, node: NodeFacts
) -> c.ContainerConfig:
    """Return the configuration of a container.

    Raises:
        ConfigProblem: the container would run as root and may not.
    """
    spec = wanted.spec
    variables = parts.environment
    return c.ContainerConfig(
        metadata=c.ContainerMetadata(spec.name, parts.restarts),
        image=i.ImageSpec(image=parts.image_ref, user_specified_image=spec.image or ""),
        command=[expand(word, variables) for word in spec.command or ()],
        args=[expand(word, variables) for word in spec.args or ()],
        working_dir=spec.workingDir or "",
        envs=[c.KeyValue(key, value) for key, value in variables.items()],
        mounts=list(parts.mounts),
        devices=list(parts.devices),
        labels={**_pod_labels(pod), labels.CONTAINER_NAME: spec.name},
        annotations=_annotations(pod, spec, parts.restarts),
        log_path=f"{spec.name}/{parts.restarts}.log",
        stdin=bool(spec.stdin),
        stdin_once=bool(spec.stdinOnce),
        tty=bool(spec.tty),
        linux=c.LinuxContainerConfig(
            resources=container_resources(pod, spec, node),
            security_context=security.container_security(
                pod, wanted, parts.image_user, parts.target_id
            ),
        ),
    )


def container_resources(
    pod: Pod, container: AnyContainer, node: NodeFacts
) -> s.LinuxContainerResources:
    """Return what goes into a container's cgroup."""
    limit = qos.memory_limit(container)
    cpu_quota = qos.quota(qos.milli_cpu_limit(container))
    resources = s.LinuxContainerResources(
        cpu_shares=qos.shares(qos.milli_cpu_request(container)),
        cpu_quota=cpu_quota,
        cpu_period=qos.PERIOD if cpu_quota else 0,
        memory_limit_in_bytes=limit,
        oom_score_adj=qos.oom_score_adj(pod, container, node.memory),
        hugepage_limits=_huge_pages(container),
    )
    if node.cgroup_version == 2:
        # All processes of a container die together; a half-dead one is of no use.
        resources.unified = {"memory.oom.group": "1"}
        resources.memory_swap_limit_in_bytes = limit
    return resources


def _huge_pages(container: AnyContainer) -> list[s.HugepageLimit]:
    limits = (container.resources.limits if container.resources else None) or {}
    return [
        s.HugepageLimit(name.removeprefix(HUGE_PAGES).removesuffix("i") + "B", quantity.to_value(v))
        for name, v in limits.items()
        if name.startswith(HUGE_PAGES)
    ]


def _pod_labels(pod: Pod) -> dict[str, str]:
    meta = pod.metadata
    return {
        labels.POD_NAME: meta.name or "",
        labels.POD_NAMESPACE: meta.namespace or "",
        labels.POD_UID: meta.uid or "",
    }


def _annotations(pod: Pod, spec: AnyContainer, restarts: int) -> dict[str, str]:
    notes = {
        labels.HASH: specs.container_hash(spec),
        labels.RESTART_COUNT: str(restarts),
        labels.TERMINATION_PATH: spec.terminationMessagePath or "",
        labels.TERMINATION_POLICY: spec.terminationMessagePolicy or "",
    }
    if pod.spec.terminationGracePeriodSeconds is not None:
        notes[labels.GRACE_PERIOD] = str(pod.spec.terminationGracePeriodSeconds)
    return notes
