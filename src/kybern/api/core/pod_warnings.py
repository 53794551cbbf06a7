"""What is accepted of a pod, or of a template for pods, but unwise.

In:   a pod's metadata and spec, and where in the object they are.
Out:  sentences in upstream's words and order.
By:   the `warnings` of every kind which has pods. Pure.

Source: pkg/api/pod/warnings.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api import names, quantity
from kybern.api.bad_value import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kybern.api.core.v1 import (
        Affinity,
        Container,
        ContainerPort,
        NodeSelectorTerm,
        PodSpec,
        PodTemplateSpec,
        Volume,
    )
    from kybern.api.meta.v1 import ObjectMeta

OLD_NODE_LABELS: Final = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": (
        'deprecated since v1.17; use "topology.kubernetes.io/region" instead'
    ),
    "failure-domain.beta.kubernetes.io/zone": (
        'deprecated since v1.17; use "topology.kubernetes.io/zone" instead'
    ),
    "beta.kubernetes.io/instance-type": (
        'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead'
    ),
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": (
        "deprecated since v1.22; use Taints and Tolerations instead"
    ),
    "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
}
OLD_ANNOTATIONS: Final = {
    "scheduler.alpha.kubernetes.io/critical-pod": (
        'non-functional in v1.16+; use the "priorityClassName" field instead'
    ),
    "security.alpha.kubernetes.io/sysctls": (
        'non-functional in v1.11+; use the "sysctls" field instead'
    ),
    "security.alpha.kubernetes.io/unsafe-sysctls": (
        'non-functional in v1.11+; use the "sysctls" field instead'
    ),
}
OLD_VOLUMES: Final = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
VOLUME_NAMES: Final = {"storageos": "storageOS"}
BYTES: Final = ("memory", "ephemeral-storage")
SECCOMP: Final = "seccomp.security.alpha.kubernetes.io/pod"
CONTAINER_SECCOMP: Final = "container.seccomp.security.alpha.kubernetes.io/"
USE_SECCOMP: Final = 'non-functional in v1.27+; use the "seccompProfile" field instead'
NO_MATCH: Final = "a null labelSelector results in matching no pod"


def name_warnings(name: str, use: str) -> list[str]:
    """Return the warning about a name that becomes part of host names and is no label."""
    messages = names.dns1123_label(name)
    if not messages:
        return []
    said = " ".join(messages)
    return [
        f"metadata.name: this is used in {use}, which can result in surprising behavior; "
        f"a DNS label is recommended: [{said}]"
    ]


def template_warnings(template: PodTemplateSpec, place: str) -> list[str]:
    """Return the warnings about a template; `place` ends with a dot."""
    return spec_warnings(template.spec, template.metadata, place)


def spec_warnings(spec: PodSpec, meta: ObjectMeta, place: str = "") -> list[str]:
    """Return the warnings about a pod."""
    there = f"{place}spec"
    annotations = meta.annotations or {}
    out = [
        f"{there}.nodeSelector[{key}]: {OLD_NODE_LABELS[key]}"
        for key in spec.nodeSelector or ()
        if key in OLD_NODE_LABELS
    ]
    if spec.affinity is not None:
        out += _of_node_affinity(spec.affinity, f"{there}.affinity.nodeAffinity")
    out += _of_spread(spec, there)
    out += [
        f"{place}metadata.annotations[{key}]: {told}"
        for key, told in OLD_ANNOTATIONS.items()
        if key in annotations
    ]
    for index, volume in enumerate(spec.volumes or ()):
        out += _of_volume(volume, f"{there}.volumes[{index}]")
    out += _of_repetitions(spec, there)
    out += _of_bytes(spec.overhead, f"{there}.overhead")
    context = spec.securityContext
    if SECCOMP in annotations and (context is None or context.seccompProfile is None):
        out.append(f"{place}metadata.annotations[{SECCOMP}]: {USE_SECCOMP}")
    for container, where in _containers(spec, there):
        out += _of_container(container, where, annotations, place)
    out += _of_ports(spec, there)
    grace = spec.terminationGracePeriodSeconds
    if grace is not None and grace < 0:
        out.append(
            f"{there}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid "
            "and will be treated as 1"
        )
    if spec.affinity is not None:
        out += _of_pod_affinity(spec.affinity, f"{there}.affinity")
    return out


def _containers(spec: PodSpec, there: str) -> Iterator[tuple[Container, str]]:
    for name in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(getattr(spec, name) or ()):
            yield container, f"{there}.{name}[{index}]"


def _of_node_affinity(affinity: Affinity, place: str) -> list[str]:
    wanted = affinity.nodeAffinity
    if wanted is None:
        return []
    out = []
    required = wanted.requiredDuringSchedulingIgnoredDuringExecution
    at = f"{place}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
    for index, term in enumerate(required.nodeSelectorTerms if required is not None else ()):
        out += _of_term(term, f"{at}[{index}]")
    at = f"{place}.preferredDuringSchedulingIgnoredDuringExecution"
    for index, weighted in enumerate(wanted.preferredDuringSchedulingIgnoredDuringExecution or ()):
        out += _of_term(weighted.preference, f"{at}[{index}].preference")
    return out


def _of_term(term: NodeSelectorTerm, place: str) -> list[str]:
    return [
        f"{place}.matchExpressions[{index}].key: {wish.key} is {OLD_NODE_LABELS[wish.key]}"
        for index, wish in enumerate(term.matchExpressions or ())
        if wish.key in OLD_NODE_LABELS
    ]


def _of_spread(spec: PodSpec, there: str) -> list[str]:
    out = []
    for index, spread in enumerate(spec.topologySpreadConstraints or ()):
        place, key = f"{there}.topologySpreadConstraints[{index}]", spread.topologyKey
        if key in OLD_NODE_LABELS:
            out.append(f"{place}.topologyKey: {key} is {OLD_NODE_LABELS[key]}")
        if spread.labelSelector is None:
            out.append(f"{place}.labelSelector: {NO_MATCH}")
    return out


def _of_volume(volume: Volume, place: str) -> list[str]:
    return [
        f"{place}.{VOLUME_NAMES.get(name, name)}: {told}"
        for name, told in OLD_VOLUMES.items()
        if getattr(volume, name) is not None
    ]


def _of_repetitions(spec: PodSpec, there: str) -> list[str]:
    out, ips, secrets = [], set(), set()
    for index, alias in enumerate(spec.hostAliases or ()):
        if alias.ip in ips:
            out.append(f"{there}.hostAliases[{index}].ip: duplicate ip {quote(alias.ip)}")
        ips.add(alias.ip)
    pulling = [secret.name or "" for secret in spec.imagePullSecrets or ()]
    place = f"{there}.imagePullSecrets"
    for index, name in enumerate(pulling):
        if name in secrets:
            out.append(f"{place}[{index}].name: duplicate name {quote(name)}")
        secrets.add(name)
    out += [
        f'{place}[{index}].name: invalid empty name ""'
        for index, name in enumerate(pulling)
        if not name
    ]
    return out


def _of_bytes(amounts: Mapping[str, str] | None, place: str) -> list[str]:
    return [
        f"{place}[{name}]: fractional byte value {quote(quantity.canonical(amounts[name]))} "
        "is invalid, must be an integer"
        for name in BYTES
        if amounts and name in amounts and quantity.to_milli(amounts[name]) % 1000
    ]


def _of_container(
    container: Container, place: str, annotations: Mapping[str, str], top: str
) -> list[str]:
    out, context = [], container.securityContext
    key = CONTAINER_SECCOMP + container.name
    if key in annotations and (context is None or context.seccompProfile is None):
        out.append(f"{top}metadata.annotations[{key}]: {USE_SECCOMP}")
    resources = container.resources
    if resources is not None:
        limits = _of_bytes(resources.limits, f"{place}.resources.limits")
        out += limits + _of_bytes(resources.requests, f"{place}.resources.requests")
    seen = set()
    for index, variable in enumerate(container.env or ()):
        name, value = variable.name, variable.value or ""
        mention = f"$({name})"
        # Adding to what was said before is fine; replacing it is not.
        adds = variable.valueFrom is None and mention in value and value != mention
        if name in seen and not adds:
            out.append(
                f"{place}.env[{index}]: hides previous definition of {quote(name)}, "
                "which may be dropped when using apply"
            )
        seen.add(name)
    return out


def _of_ports(spec: PodSpec, there: str) -> list[str]:
    out: list[str] = []
    seen: dict[tuple[int, str | None], list[tuple[ContainerPort, str]]] = {}
    for container, where in _containers(spec, there):
        for index, port in enumerate(container.ports or ()):
            place = f"{where}.ports[{index}]"
            if port.hostIP and not port.hostPort:
                out.append(f"{place}: hostIP set without hostPort: {_shown(port)}")
            others = seen.setdefault((port.containerPort, port.protocol), [])
            out += [
                f"{place}: {told} port definition with {at}"
                for other, at in others
                if (told := _conflict(port, other))
            ]
            others.append((port, place))
    return out


def _conflict(one: ContainerPort, other: ContainerPort) -> str:
    ips, ports = (one.hostIP or "", other.hostIP or ""), (one.hostPort or 0, other.hostPort or 0)
    if ips[0] == ips[1] and ports[0] == ports[1]:
        return "duplicate"
    if 0 in ports:
        return "overlapping"
    return "dangerously ambiguous" if ports[0] == ports[1] and "" in ips else ""


def _shown(port: ContainerPort) -> str:
    return (
        f"{{Name:{port.name or ''} HostPort:{port.hostPort or 0} "
        f"ContainerPort:{port.containerPort} Protocol:{port.protocol or ''} "
        f"HostIP:{port.hostIP or ''}}}"
    )


def _of_pod_affinity(affinity: Affinity, place: str) -> list[str]:
    out: list[str] = []
    for name in ("podAffinity", "podAntiAffinity"):
        wanted = getattr(affinity, name)
        if wanted is None:
            continue
        required = wanted.requiredDuringSchedulingIgnoredDuringExecution or ()
        at = f"{place}.{name}.requiredDuringSchedulingIgnoredDuringExecution"
        out += _without_selector((t.labelSelector for t in required), at, "")
        preferred = wanted.preferredDuringSchedulingIgnoredDuringExecution or ()
        at = f"{place}.{name}.preferredDuringSchedulingIgnoredDuringExecution"
        selectors = (weighted.podAffinityTerm.labelSelector for weighted in preferred)
        out += _without_selector(selectors, at, ".podAffinityTerm")
    return out


def _without_selector(selectors: Iterable[object], place: str, below: str) -> list[str]:
    return [
        f"{place}[{index}]{below}.labelSelector: {NO_MATCH}"
        for index, selector in enumerate(selectors)
        if selector is None
    ]
