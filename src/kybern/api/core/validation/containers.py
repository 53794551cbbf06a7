"""Containers: regular, init, ephemeral.

In:   the containers of a pod spec, and what they need to know of the pod (`Surroundings`).
Out:  problems appended to the list given.
By:   `pod_spec`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from kybern.api import names
from kybern.api.core.validation.environment import check_env, check_env_from
from kybern.api.core.validation.paths import check_descending, check_no_backsteps
from kybern.api.core.validation.probes import check_lifecycle, check_probes
from kybern.api.core.validation.resources import check_requirements
from kybern.api.core.validation.security import check_security
from kybern.api.field_path import (
    Path,
    Problem,
    all_invalid,
    duplicate,
    forbidden,
    invalid,
    not_found,
    not_supported,
    required,
    too_many,
)

if TYPE_CHECKING:
    from kybern.api.core.v1 import (
        Container,
        ContainerPort,
        ContainerRestartRule,
        EphemeralContainer,
        PodSpec,
        Volume,
        VolumeDevice,
        VolumeMount,
    )

    AnyContainer = Container | EphemeralContainer

PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")
PROTOCOLS: Final = ("SCTP", "TCP", "UDP")
MESSAGE_POLICIES: Final = ("File", "FallbackToLogsOnError")
PROPAGATIONS: Final = ("Bidirectional", "HostToContainer", "None")
READ_ONLY_MODES: Final = ("Disabled", "Enabled", "IfPossible")
RESTARTS: Final = ("Always", "OnFailure", "Never")
RULES_MAX: Final = 20
CODES_MAX: Final = 255
SIDECAR_FIELDS: Final = ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")
NO_SIDECAR: Final = "may not be set for init containers without restartPolicy=Always"
EPHEMERAL_FORBIDDEN: Final = (
    "ports", "resources", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle",
    "restartPolicy", "restartPolicyRules", "resizePolicy",
)  # fmt: skip
NOT_EPHEMERAL: Final = "cannot be set for an Ephemeral Container"


class Surroundings(NamedTuple):
    """What a container needs to know of its pod."""

    volumes: dict[str, Volume]
    claims: frozenset[str]
    grace: int | None
    restart_policy: str
    host_users: bool
    os: str


def check_containers(
    spec: PodSpec, around: Surroundings, path: Path, out: list[Problem]
) -> None:
    """The regular containers at `path`, a list."""
    if not spec.containers:
        out.append(required(path))
        return
    seen: set[str] = set()
    for index, container in enumerate(spec.containers):
        place = path[index]
        _check_common(container, around, place, out)
        if container.name in seen:
            out.append(duplicate(place / "name", container.name))
        seen.add(container.name)
        if container.lifecycle is not None:
            check_lifecycle(
                container.lifecycle, around.grace, around.os, place / "lifecycle", out
            )
        check_probes(container, place, out)
        if container.restartPolicy is not None:
            _check_restart(container, place, out)
        elif container.restartPolicyRules:
            told = "must specify restartPolicy when restart rules are used"
            out.append(required(place / "restartPolicy", told))
    check_host_ports(spec.containers, path, 0, out)


def check_init_containers(
    spec: PodSpec, around: Surroundings, path: Path, out: list[Problem]
) -> None:
    """The init containers at `path`, sidecars among them."""
    seen = {container.name for container in spec.containers}
    for index, container in enumerate(spec.initContainers or ()):
        place = path[index]
        _check_common(container, around, place, out)
        if container.restartPolicy is not None or container.restartPolicyRules:
            _check_restart(container, place, out)
        if container.name in seen:
            out.append(duplicate(place / "name", container.name))
        elif container.name:
            seen.add(container.name)
        check_host_ports([container], path, index, out)
        if container.restartPolicy == "Always":
            if container.lifecycle is not None:
                check_lifecycle(
                    container.lifecycle, around.grace, around.os, place / "lifecycle", out
                )
            check_probes(container, place, out)
            continue
        given = [field for field in SIDECAR_FIELDS if getattr(container, field) is not None]
        out += [forbidden(place / field, NO_SIDECAR) for field in given]


def check_ephemeral_containers(
    spec: PodSpec, around: Surroundings, path: Path, out: list[Problem]
) -> None:
    """Containers added to a running pod to look into it."""
    others = {c.name for c in (*spec.containers, *(spec.initContainers or ()))}
    seen = set(others)
    for index, container in enumerate(spec.ephemeralContainers or ()):
        place = path[index]
        _check_common(container, around, place, out)
        check_image_spaces(container, place, out)
        if container.name in seen:
            out.append(duplicate(place / "name", container.name))
        seen.add(container.name)
        target = container.targetContainerName
        if target and target not in others:
            out.append(not_found(place / "targetContainerName", target))
        given = [f for f in EPHEMERAL_FORBIDDEN if _is_set(getattr(container, f, None))]
        out += [forbidden(place / field, NOT_EPHEMERAL) for field in given]
        for number, mount in enumerate(container.volumeMounts or ()):
            for field in ("subPath", "subPathExpr"):
                if getattr(mount, field):
                    where = (place / "volumeMounts")[number] / field
                    out.append(forbidden(where, NOT_EPHEMERAL))


def _is_set(value: object) -> bool:
    """Whether there is something in it; the empty resources which defaults put in are nothing."""
    if value is None or value == []:
        return False
    return any(
        getattr(value, field, True) for field in getattr(value, "__struct_fields__", ("",))
    )


def check_image_spaces(container: AnyContainer, path: Path, out: list[Problem]) -> None:
    """Only pods must write images neatly; templates may hold anything."""
    image = container.image
    if image and image.strip() != image:
        told = "must not have leading or trailing whitespace"
        out.append(invalid(path / "image", image, told))


def _check_common(
    container: AnyContainer, around: Surroundings, path: Path, out: list[Problem]
) -> None:
    """What all sorts of containers must be."""
    if not container.name:
        out.append(required(path / "name"))
    elif messages := names.dns1123_label(container.name):
        out += all_invalid(path / "name", container.name, messages)
    if not container.image:
        out.append(required(path / "image"))
    policy = container.terminationMessagePolicy
    if policy not in MESSAGE_POLICIES:
        place = path / "terminationMessagePolicy"
        out.append(not_supported(place, policy, MESSAGE_POLICIES) if policy else required(place))
    if container.ports:
        _check_ports(container.ports, path / "ports", out)
    if container.env:
        check_env(container.env, path / "env", around.volumes, out)
    if container.envFrom:
        check_env_from(container.envFrom, path / "envFrom", out)
    if container.volumeMounts:
        _check_mounts(container, around, path / "volumeMounts", out)
    if container.volumeDevices:
        _check_devices(container, around, path / "volumeDevices", out)
    policy = container.imagePullPolicy
    if policy not in PULL_POLICIES:
        place = path / "imagePullPolicy"
        out.append(not_supported(place, policy, PULL_POLICIES) if policy else required(place))
    resources = container.resources
    if resources is not None and (resources.limits or resources.requests or resources.claims):
        check_requirements(resources, path / "resources", out, claims=around.claims)
    if container.resizePolicy:
        _check_resize(container, around.restart_policy, path / "resizePolicy", out)
    if container.securityContext is not None:
        check_security(container.securityContext, path, out, host_users=around.host_users)


def _check_ports(ports: list[ContainerPort], path: Path, out: list[Problem]) -> None:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        if port.name:
            if messages := names.port_name(port.name):
                out += all_invalid(path[index] / "name", port.name, messages)
            elif port.name in seen:
                out.append(duplicate(path[index] / "name", port.name))
            seen.add(port.name)
        if not port.containerPort:
            out.append(required(path[index] / "containerPort"))
        elif messages := names.port_number(port.containerPort):
            out += all_invalid(path[index] / "containerPort", port.containerPort, messages)
        if port.hostPort and (messages := names.port_number(port.hostPort)):
            out += all_invalid(path[index] / "hostPort", port.hostPort, messages)
        if port.protocol not in PROTOCOLS:
            place = path[index] / "protocol"
            known = not_supported(place, port.protocol, PROTOCOLS)
            out.append(known if port.protocol else required(place))


def check_host_ports(
    containers: list[Container], path: Path, first: int, out: list[Problem]
) -> None:
    """Ports of the node: no two of these containers may take the same."""
    seen: set[str] = set()
    for index, container in enumerate(containers):
        for number, port in enumerate(container.ports or ()):
            if not port.hostPort:
                continue
            text = f"{port.protocol or ''}/{port.hostIP or ''}/{port.hostPort}"
            if text in seen:
                place = (path[index + first] / "ports")[number] / "hostPort"
                out.append(duplicate(place, text))
            seen.add(text)


def _check_mounts(
    container: AnyContainer, around: Surroundings, path: Path, out: list[Problem]
) -> None:
    paths: set[str] = set()
    devices = {each.name: each.devicePath for each in container.volumeDevices or ()}
    for index, mount in enumerate(container.volumeMounts or ()):
        volume = around.volumes.get(mount.name)
        if not mount.name:
            out.append(required(path[index] / "name"))
        if volume is None:
            out.append(not_found(path[index] / "name", mount.name))
        if not mount.mountPath:
            out.append(required(path[index] / "mountPath"))
        if mount.mountPath in paths:
            out.append(invalid(path[index] / "mountPath", mount.mountPath, "must be unique"))
        paths.add(mount.mountPath)
        if devices:
            _check_mount_against_devices(mount, devices, path[index], out)
        if mount.subPath or mount.subPathExpr:
            _check_sub_path(mount, path, index, out)
        if mount.mountPropagation is not None:
            _check_propagation(mount.mountPropagation, container, path, out)
        if mount.recursiveReadOnly is not None:
            _check_recursive(mount, path / "recursiveReadOnly", out)


def _check_mount_against_devices(
    mount: VolumeMount, devices: dict[str, str], path: Path, out: list[Problem]
) -> None:
    if mount.name in devices:
        told = "must not already exist in volumeDevices"
        out.append(invalid(path / "name", mount.name, told))
    if mount.mountPath in devices.values():
        told = "must not already exist as a path in volumeDevices"
        out.append(invalid(path / "mountPath", mount.mountPath, told))


def _check_sub_path(
    mount: VolumeMount, path: Path, index: int, out: list[Problem]
) -> None:
    if mount.subPath:
        check_descending(mount.subPath, path / "subPath", out)
    if mount.subPathExpr:
        if mount.subPath:
            told = "subPathExpr and subPath are mutually exclusive"
            out.append(invalid(path[index] / "subPathExpr", mount.subPathExpr, told))
        check_descending(mount.subPathExpr, path / "subPathExpr", out)


def _check_propagation(
    mode: str, container: AnyContainer, path: Path, out: list[Problem]
) -> None:
    place = path / "mountPropagation"
    if mode not in PROPAGATIONS:
        out.append(not_supported(place, mode, PROPAGATIONS))
    context = container.securityContext
    if mode == "Bidirectional" and not (context is not None and context.privileged):
        told = "Bidirectional mount propagation is available only to privileged containers"
        out.append(forbidden(place, told))


def _check_recursive(mount: VolumeMount, path: Path, out: list[Problem]) -> None:
    mode = mount.recursiveReadOnly
    if mode == "Disabled":
        return
    if mode not in READ_ONLY_MODES:
        out.append(not_supported(path, mode, READ_ONLY_MODES))
        return
    if not mount.readOnly:
        out.append(forbidden(path, "may only be specified when readOnly is true"))
    if mount.mountPropagation not in (None, "None"):
        told = "may only be specified when mountPropagation is None or not specified"
        out.append(forbidden(path, told))


def _check_devices(
    container: AnyContainer, around: Surroundings, path: Path, out: list[Problem]
) -> None:
    seen: set[str] = set()
    paths: set[str] = set()
    mounts = {each.name: each.mountPath for each in container.volumeMounts or ()}
    for index, device in enumerate(container.volumeDevices or ()):
        _check_device_name(device, around.volumes, seen, mounts, path[index] / "name", out)
        _check_device_path(device, paths, mounts, path, index, out)


def _check_device_name(
    device: VolumeDevice,
    volumes: dict[str, Volume],
    seen: set[str],
    mounts: dict[str, str],
    path: Path,
    out: list[Problem],
) -> None:
    volume = volumes.get(device.name)
    if not device.name:
        out.append(required(path))
    if device.name in seen:
        out.append(invalid(path, device.name, "must be unique"))
    if volume is None:
        out.append(not_found(path, device.name))
    elif volume.persistentVolumeClaim is None and volume.ephemeral is None:
        told = (
            "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
        )
        out.append(invalid(path, device.name, told))
    if device.name in mounts:
        told = "must not already exist in volumeMounts"
        out.append(invalid(path, device.name, told))
    if device.name:
        seen.add(device.name)


def _check_device_path(
    device: VolumeDevice,
    paths: set[str],
    mounts: dict[str, str],
    path: Path,
    index: int,
    out: list[Problem],
) -> None:
    place, text = path[index] / "devicePath", device.devicePath
    if not text:
        out.append(required(place))
    if text in paths:
        out.append(invalid(place, text, "must be unique"))
    backsteps: list[Problem] = []
    check_no_backsteps(text, place, backsteps)
    if backsteps:
        out.append(invalid(place, text, "can not contain backsteps ('..')"))
    else:
        paths.add(text)
    if text in mounts.values():
        told = "must not already exist as a path in volumeMounts"
        out.append(invalid(place, text, told))


def _check_resize(
    container: AnyContainer, restart_policy: str, path: Path, out: list[Problem]
) -> None:
    seen: set[str] = set()
    for index, policy in enumerate(container.resizePolicy or ()):
        if policy.resourceName in seen:
            out.append(duplicate(path[index], policy.resourceName))
        seen.add(policy.resourceName)
        for value, known in (
            (policy.resourceName, ("cpu", "memory")),
            (policy.restartPolicy, ("NotRequired", "RestartContainer")),
        ):
            if not value:
                out.append(required(path))
            elif value not in known:
                out.append(not_supported(path, value, known))
        if restart_policy == "Never" and policy.restartPolicy != "NotRequired":
            told = "must be 'NotRequired' when `restartPolicy` is 'Never'"
            out.append(invalid(path, policy.restartPolicy, told))


def _check_restart(container: Container, path: Path, out: list[Problem]) -> None:
    """A container's own restart policy, with rules by exit code."""
    policy = container.restartPolicy
    if policy is not None and policy not in RESTARTS:
        out.append(not_supported(path / "restartPolicy", policy, RESTARTS))
    rules = container.restartPolicyRules or []
    if not rules:
        return
    if policy is None:
        told = "must specify restartPolicy when restart rules are used"
        out.append(required(path / "restartPolicy", told))
    if len(rules) > RULES_MAX:
        out.append(too_many(path / "restartPolicyRules", len(rules), RULES_MAX))
    for index, rule in enumerate(rules):
        _check_rule(rule, (path / "restartPolicyRules")[index], out)


def _check_rule(rule: ContainerRestartRule, path: Path, out: list[Problem]) -> None:
    if rule.action not in ("Restart", "RestartAllContainers"):
        known = ("Restart", "RestartAllContainers")
        out.append(not_supported(path / "action", rule.action, known))
    if rule.exitCodes is None:
        out.append(required(path / "exitCodes", "must be specified"))
        return
    place = path / "exitCodes"
    if rule.exitCodes.operator not in ("In", "NotIn"):
        out.append(not_supported(place / "operator", rule.exitCodes.operator, ("In", "NotIn")))
    if len(rule.exitCodes.values or ()) > CODES_MAX:
        out.append(too_many(place / "values", len(rule.exitCodes.values or ()), CODES_MAX))
