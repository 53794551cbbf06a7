"""Pods: what they must be when made, changed, reported on.

In:   a Pod; for updates also the old one, borrowed.
Out:  problems.
By:   `core.validation.all`; the pods' subresources (status, resize, ephemeralcontainers, binding).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api import codec, names
from kybern.api.core.pods import is_sidecar, qos_class
from kybern.api.core.validation.annotations import (
    check_pod_annotations,
    check_pod_annotations_update,
    check_profiles_match,
)
from kybern.api.core.validation.containers import check_image_spaces
from kybern.api.core.validation.placement import check_tolerations
from kybern.api.core.validation.pod_spec import INT32_MAX, check_pod_spec
from kybern.api.field_path import (
    Path,
    Problem,
    all_invalid,
    forbidden,
    immutable,
    invalid,
    not_supported,
    required,
)
from kybern.api.likeness import difference, same
from kybern.api.meta.validation import (
    METADATA,
    SPEC,
    STATUS,
    check_meta,
    check_meta_update,
)

if TYPE_CHECKING:
    from kybern.api.core.v1 import (
        Affinity,
        Binding,
        Container,
        NodeAffinity,
        NodeSelectorTerm,
        Pod,
        PodSpec,
        Toleration,
    )

UPDATABLE: Final = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
MIRROR: Final = "kubernetes.io/config.mirror"
ROOT: Final = Path("")


def validate_pod(pod: Pod) -> list[Problem]:
    """A pod about to be created."""
    out: list[Problem] = []
    _check_pod(pod, out)
    spec = pod.spec
    if spec.ephemeralContainers:
        out.append(forbidden(SPEC / "ephemeralContainers", "cannot be set on create"))
    if spec.nodeName and spec.schedulingGates:
        told = "cannot be set until all schedulingGates have been cleared"
        out.append(forbidden(SPEC / "nodeName", told))
    if pod.metadata.annotations:
        check_profiles_match(pod.metadata, spec, SPEC, out)
    return out


def _check_pod(pod: Pod, out: list[Problem]) -> None:
    """What a pod must be at any time."""
    meta, spec = pod.metadata, pod.spec
    check_meta(meta, out)
    if meta.annotations:
        check_pod_annotations(meta.annotations, spec, METADATA / "annotations", out)
    check_pod_spec(spec, meta, SPEC, out)
    if not spec.serviceAccountName and spec.volumes:
        _check_no_tokens(spec, out)
    for field in ("containers", "initContainers"):
        for index, container in enumerate(getattr(spec, field) or ()):
            image = container.image
            if image and (image[0].isspace() or image[-1].isspace()):
                check_image_spaces(container, (SPEC / field)[index], out)


def _check_no_tokens(spec: PodSpec, out: list[Problem]) -> None:
    for index, volume in enumerate(spec.volumes or ()):
        if volume.projected is None:
            continue
        for number, source in enumerate(volume.projected.sources or ()):
            if source.serviceAccountToken is not None:
                place = ((SPEC / "volumes")[index] / "projected" / "sources")[number]
                told = "must not be specified when serviceAccountName is not set"
                out.append(forbidden(place / "serviceAccountToken", told))


# --- update -------------------------------------------------------------------------------------


def validate_pod_update(new: Pod, old: Pod) -> list[Problem]:
    """A pod that replaces a pod: very little of its spec may change."""
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    _check_pod(new, out)
    place = METADATA / "annotations"
    check_pod_annotations_update(new.metadata.annotations, old.metadata.annotations, place, out)
    for field in ("containers", "initContainers"):
        if not _check_same_containers(new, old, field, out):
            return out
    if not _check_deadline(new.spec, old.spec, out):
        return out
    _check_only_added_tolerations(new.spec, old.spec, out)
    _check_only_deleted_gates(new.spec, old.spec, out)
    if not same(new.spec, old.spec):
        _check_spec_update(new.spec, old.spec, out)
    return out


def _check_same_containers(new: Pod, old: Pod, field: str, out: list[Problem]) -> bool:
    containers: list[Container] = getattr(new.spec, field) or []
    before: list[Container] = getattr(old.spec, field) or []
    if len(containers) != len(before):
        told = "pod updates may not add or remove containers"
        out.append(forbidden(SPEC / field, told))
        return False
    for index, container in enumerate(containers):
        if not container.image:
            out.append(required((SPEC / field)[index] / "image"))
        check_image_spaces(container, (SPEC / field)[index], out)
    return True


def _check_deadline(new: PodSpec, old: PodSpec, out: list[Problem]) -> bool:
    """A deadline may be set, and then only be made shorter."""
    place = SPEC / "activeDeadlineSeconds"
    after, before = new.activeDeadlineSeconds, old.activeDeadlineSeconds
    if after is None:
        if before is not None:
            told = "must not update from a positive integer to nil value"
            out.append(invalid(place, None, told))
        return True
    if not 0 <= after <= INT32_MAX:
        out.append(invalid(place, after, names.between(0, INT32_MAX)))
        return False
    if before is not None and before < after:
        out.append(invalid(place, after, "must be less than or equal to previous value"))
        return False
    return True


def _check_only_added_tolerations(new: PodSpec, old: PodSpec, out: list[Problem]) -> None:
    def key(toleration: Toleration) -> tuple[str, ...]:
        fields = ("key", "operator", "value", "effect")
        return tuple(getattr(toleration, field) or "" for field in fields)

    now = {key(each) for each in new.tolerations or ()}
    if any(key(each) not in now for each in old.tolerations or ()):
        told = "existing toleration can not be modified except its tolerationSeconds"
        out.append(forbidden(SPEC / "tolerations", told))
    elif new.tolerations:
        check_tolerations(new.tolerations, SPEC / "tolerations", out)


def _check_only_deleted_gates(new: PodSpec, old: PodSpec, out: list[Problem]) -> None:
    before = {gate.name for gate in old.schedulingGates or ()}
    for index, gate in enumerate(new.schedulingGates or ()):
        if gate.name not in before:
            told = f"only deletion is allowed, but found new scheduling gate '{gate.name}'"
            out.append(forbidden((SPEC / "schedulingGates")[index] / "name", told))


def _check_spec_update(new: PodSpec, old: PodSpec, out: list[Problem]) -> None:
    """Put back what may change; then nothing may differ."""
    spec = codec.clone(new)
    for field in ("containers", "initContainers"):
        pairs = zip(getattr(spec, field) or (), getattr(old, field) or (), strict=True)
        for container, before in pairs:
            container.image = before.image
    spec.activeDeadlineSeconds = old.activeDeadlineSeconds
    spec.schedulingGates = old.schedulingGates
    spec.tolerations = old.tolerations
    if (old.terminationGracePeriodSeconds or 0) < 0 and spec.terminationGracePeriodSeconds == 1:
        spec.terminationGracePeriodSeconds = old.terminationGracePeriodSeconds
    if old.schedulingGates:
        _check_gated(spec, old, out)
    if not same(spec, old):
        told = f"pod updates may not change fields other than {UPDATABLE}\n{difference(old, spec)}"
        out.append(forbidden(SPEC, told))


def _check_gated(spec: PodSpec, old: PodSpec, out: list[Problem]) -> None:
    """While a pod may not be scheduled yet, its node selection may be narrowed."""
    if not same(spec.nodeSelector, old.nodeSelector):
        now = spec.nodeSelector or {}
        if any(now.get(key) != value for key, value in (old.nodeSelector or {}).items()):
            told = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
            out.append(invalid(SPEC / "nodeSelector", now, told))
        spec.nodeSelector = old.nodeSelector
    before = old.affinity.nodeAffinity if old.affinity is not None else None
    after = spec.affinity.nodeAffinity if spec.affinity is not None else None
    if not same(before, after):
        _check_gated_affinity(after, before, out)
        spec.affinity = _with_node_affinity(spec.affinity, old.affinity, before)


def _with_node_affinity(
    now: Affinity | None, old: Affinity | None, node: NodeAffinity | None
) -> Affinity | None:
    from kybern.api.core.v1 import Affinity

    if now is None:
        return Affinity(nodeAffinity=node) if node is not None else None
    if old is None and now.podAffinity is None and now.podAntiAffinity is None:
        return None
    now.nodeAffinity = node
    return now


def _check_gated_affinity(
    new: NodeAffinity | None, old: NodeAffinity | None, out: list[Problem]
) -> None:
    before = _terms(old)
    after = _terms(new)
    place = SPEC / "affinity" / "nodeAffinity" / "requiredDuringSchedulingIgnoredDuringExecution"
    place /= "nodeSelectorTerms"
    if not before:
        return
    if len(before) != len(after):
        told = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        out.append(invalid(place, after, told))
        return
    for index, (then, now) in enumerate(zip(before, after, strict=True)):
        if not _only_adds(now, then):
            told = "only additions are allowed (no mutations or deletions)"
            out.append(invalid(place[index], now, told))


def _terms(affinity: NodeAffinity | None) -> list[NodeSelectorTerm]:
    wanted = affinity and affinity.requiredDuringSchedulingIgnoredDuringExecution
    return wanted.nodeSelectorTerms if wanted else []


def _only_adds(new: NodeSelectorTerm, old: NodeSelectorTerm) -> bool:
    """Terms hold when all their parts do, so that more of them select fewer nodes."""
    if not old.matchExpressions and not old.matchFields:
        return not new.matchExpressions and not new.matchFields
    for field in ("matchExpressions", "matchFields"):
        before = getattr(old, field) or []
        after = getattr(new, field) or []
        if not same(after[: len(before)], before):
            return False
    return True


# --- status -------------------------------------------------------------------------------------


def validate_pod_status_update(new: Pod, old: Pod) -> list[Problem]:
    """A new status of a pod."""
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    place = METADATA / "annotations"
    check_pod_annotations_update(new.metadata.annotations, old.metadata.annotations, place, out)
    if new.metadata.annotations:
        check_pod_annotations(new.metadata.annotations, new.spec, place, out)
    for index, condition in enumerate(new.status.conditions or ()):
        if messages := names.qualified_name(condition.type):
            where = (METADATA / "conditions")[index] / "Type"
            out += all_invalid(where, condition.type, messages)
    if (new.spec.nodeName or "") != (old.spec.nodeName or ""):
        out.append(forbidden(STATUS / "nodeName", "may not be changed directly"))
    nominated = new.status.nominatedNodeName
    if nominated and (messages := names.dns1123_subdomain(nominated)):
        out += all_invalid(STATUS / "nominatedNodeName", nominated, messages)
    if (new.status.qosClass or "") != (old.status.qosClass or ""):
        out.append(immutable(STATUS / "qosClass", new.status.qosClass or ""))
    _check_transitions(new, old, out)
    _check_ips(new, out)
    return out


def _check_transitions(new: Pod, old: Pod, out: list[Problem]) -> None:
    """A container that has ended for good does not run again."""
    policy = old.spec.restartPolicy or "Always"
    own = {c.name for c in old.spec.containers if c.restartPolicy or c.restartPolicyRules}
    again = {c.name for c in old.spec.initContainers or () if is_sidecar(c)}
    for field, rule, exempt in (
        ("containerStatuses", policy, own),
        ("initContainerStatuses", policy, again),
        ("ephemeralContainerStatuses", "Never", set()),
    ):
        if rule == "Always":
            continue
        running = {
            status.name
            for status in getattr(new.status, field) or ()
            if status.state is None or status.state.terminated is None
        }
        for index, status in enumerate(getattr(old.status, field) or ()):
            ended = status.state.terminated if status.state is not None else None
            if ended is None or (ended.exitCode and rule == "OnFailure"):
                continue
            if status.name in running and status.name not in exempt:
                told = "may not be transitioned to non-terminated state"
                out.append(forbidden((STATUS / field)[index] / "state", told))


def _check_ips(pod: Pod, out: list[Problem]) -> None:
    status = pod.status
    if status.podIPs:
        _check_addresses([each.ip for each in status.podIPs], "podIPs", out)
    if status.hostIPs:
        first = status.hostIPs[0].ip
        if status.hostIP != first:
            place = (STATUS / "hostIPs")[0] / "ip"
            out.append(invalid(place, first, "must be equal to `hostIP`"))
        _check_addresses([each.ip for each in status.hostIPs], "hostIPs", out)


def _check_addresses(texts: list[str], field: str, out: list[Problem]) -> None:
    from kybern.api.addresses import check_ip, is_dual_stack

    for index, text in enumerate(texts):
        check_ip(text, (STATUS / field)[index], out)
    if len(texts) > 1 and (len(texts) > 2 or not is_dual_stack(texts)):
        told = "may specify no more than one IP for each IP family"
        out.append(invalid(STATUS / field, [{"IP": text} for text in texts], told))


# --- subresources -------------------------------------------------------------------------------


def validate_binding(binding: Binding) -> list[Problem]:
    """The choice of a node for a pod."""
    out: list[Problem] = []
    target = binding.target
    if target.kind and target.kind != "Node":
        out.append(not_supported(Path("target") / "kind", target.kind, ("Node", "<empty>")))
    if not target.name:
        out.append(required(Path("target") / "name"))
    return out


def validate_ephemeral_containers_update(new: Pod, old: Pod) -> list[Problem]:
    """Ephemeral containers may be added, never changed or removed."""
    if MIRROR in (old.metadata.annotations or {}):
        return [forbidden(ROOT, "static pods do not support ephemeral containers")]
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    _check_pod(new, out)
    place = SPEC / "ephemeralContainers"
    now = {each.name: each for each in new.spec.ephemeralContainers or ()}
    for before in old.spec.ephemeralContainers or ():
        after = now.get(before.name)
        subject = f'existing ephemeral containers "{before.name}" may not be'
        if after is None:
            out.append(forbidden(place, f"{subject} removed\n"))
        elif not same(after, before):
            out.append(forbidden(place, f"{subject} changed\n{difference(before, after)}"))
    return out


def validate_resize(new: Pod, old: Pod) -> list[Problem]:
    """More or less CPU and memory for the containers of a running pod, and nothing else."""
    if MIRROR in (old.metadata.annotations or {}):
        return [forbidden(ROOT, "static pods cannot be resized")]
    if old.spec.os is not None and old.spec.os.name == "windows":
        return [forbidden(ROOT, "windows pods cannot be resized")]
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    _check_pod(new, out)
    if (old.status.qosClass or qos_class(old.spec)) != qos_class(new.spec):
        told = "Pod QOS Class may not change as a result of resizing"
        out.append(invalid(SPEC, new.status.qosClass or "", told))
    for field in ("initContainers", "containers"):
        _check_same_names(new, old, field, out)
    if out:
        return out
    spec = codec.clone(new.spec)
    for field in ("initContainers", "containers"):
        pairs = zip(getattr(spec, field) or (), getattr(old.spec, field) or (), strict=True)
        for index, (container, before) in enumerate(pairs):
            _check_container_resize(container, before, (SPEC / field)[index], field, out)
    if not out and not same(spec, old.spec):
        out.append(forbidden(SPEC, "only cpu and memory resources are mutable"))
    return out


def _check_same_names(new: Pod, old: Pod, field: str, out: list[Problem]) -> None:
    containers: list[Container] = getattr(new.spec, field) or []
    before: list[Container] = getattr(old.spec, field) or []
    if len(containers) != len(before):
        out.append(forbidden(SPEC / field, f"{field} may not be added or removed on resize"))
        return
    for index, (one, other) in enumerate(zip(containers, before, strict=True)):
        if one.name != other.name:
            told = f"{field} may not be renamed or reordered on resize"
            out.append(forbidden((SPEC / field)[index] / "name", told))


def _check_container_resize(
    container: Container, before: Container, path: Path, field: str, out: list[Problem]
) -> None:
    """Check one container, then give it back what it may change."""
    sidecar = is_sidecar(before)
    if field == "initContainers" and not sidecar:
        if not same(container, before):
            told = "resources for non-sidecar init containers are immutable"
            out.append(forbidden(SPEC, told))
        return
    for kind in ("requests", "limits"):
        now: dict[str, str] = _resources(container, kind)
        then: dict[str, str] = _resources(before, kind)
        if then.keys() - now.keys():
            place = path / "resources" / kind
            out.append(forbidden(place, f"resource {kind} cannot be removed"))
        for name in ("cpu", "memory"):
            now.pop(name, None)
            if name in then:
                now[name] = then[name]
    container.resizePolicy = before.resizePolicy
    if not same(container, before):
        noun = "resources for sidecar containers" if sidecar else "resources"
        out.append(forbidden(SPEC, f"only cpu and memory {noun} are mutable"))


def _resources(container: Container, kind: str) -> dict[str, str]:
    found: Any = getattr(container.resources, kind) if container.resources is not None else None
    return found if found is not None else {}
