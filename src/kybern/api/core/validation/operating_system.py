"""What only one operating system has: user namespaces, Windows options.

In:   a pod spec.
Out:  problems appended to the list given.
By:   `pod_spec`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api.field_path import Path, Problem, forbidden, invalid, not_supported, required

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kybern.api.core.v1 import PodSpec, SecurityContext, WindowsSecurityContextOptions

LINUX_POD_FIELDS: Final = (
    "appArmorProfile", "seLinuxOptions", "seccompProfile", "fsGroup", "fsGroupChangePolicy",
    "sysctls", "runAsUser", "runAsGroup", "supplementalGroups", "supplementalGroupsPolicy",
    "seLinuxChangePolicy",
)  # fmt: skip
LINUX_SPEC_FIELDS: Final = ("hostUsers", "hostPID", "hostIPC", "shareProcessNamespace")
LINUX_CONTAINER_FIELDS: Final = (
    "appArmorProfile", "seLinuxOptions", "seccompProfile", "capabilities",
    "readOnlyRootFilesystem", "privileged", "allowPrivilegeEscalation", "procMount", "runAsUser",
    "runAsGroup",
)  # fmt: skip
NOT_ON_WINDOWS: Final = "cannot be set for a windows pod"
NOT_ON_LINUX: Final = "windows options cannot be set for a linux pod"


def check_os(spec: PodSpec, path: Path, out: list[Problem]) -> None:
    """Everything that depends on the operating system."""
    if spec.hostUsers is False:
        _check_user_namespace(spec, path, out)
    contexts = list(_contexts(spec, path))
    if contexts or spec.securityContext is not None:
        _check_host_process(spec, contexts, path, out)
    if spec.os is None:
        return
    if not spec.os.name:
        out.append(required(path / "os" / "name", "cannot be empty"))
    elif spec.os.name == "linux":
        _check_linux(spec, contexts, path, out)
    elif spec.os.name == "windows":
        _check_windows(spec, contexts, path, out)
    else:
        out.append(not_supported(path / "os", spec.os.name, ("linux", "windows")))


def _check_user_namespace(spec: PodSpec, path: Path, out: list[Problem]) -> None:
    # The spelling of two of the fields is upstream's.
    for field, shown in (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"),
                         ("hostIPC", "HostIPC")):  # fmt: skip
        if getattr(spec, field):
            out.append(forbidden(path / shown, "when `pod.Spec.HostUsers` is false"))


def _contexts(spec: PodSpec, path: Path) -> Iterator[tuple[SecurityContext, Path]]:
    """Security contexts of the containers which have one, with their places."""
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(getattr(spec, field) or ()):
            context = container.securityContext
            if context is not None:
                yield context, (path / field)[index] / "securityContext"


def _check_linux(
    spec: PodSpec, contexts: list[tuple[SecurityContext, Path]], path: Path, out: list[Problem]
) -> None:
    if spec.securityContext is not None and spec.securityContext.windowsOptions is not None:
        out.append(forbidden(path / "securityContext" / "windowsOptions", NOT_ON_LINUX))
    places = [place for context, place in contexts if context.windowsOptions is not None]
    out += [forbidden(place / "windowsOptions", NOT_ON_LINUX) for place in places]


def _check_windows(
    spec: PodSpec, contexts: list[tuple[SecurityContext, Path]], path: Path, out: list[Problem]
) -> None:
    given = [field for field in LINUX_SPEC_FIELDS if getattr(spec, field)]
    out += [forbidden(path / field, NOT_ON_WINDOWS) for field in given]
    if spec.securityContext is not None:
        context = spec.securityContext
        given = [field for field in LINUX_POD_FIELDS if getattr(context, field) is not None]
        place = path / "securityContext"
        out += [forbidden(place / field, NOT_ON_WINDOWS) for field in given]
    for each, place in contexts:
        given = [field for field in LINUX_CONTAINER_FIELDS if getattr(each, field) is not None]
        out += [forbidden(place / field, NOT_ON_WINDOWS) for field in given]


def _is_host_process(options: WindowsSecurityContextOptions | None) -> bool | None:
    return options.hostProcess if options is not None else None


def _check_host_process(
    spec: PodSpec, contexts: list[tuple[SecurityContext, Path]], path: Path, out: list[Problem]
) -> None:
    """Containers which run as processes of a Windows node: all or none."""
    whole = None
    if spec.securityContext is not None:
        whole = _is_host_process(spec.securityContext.windowsOptions)
    every = (spec.initContainers or (), spec.containers, spec.ephemeralContainers or ())
    total = sum(len(each) for each in every)
    explicit = [(_is_host_process(context.windowsOptions), place) for context, place in contexts]
    if whole is None and not any(own for own, _ in explicit):
        return
    for own, place in explicit:
        if whole is not None and own is not None and own != whole:
            told = (
                "pod hostProcess value must be identical if both are specified, was "
                f"{str(whole).lower()}"
            )
            out.append(invalid(place / "windowsOptions" / "hostProcess", own, told))
    count = sum(1 for own, _ in explicit if own)
    if whole:
        count += total - sum(1 for own, _ in explicit if own is not None)
    if not count:
        return
    if count != total:
        told = (
            "If pod contains any hostProcess containers then all containers must be HostProcess "
            "containers"
        )
        out.append(invalid(path, "", told))
    if not spec.hostNetwork:
        told = "hostNetwork must be true if pod contains any hostProcess containers"
        out.append(invalid(path / "hostNetwork", False, told))
