"""Making a pod's sandbox, and ending it.

In:   a PodRecord whose plan says so.
Out:  a sandbox in the runtime and in the record's view; or PodTrouble.
By:   pods/act.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.kubelet.pods import environment, names, specs
from kybern.kubelet.pods.dns import pod_dns
from kybern.kubelet.pods.field_values import Facts
from kybern.kubelet.pods.tools import WARNING
from kybern.kubelet.pods.view import SandboxView, sandbox_ips
from kybern.kubelet.runtime import translate
from kybern.kubelet.runtime.interface import RuntimeFailure
from kybern.kubelet.runtime.messages.sandbox import Protocol
from kybern.kubelet.volumes import plan as volume_plan
from kybern.kubelet.volumes.act import NEVER
from kybern.kubelet.volumes.content import MountFailed

if TYPE_CHECKING:
    from kybern.api.core.v1 import Pod
    from kybern.kubelet.pods.record import PodRecord
    from kybern.kubelet.pods.tools import Tools
    from kybern.kubelet.runtime.messages.sandbox import PodSandboxConfig

NANO = 1_000_000_000


class PodTrouble(Exception):
    """Something the whole pod needs could not be made; it has been told, and is tried again."""


def facts(tools: Tools, record: PodRecord) -> Facts:
    """Return what the pod can ask about itself."""
    sandbox = record.view.sandbox
    own = sandbox.ips if sandbox is not None else ()
    ips = tools.node.ips if record.pod.spec.hostNetwork else own
    return Facts(tools.node.ips, ips, tools.node.allocatable)


async def prepare_volumes(tools: Tools, record: PodRecord) -> None:
    """Make the pod's volumes, or bring them up to date.

    Raises:
        PodTrouble: one cannot be made now.
    """
    pod = record.pod
    record.refresh_at = NEVER  # news which come while this goes on set it again
    if not pod.spec.volumes:
        return
    try:
        mounted = await tools.volumes.prepare(pod, facts(tools, record))
    except MountFailed as failed:
        record.refresh_at = 0.0
        tools.tell(pod, WARNING, failed.reason, str(failed))
        raise PodTrouble(str(failed)) from None
    record.places = mounted.places
    record.refresh_at = min(record.refresh_at, mounted.refresh_at)


def watch_objects(tools: Tools, record: PodRecord) -> None:
    """Be told when something changes which is in a volume, or for which one waits."""
    pod = record.pod
    wanted = tools.volumes.followed(pod)
    wanted = wanted.union(*(volume_plan.references(v) for v in pod.spec.volumes or ()))
    for name in record.held:
        waiting = specs.find(pod, name)
        if waiting is not None:
            wanted |= environment.references(waiting.spec)
    tools.objects.use(record.uid, record.namespace, wanted)


async def make(tools: Tools, record: PodRecord, attempt: int) -> None:
    """Make the pod's sandbox and note its addresses.

    Raises:
        PodTrouble: the runtime or the network would not.
    """
    pod = record.pod
    _check_devices(tools, pod)
    try:
        record.sandbox_config = config_of(tools, pod, attempt)
        tools.cgroups.make(pod)
        directory = tools.config.logs_dir / names.log_directory_name(
            record.namespace, record.name, record.uid
        )
        directory.mkdir(parents=True, exist_ok=True)
        wanted = pod.spec.runtimeClassName
        handler = await tools.runtime_handler(wanted) if wanted else ""
        async with tools.starts:
            sandbox_id = await tools.runtime.run_sandbox(record.sandbox_config, handler)
        await note(tools, record, sandbox_id, attempt)
        await open_ports(tools, record)
    except (RuntimeFailure, OSError, ValueError, LookupError) as failure:
        said = failure.described if isinstance(failure, RuntimeFailure) else str(failure)
        message = f"Failed to create pod sandbox: {said}"
        tools.tell(pod, WARNING, "FailedCreatePodSandBox", message)
        raise PodTrouble(message) from None


def _check_devices(tools: Tools, pod: Pod) -> None:
    """Refuse a pod that wants devices: it must not run without them, and no driver is spoken to."""
    if pod.spec.resourceClaims:
        message = "Failed to prepare dynamic resources: this node has no drivers of devices"
        tools.tell(pod, WARNING, "FailedPrepareDynamicResources", message)
        raise PodTrouble(message)


def config_of(tools: Tools, pod: Pod, attempt: int) -> PodSandboxConfig:
    """Return the configuration of the pod's sandbox.

    Raises:
        ValueError: the pod's host name cannot be.
    """
    config, node = tools.config, tools.node
    parts = translate.SandboxParts(
        host_name=names.sandbox_host_name(pod, node.host_name, config.cluster_domain),
        logs_dir=config.logs_dir,
        cgroup_parent=tools.cgroups.parent(pod),
        dns=pod_dns(pod, node.resolver(), config.cluster_dns, config.cluster_domain),
        attempt=attempt,
    )
    return translate.sandbox_config(pod, parts)


async def note(tools: Tools, record: PodRecord, sandbox_id: str, attempt: int) -> None:
    """Add a sandbox which exists to the view, with its addresses."""
    status = await tools.runtime.sandbox_status(sandbox_id)
    record.view.put_sandbox(
        SandboxView(
            id=sandbox_id,
            attempt=attempt,
            ready=True,
            created_at=status.created_at / NANO,
            ips=sandbox_ips(status),
            host_network=bool(record.pod.spec.hostNetwork),
        )
    )


async def open_ports(tools: Tools, record: PodRecord) -> None:
    """Let the pod's host ports lead into it."""
    sandbox = record.view.sandbox
    if tools.host_ports is None or sandbox is None or not sandbox.ips:
        return
    ports = [
        (Protocol(p.protocol).name.lower(), p.host_port, p.host_ip, ip, p.container_port)
        for p in translate.port_mappings(record.pod)
        for ip in sandbox.ips
    ]
    if ports:
        await tools.host_ports.open(record.uid, ports)


def write_hosts_file(tools: Tools, record: PodRecord) -> None:
    """Write the /etc/hosts the pod's containers see."""
    own = facts(tools, record).pod_ips
    node_hosts = ""
    if record.pod.spec.hostNetwork:
        with open("/etc/hosts", encoding="utf-8", errors="replace") as handle:
            node_hosts = handle.read()
    text = names.hosts_file(record.pod, own, tools.config.cluster_domain, node_hosts)
    place = tools.volumes.pod_dir(record.uid) / "etc-hosts"
    place.parent.mkdir(parents=True, exist_ok=True)
    # Containers have this very file mounted, so it is written over, not exchanged.
    if not place.exists() or place.read_text(encoding="utf-8") != text:
        place.write_text(text, encoding="utf-8")
        place.chmod(0o644)


async def end(tools: Tools, record: PodRecord) -> None:
    """Stop every sandbox of the pod: its network is given back.

    Raises:
        RuntimeFailure: the runtime would not.
    """
    if tools.host_ports is not None:
        await tools.host_ports.close(record.uid)
    for sandbox in record.view.sandboxes:
        if not sandbox.stopped:
            await tools.runtime.stop_sandbox(sandbox.id)
            sandbox.ready, sandbox.stopped = False, True
