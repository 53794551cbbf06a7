"""The containers a pod asks for, and which kind each is.

In:   a PodSpec.
Out:  its containers in the order they matter, each with its kind.
By:   plan, status, translate, probes. Pure.
"""

from __future__ import annotations

import enum
import hashlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kybern.api.core.v1 import Container, EphemeralContainer, Pod, Probe

    AnyContainer = Container | EphemeralContainer

ALWAYS, ON_FAILURE, NEVER = "Always", "OnFailure", "Never"
DEFAULT_GRACE = 30


class Role(enum.Enum):
    """What a container is to its pod."""

    INIT = "init"  # runs to completion before the next one starts
    SIDECAR = "sidecar"  # an init container which goes on running
    REGULAR = "regular"
    EPHEMERAL = "ephemeral"  # added to a running pod, for debugging


class Wanted(NamedTuple):
    """A container and what it is to its pod."""

    spec: AnyContainer
    role: Role

    @property
    def name(self) -> str:
        """The container's name."""
        return self.spec.name


def init_containers(pod: Pod) -> list[Wanted]:
    """Return init containers and sidecars in their order."""
    return [Wanted(c, init_role(c)) for c in pod.spec.initContainers or ()]


def regular_containers(pod: Pod) -> list[Wanted]:
    """Return the containers proper."""
    return [Wanted(c, Role.REGULAR) for c in pod.spec.containers or ()]


def ephemeral_containers(pod: Pod) -> list[Wanted]:
    """Return the containers added for debugging."""
    return [Wanted(c, Role.EPHEMERAL) for c in pod.spec.ephemeralContainers or ()]


def all_containers(pod: Pod) -> Iterator[Wanted]:
    """Yield every container, init containers first, ephemeral ones last."""
    yield from init_containers(pod)
    yield from regular_containers(pod)
    yield from ephemeral_containers(pod)


def find(pod: Pod, name: str) -> Wanted | None:
    """Return the container of this name."""
    return next((w for w in all_containers(pod) if w.name == name), None)


def init_role(container: Container) -> Role:
    """Say whether an init container goes on running beside the pod."""
    return Role.SIDECAR if container.restartPolicy == ALWAYS else Role.INIT


def container_hash(container: AnyContainer) -> str:
    """Return a digest of what a running container cannot change: its name and image."""
    return hashlib.sha256(f"{container.name}\0{container.image}".encode()).hexdigest()[:8]


def field_path(wanted: Wanted) -> str:
    """Return where in the pod a container is, as events about it say."""
    where = {
        Role.REGULAR: "spec.containers",
        Role.EPHEMERAL: "spec.ephemeralContainers",
    }.get(wanted.role, "spec.initContainers")
    return f"{where}{{{wanted.name}}}"


def restarts_after(pod: Pod, wanted: Wanted, exit_code: int) -> bool:
    """Say whether a container which ended with this code is started again."""
    if wanted.role is Role.SIDECAR:
        return True
    if wanted.role is Role.EPHEMERAL:
        return False
    if rules := wanted.spec.restartPolicyRules:
        for rule in rules:
            codes = rule.exitCodes
            if codes is not None and rule.action == "Restart":
                listed = exit_code in (codes.values or ())
                if listed == (codes.operator == "In"):
                    return True
    policy = wanted.spec.restartPolicy or pod.spec.restartPolicy or ALWAYS
    if wanted.role is Role.INIT:
        return policy != NEVER and exit_code != 0
    return policy == ALWAYS or (policy == ON_FAILURE and exit_code != 0)


def grace_period(pod: Pod) -> int:
    """Return how many seconds the pod's containers get to end by themselves."""
    if pod.metadata.deletionGracePeriodSeconds is not None:
        return pod.metadata.deletionGracePeriodSeconds
    if pod.spec.terminationGracePeriodSeconds is not None:
        return pod.spec.terminationGracePeriodSeconds
    return DEFAULT_GRACE


def probe_grace_period(pod: Pod, probe: Probe | None) -> int:
    """Return the same for a container killed because of this probe."""
    own = probe.terminationGracePeriodSeconds if probe is not None else None
    if own is not None and pod.metadata.deletionGracePeriodSeconds is None:
        return own
    return grace_period(pod)
