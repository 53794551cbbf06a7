"""Who a container's processes are and what they may do.

In:   the security contexts of the pod and the container, and the user its image names.
Out:  CRI's security contexts; or ConfigProblem when the pod forbids what the image asks for.
By:   runtime/translate.py. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kybern.kubelet.pods.environment import ConfigProblem
from kybern.kubelet.pods.names import described
from kybern.kubelet.pods.specs import Role
from kybern.kubelet.runtime.messages import container as c
from kybern.kubelet.runtime.messages import sandbox as s

if TYPE_CHECKING:
    from kybern.api.core.v1 import (
        AppArmorProfile,
        Pod,
        PodSecurityContext,
        SeccompProfile,
        SecurityContext,
        SELinuxOptions,
    )
    from kybern.kubelet.pods.specs import Wanted

MASKED_PATHS = (
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys",
    "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
)  # fmt: skip
READ_ONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
PROFILES = {
    "RuntimeDefault": s.ProfileType.RUNTIME_DEFAULT,
    "Unconfined": s.ProfileType.UNCONFINED,
    "Localhost": s.ProfileType.LOCALHOST,
}
SECCOMP_DIR = "/var/lib/kubelet/seccomp"


@dataclass(frozen=True, slots=True)
class ImageUser:
    """Who an image says its process runs as: a number, or a name, or nobody in particular."""

    uid: int | None = None
    name: str = ""


def namespaces(pod: Pod, wanted: Wanted | None = None, target_id: str = "") -> s.NamespaceOption:
    """Return which Linux namespaces are shared with whom."""
    spec = pod.spec
    pid = s.NamespaceMode.CONTAINER
    if spec.hostPID:
        pid = s.NamespaceMode.NODE
    elif spec.shareProcessNamespace:
        pid = s.NamespaceMode.POD
    elif wanted is not None and wanted.role is Role.EPHEMERAL and target_id:
        pid = s.NamespaceMode.TARGET
    return s.NamespaceOption(
        network=int(s.NamespaceMode.NODE if spec.hostNetwork else s.NamespaceMode.POD),
        pid=int(pid),
        ipc=int(s.NamespaceMode.NODE if spec.hostIPC else s.NamespaceMode.POD),
        target_id=target_id if pid is s.NamespaceMode.TARGET else "",
    )


def sandbox_security(pod: Pod, *, privileged: bool) -> s.LinuxSandboxSecurityContext:
    """Return the security context of the process which holds the namespaces."""
    context = pod.spec.securityContext
    result = s.LinuxSandboxSecurityContext(
        namespace_options=namespaces(pod),
        privileged=privileged,
        seccomp=s.SecurityProfile(int(s.ProfileType.RUNTIME_DEFAULT)),
        supplemental_groups=_groups(context),
    )
    if context is not None:
        if context.runAsUser is not None:
            result.run_as_user = s.Int64Value(context.runAsUser)
            if context.runAsGroup is not None:
                result.run_as_group = s.Int64Value(context.runAsGroup)
        result.selinux_options = _selinux(context.seLinuxOptions)
        result.supplemental_groups_policy = int(context.supplementalGroupsPolicy == "Strict")
    return result


def container_security(
    pod: Pod, wanted: Wanted, image_user: ImageUser, target_id: str = ""
) -> c.LinuxContainerSecurityContext:
    """Return the security context of a container.

    Raises:
        ConfigProblem: the container would run as root and may not.
    """
    outer, inner = pod.spec.securityContext, wanted.spec.securityContext
    _check_not_root(pod, wanted, image_user)
    uid = _first(_get(inner, "runAsUser"), _get(outer, "runAsUser"))
    gid = _first(_get(inner, "runAsGroup"), _get(outer, "runAsGroup"))
    result = c.LinuxContainerSecurityContext(
        namespace_options=namespaces(pod, wanted, target_id),
        supplemental_groups=_groups(outer),
        supplemental_groups_policy=int(_get(outer, "supplementalGroupsPolicy") == "Strict"),
        seccomp=_seccomp(_first(_get(inner, "seccompProfile"), _get(outer, "seccompProfile"))),
        apparmor=_apparmor(_first(_get(inner, "appArmorProfile"), _get(outer, "appArmorProfile"))),
        selinux_options=_selinux(
            _first(_get(inner, "seLinuxOptions"), _get(outer, "seLinuxOptions"))
        ),
    )
    if uid is None:
        uid = image_user.uid
    if uid is not None:
        result.run_as_user = s.Int64Value(uid)
    else:
        result.run_as_username = image_user.name
    if gid is not None:
        result.run_as_group = s.Int64Value(gid)
        if uid is None and not image_user.name:
            result.run_as_user = s.Int64Value(0)  # the runtime takes a group only with a user
    _add_privileges(result, inner)
    return result


def runs_as_user(pod: Pod, wanted: Wanted) -> int | None:
    """Return the user id the pod asks for; None when it leaves that to the image."""
    inner, outer = wanted.spec.securityContext, pod.spec.securityContext
    uid: int | None = _first(_get(inner, "runAsUser"), _get(outer, "runAsUser"))
    return uid


def is_privileged(wanted: Wanted) -> bool:
    """Say whether a container is privileged."""
    return bool(_get(wanted.spec.securityContext, "privileged"))


def _add_privileges(result: c.LinuxContainerSecurityContext, inner: SecurityContext | None) -> None:
    if _get(inner, "procMount") != "Unmasked":
        result.masked_paths = list(MASKED_PATHS)
        result.readonly_paths = list(READ_ONLY_PATHS)
    if inner is None:
        return
    result.privileged = bool(inner.privileged)
    result.readonly_rootfs = bool(inner.readOnlyRootFilesystem)
    result.no_new_privs = inner.allowPrivilegeEscalation is False
    if inner.capabilities is not None:
        result.capabilities = c.Capability(
            list(inner.capabilities.add or ()), list(inner.capabilities.drop or ())
        )


def _check_not_root(pod: Pod, wanted: Wanted, image_user: ImageUser) -> None:
    outer, inner = pod.spec.securityContext, wanted.spec.securityContext
    if not _first(_get(inner, "runAsNonRoot"), _get(outer, "runAsNonRoot")):
        return
    where = f'(pod: "{described(pod)}", container: {wanted.name})'
    uid = runs_as_user(pod, wanted)
    if uid is not None:
        if uid == 0:
            raise ConfigProblem(f"container's runAsUser breaks non-root policy {where}")
        return
    if image_user.uid == 0 or (image_user.uid is None and not image_user.name):
        raise ConfigProblem(f"container has runAsNonRoot and image will run as root {where}")
    if image_user.uid is None:
        raise ConfigProblem(
            f"container has runAsNonRoot and image has non-numeric user ({image_user.name}), "
            f"cannot verify user is non-root {where}"
        )


def _groups(context: PodSecurityContext | None) -> list[int]:
    if context is None:
        return []
    groups = list(context.supplementalGroups or ())
    if context.fsGroup is not None:
        groups.append(context.fsGroup)
    return groups


def _seccomp(profile: SeccompProfile | None) -> s.SecurityProfile:
    if profile is None:
        return s.SecurityProfile(int(s.ProfileType.UNCONFINED))
    kind = PROFILES.get(profile.type, s.ProfileType.UNCONFINED)
    path = f"{SECCOMP_DIR}/{profile.localhostProfile}" if profile.localhostProfile else ""
    return s.SecurityProfile(int(kind), path if kind is s.ProfileType.LOCALHOST else "")


def _apparmor(profile: AppArmorProfile | None) -> s.SecurityProfile | None:
    if profile is None:
        return None
    kind = PROFILES.get(profile.type, s.ProfileType.RUNTIME_DEFAULT)
    return s.SecurityProfile(int(kind), profile.localhostProfile or "")


def _selinux(options: SELinuxOptions | None) -> s.SELinuxOption | None:
    if options is None:
        return None
    return s.SELinuxOption(
        options.user or "", options.role or "", options.type or "", options.level or ""
    )


def _get(context: object | None, name: str) -> Any:
    return getattr(context, name, None) if context is not None else None


def _first(one: Any, other: Any) -> Any:
    return other if one is None else one
