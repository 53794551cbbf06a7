"""Annotations of pods that mean something to the API.

In:   the annotations of a pod or template, its spec.
Out:  problems appended to the list given.
By:   `pods`, `templates`.

The old annotations for seccomp and AppArmor still have to agree with the fields which replaced them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api.core.pods import containers
from kybern.api.core.validation.paths import check_descending
from kybern.api.decimals import integer
from kybern.api.field_path import Path, Problem, forbidden, invalid

if TYPE_CHECKING:
    from kybern.api.core.v1 import AppArmorProfile, PodSpec, SeccompProfile
    from kybern.api.meta.v1 import ObjectMeta

    Annotations = dict[str, str]

MIRROR: Final = "kubernetes.io/config.mirror"
DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
SECCOMP_POD: Final = "seccomp.security.alpha.kubernetes.io/pod"
SECCOMP: Final = "container.seccomp.security.alpha.kubernetes.io/"
APP_ARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"
LOCAL: Final = "localhost/"
COST_MIN: Final = -(2**31)
COST_MAX: Final = 2**31 - 1


def check_pod_annotations(
    annotations: Annotations, spec: PodSpec, path: Path, out: list[Problem]
) -> None:
    """The values of annotations with a meaning."""
    for key, value in annotations.items():
        if key == MIRROR and not spec.nodeName:
            told = "must set spec.nodeName if mirror pod annotation is set"
            out.append(invalid(path[key], value, told))
        elif key == DELETION_COST and not _is_cost(value):
            out.append(invalid(path[key], value, "must be a 32bit integer"))
        elif key == SECCOMP_POD or key.startswith(SECCOMP):
            _check_seccomp(value, path / key, out)
        elif key.startswith(APP_ARMOR):
            _check_app_armor(key, value, spec, path[key], out)


def _is_cost(text: str) -> bool:
    number = integer(text)
    # Neither a plus sign nor leading zeros: the number has one spelling.
    return number is not None and str(number) == text and COST_MIN <= number <= COST_MAX


def _check_seccomp(value: str, path: Path, out: list[Problem]) -> None:
    if value in ("runtime/default", "docker/default", "unconfined"):
        return
    if value.startswith(LOCAL):
        check_descending(value.removeprefix(LOCAL), path, out)
    else:
        out.append(invalid(path, value, "must be a valid seccomp profile"))


def _check_app_armor(
    key: str, value: str, spec: PodSpec, path: Path, out: list[Problem]
) -> None:
    name = key.removeprefix(APP_ARMOR)
    if not any(container.name == name for container in containers(spec)):
        out.append(invalid(path, name, "container not found"))
    if value not in ("", "runtime/default", "unconfined") and not value.startswith(LOCAL):
        out.append(invalid(path, value, f'invalid AppArmor profile name: "{value}"'))


def check_pod_annotations_update(
    new: Annotations | None, old: Annotations | None, path: Path, out: list[Problem]
) -> None:
    """Some annotations are there from the beginning, or never."""
    now, then = new or {}, old or {}
    if now == then:
        return
    for key in (*then, *now):
        if now.get(key) == then.get(key):
            continue
        verb = "remove or update" if key in then else "add"
        if key.startswith(APP_ARMOR):
            problem = forbidden(path[key], f"may not {verb} AppArmor annotations")
        elif key == MIRROR:
            problem = forbidden(path[key], f"may not {verb} mirror pod annotation")
        else:
            continue
        if problem not in out:
            out.append(problem)


def check_profiles_match(
    meta: ObjectMeta, spec: PodSpec, path: Path, out: list[Problem]
) -> None:
    """Where profiles stand both in annotations and in fields, they are the same."""
    annotations = meta.annotations or {}
    if not any(each.startswith((SECCOMP, SECCOMP_POD, APP_ARMOR)) for each in annotations):
        return
    whole = spec.securityContext
    if whole is not None and SECCOMP_POD in annotations:
        place = path / "securityContext" / "seccompProfile"
        _compare(annotations[SECCOMP_POD], whole.seccompProfile, "seccomp", place, out)
    confined = whole.appArmorProfile if whole is not None else None
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(getattr(spec, field) or ()):
            place = (path / field)[index] / "securityContext"
            context = container.securityContext
            seccomp = annotations.get(SECCOMP + container.name)
            if context is not None and seccomp is not None:
                profile = context.seccompProfile
                _compare(seccomp, profile, "seccomp", place / "seccompProfile", out)
            armor = annotations.get(APP_ARMOR + container.name)
            if armor is not None:
                own = context.appArmorProfile if context is not None else None
                _compare(armor, own or confined, "apparmor", place / "appArmorProfile", out)


def _compare(
    annotation: str,
    profile: SeccompProfile | AppArmorProfile | None,
    noun: str,
    path: Path,
    out: list[Problem],
) -> None:
    if profile is None:
        return
    local = annotation.removeprefix(LOCAL) if annotation.startswith(LOCAL) else None
    match profile.type:
        case "Unconfined":
            agrees = annotation == "unconfined"
        case "RuntimeDefault":
            agrees = annotation in ("runtime/default", "docker/default")
        case _:
            agrees = local is not None
    if not agrees:
        told = f"{noun} type in annotation and field must match"
        out.append(forbidden(path / "type", told))
    elif profile.type == "Localhost" and local != profile.localhostProfile:
        told = f"{noun} profile in annotation and field must match"
        out.append(forbidden(path / "localhostProfile", told))
