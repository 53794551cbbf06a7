"""Starting one container, and ending one.

In:   a PodRecord with a sandbox; a Start or Stop of its plan.
Out:  the container in the runtime and in the record's view; events; or Held.
By:   pods/act.py.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.kubelet.pods import hooks, image_volumes, names, specs
from kybern.kubelet.pods.environment import (
    ConfigProblem,
    Reference,
    Surroundings,
    environment,
    references,
)
from kybern.kubelet.pods.held import Held
from kybern.kubelet.pods.pulling import Need
from kybern.kubelet.pods.restarts import after_start
from kybern.kubelet.pods.sandboxes import config_of, facts, write_hosts_file
from kybern.kubelet.pods.security import ImageUser
from kybern.kubelet.pods.specs import Role
from kybern.kubelet.pods.termination import message_path, termination_message
from kybern.kubelet.pods.tools import NORMAL, WARNING
from kybern.kubelet.pods.view import ContainerView, State, container_view
from kybern.kubelet.probes.ask import Target
from kybern.kubelet.runtime import translate
from kybern.kubelet.runtime.interface import RuntimeFailure
from kybern.kubelet.runtime.messages.container import ContainerState, Mount
from kybern.kubelet.runtime.messages.image import ImageSpec
from kybern.kubelet.volumes import sub_path
from kybern.kubelet.volumes.content import VolumeProblem
from kybern.kubelet.volumes.plan import device_plans, is_read_only, mount_plans
from kybern.lib import logs

if TYPE_CHECKING:
    from pathlib import Path

    from kybern.api.core.v1 import ConfigMap, Secret
    from kybern.kubelet.pods.plan import Start
    from kybern.kubelet.pods.record import PodRecord
    from kybern.kubelet.pods.specs import Wanted
    from kybern.kubelet.pods.tools import Tools
    from kybern.kubelet.runtime.messages.container import ContainerConfig, ContainerStatus
    from kybern.kubelet.runtime.messages.image import Image

log = logs.get("kubelet.pods")
TRY_AGAIN = 10.0
HOSTS_FILE = "/etc/hosts"
# An event says that a container ended a moment before the runtime's own records do.
SETTLING = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


async def start(tools: Tools, record: PodRecord, step: Start) -> None:
    """Start a container: image, configuration, create, start, postStart.

    Raises:
        Held: it could not be started; the events have been recorded.
    """
    wanted = step.wanted
    if step.after is not None:
        ended = step.after.finished_at or tools.clock.now()
        record.waits[wanted.name] = after_start(record.waits.get(wanted.name), ended)
    try:
        image = await _image(tools, record, wanted)
        restarts = step.restarts or _restarts_from_logs(tools, record, wanted.name)
        if volumes := image_volumes.mounted(tools, record, wanted.spec):
            secrets = await _pull_secrets(tools, record)
            await image_volumes.prepare(tools, record, volumes, secrets)
        config = await _config(tools, record, wanted, image, restarts)
        container_id = await _create(tools, record, config)
        tools.tell(record.pod, NORMAL, "Created", "Container created", wanted)
        await _start(tools, record, wanted, container_id)
    except Held as held:
        said = held.reason if "Image" in held.reason else held.message
        tools.tell(record.pod, WARNING, "Failed", f"Error: {said}", wanted)
        raise
    tools.tell(record.pod, NORMAL, "Started", "Container started", wanted)
    record.held.pop(wanted.name, None)
    record.replacing.discard(wanted.name)
    await _post_start(tools, record, wanted, container_id)


async def stop(
    tools: Tools, record: PodRecord, container: ContainerView, grace: int, message: str = ""
) -> None:
    """End a container: preStop, the stop signal, and the kill when its grace is over.

    Raises:
        RuntimeFailure: the runtime would not.
    """
    pod, wanted = record.pod, specs.find(record.pod, container.name)
    if container.id not in record.stopping:
        record.stopping.add(container.id)
        text = message or f"Stopping container {container.name}"
        tools.tell(pod, NORMAL, "Killing", text, wanted)
        if wanted is not None and container.state is State.RUNNING and grace > 0:
            grace = await _pre_stop(tools, record, wanted, container, grace)
    await tools.runtime.stop_container(container.id, grace)
    await refresh(tools, record, container.id, ended=True)


async def refresh(
    tools: Tools, record: PodRecord, container_id: str, *, ended: bool = False
) -> ContainerView | None:
    """Look at a container again and update the view; None when it is gone.

    With `ended`, wait until the runtime's records agree that it has.
    """
    for pause in (*SETTLING, None):
        try:
            status = await tools.runtime.container_status(container_id)
        except RuntimeFailure as failure:
            if not failure.missing:
                raise
            record.view.drop(container_id)
            return None
        running = status.state in (ContainerState.CREATED, ContainerState.RUNNING)
        if not ended or not running or pause is None:
            break
        await tools.clock.sleep(pause)
    known = next((c for c in record.view.containers if c.id == container_id), None)
    sandbox = known.sandbox_id if known is not None else _sandbox_id(record)
    view = container_view(status, sandbox, _message(tools, record, status))
    record.view.put(view)
    return view


async def _image(tools: Tools, record: PodRecord, wanted: Wanted) -> Image:
    spec = wanted.spec
    secrets = await _pull_secrets(tools, record)
    need = Need(
        spec.image or "", spec.imagePullPolicy or "IfNotPresent", record.uid, secrets,
        record.sandbox_config,
    )  # fmt: skip
    return await tools.puller.ensure(
        need, lambda kind, reason, text: tools.tell(record.pod, kind, reason, text, wanted)
    )


async def _pull_secrets(tools: Tools, record: PodRecord) -> list[Secret]:
    named = [Reference("Secret", s.name or "") for s in record.pod.spec.imagePullSecrets or ()]
    if not named:
        return []
    found = await tools.objects.read(record.namespace, named)
    return [secret for secret in found.values() if secret is not None]  # type: ignore[misc]


async def _config(
    tools: Tools, record: PodRecord, wanted: Wanted, image: Image, restarts: int
) -> ContainerConfig:
    pod = record.pod
    try:
        around = await _surroundings(tools, record, wanted)
        variables = environment(pod, wanted.spec, around)
        mounts = _mounts(tools, record, wanted, variables, restarts)
        parts = translate.ContainerParts(
            image_ref=image.id,
            restarts=restarts,
            environment=variables,
            mounts=mounts,
            image_user=_image_user(image),
            target_id=_target(record, wanted),
            devices=device_plans(wanted.spec, record.places, _fixed(record)),
        )
        return translate.container_config(pod, wanted, parts, tools.node.facts)
    except (ConfigProblem, VolumeProblem, OSError) as problem:
        again = tools.clock.now() + TRY_AGAIN
        raise Held("CreateContainerConfigError", str(problem), again) from None


async def _surroundings(tools: Tools, record: PodRecord, wanted: Wanted) -> Surroundings:
    found = await tools.objects.read(record.namespace, references(wanted.spec))
    maps: dict[str, ConfigMap | None] = {}
    secrets: dict[str, Secret | None] = {}
    for reference, obj in found.items():
        (maps if reference.kind == "ConfigMap" else secrets)[reference.name] = obj  # type: ignore[assignment]
    services = tools.service_variables(record.pod)
    return Surroundings(maps, secrets, services, facts(tools, record))


def _mounts(
    tools: Tools, record: PodRecord, wanted: Wanted, variables: dict[str, str], restarts: int
) -> list[Mount]:
    pod_dir = tools.volumes.pod_dir(record.uid)
    mounts = []
    plans = mount_plans(wanted.spec, record.places, variables, _fixed(record))
    for index, plan in enumerate(plans):
        host_path = plan.host_path
        image = record.images.get(plan.volume) if tools.image_mounts is None else None
        if image is not None:
            spec = ImageSpec(image.id, user_specified_image=image.id)
            mounts.append(
                Mount(plan.container_path, readonly=True, image=spec, image_sub_path=plan.sub_path)
            )
            continue
        if plan.sub_path:
            place = pod_dir / "volume-subpaths" / plan.volume / wanted.name / str(index)
            host_path = str(sub_path.bind(host_path, plan.sub_path, place))
        mounts.append(
            Mount(plan.container_path, host_path, plan.read_only, propagation=plan.propagation)
        )
    taken = {mount.container_path for mount in mounts}
    if HOSTS_FILE not in taken:
        write_hosts_file(tools, record)
        mounts.append(Mount(HOSTS_FILE, str(pod_dir / "etc-hosts")))
    path = wanted.spec.terminationMessagePath
    if path and path not in taken:
        mounts.append(Mount(path, str(_message_file(pod_dir, wanted.name, restarts))))
    return mounts


def _fixed(record: PodRecord) -> set[str]:
    """Return the volumes nobody may write to."""
    return {v.name for v in record.pod.spec.volumes or () if is_read_only(v)}


def _message_file(pod_dir: Path, name: str, restarts: int) -> Path:
    place = message_path(pod_dir, name, restarts)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"")
    place.chmod(0o666)  # the container's user, whoever that is, writes to it
    return place


async def _create(tools: Tools, record: PodRecord, config: ContainerConfig) -> str:
    sandbox = record.view.sandbox
    if sandbox is None or config.metadata is None:
        raise Held("CreateContainerError", "the pod has no sandbox", tools.clock.now() + TRY_AGAIN)
    if record.sandbox_config is None:  # the sandbox was made by an earlier kubelet
        record.sandbox_config = config_of(tools, record.pod, sandbox.attempt)
    directory = tools.config.logs_dir / names.log_directory_name(
        record.namespace, record.name, record.uid
    )
    (directory / config.metadata.name).mkdir(parents=True, exist_ok=True)
    try:
        container_id = await tools.runtime.create_container(
            sandbox.id, config, record.sandbox_config
        )
    except RuntimeFailure as failure:
        again = tools.clock.now() + TRY_AGAIN
        raise Held("CreateContainerError", failure.message, again) from None
    record.view.put(
        ContainerView(
            container_id, config.metadata.name, sandbox.id, config.metadata.attempt,
            created_at=tools.clock.now(),
        )
    )  # fmt: skip
    return container_id


async def _start(tools: Tools, record: PodRecord, wanted: Wanted, container_id: str) -> None:
    try:
        await tools.runtime.start_container(container_id)
    except RuntimeFailure as failure:
        await refresh(tools, record, container_id)
        raise Held("RunContainerError", failure.message, tools.clock.now()) from None
    # From here on it runs with what it was given.
    record.allotment.running.pop(wanted.name, None)
    await refresh(tools, record, container_id)


async def _post_start(tools: Tools, record: PodRecord, wanted: Wanted, container_id: str) -> None:
    lifecycle = wanted.spec.lifecycle
    if lifecycle is None or lifecycle.postStart is None:
        return
    target = Target(wanted.spec, container_id, _pod_ip(tools, record))
    try:
        await hooks.run_hook(
            lifecycle.postStart, target, names.described(record.pod), tools.runtime, tools.clock
        )
    except hooks.HookFailed as failed:
        # What a hook prints may be secret: it is in the status, not in events.
        tools.tell(record.pod, WARNING, "FailedPostStartHook", "PostStartHook failed", wanted)
        container = next(c for c in record.view.containers if c.id == container_id)
        grace = specs.grace_period(record.pod)
        await stop(tools, record, container, grace, "FailedPostStartHook")
        raise Held("PostStartHookError", str(failed), tools.clock.now()) from None


async def _pre_stop(
    tools: Tools, record: PodRecord, wanted: Wanted, container: ContainerView, grace: int
) -> int:
    """Run the hook within the grace period, and return what is left of that."""
    lifecycle = wanted.spec.lifecycle
    if lifecycle is None or lifecycle.preStop is None:
        return grace
    began = tools.clock.monotonic()
    target = Target(wanted.spec, container.id, _pod_ip(tools, record))
    try:
        async with asyncio.timeout(grace):
            await hooks.run_hook(
                lifecycle.preStop, target, names.described(record.pod), tools.runtime, tools.clock
            )
    except hooks.HookFailed as failed:
        log.info("preStop hook failed", container=wanted.name, why=str(failed))
        tools.tell(record.pod, WARNING, "FailedPreStopHook", "PreStopHook failed", wanted)
    except TimeoutError:
        pass  # the hook had all the time there was; what is left is the kill
    # Also a hook which took everything leaves the container a moment for the stop signal.
    return max(2, grace - int(tools.clock.monotonic() - began))


def _pod_ip(tools: Tools, record: PodRecord) -> str:
    ips = facts(tools, record).pod_ips
    return ips[0] if ips else ""


def _target(record: PodRecord, wanted: Wanted) -> str:
    name = getattr(wanted.spec, "targetContainerName", None)
    target = record.view.latest(name) if wanted.role is Role.EPHEMERAL and name else None
    return target.id if target is not None else ""


def _image_user(image: Image) -> ImageUser:
    return ImageUser(image.uid.value if image.uid is not None else None, image.username)


def _sandbox_id(record: PodRecord) -> str:
    return record.view.sandbox.id if record.view.sandbox is not None else ""


def _restarts_from_logs(tools: Tools, record: PodRecord, name: str) -> int:
    """Return how often a container was started before, when the runtime has forgotten: its logs."""
    directory = tools.config.logs_dir / names.log_directory_name(
        record.namespace, record.name, record.uid
    )
    try:
        numbers = [int(p.name.split(".", 1)[0]) for p in (directory / name).iterdir()]
    except (OSError, ValueError):
        return 0
    return max(numbers, default=-1) + 1


def _message(tools: Tools, record: PodRecord, status: ContainerStatus) -> str:
    if status.state != ContainerState.EXITED:
        return ""
    return termination_message(
        status, tools.volumes.pod_dir(record.uid), status.metadata.attempt if status.metadata else 0
    )
