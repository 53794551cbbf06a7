"""What workloads must be.

In:   an object; for updates also the old one.
Out:  problems; the table `VALIDATORS`.
By:   `api.validation`. Facts: upstream's `pkg/apis/apps/validation/validation.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api import codec, names, selectors
from kybern.api.core.validation.replicas import check_collisions, check_replica_counts
from kybern.api.core.validation.templates import (
    check_runs_always,
    check_selected,
    check_selector_matches,
    check_template,
)
from kybern.api.decimals import natural
from kybern.api.field_path import (
    Path,
    Problem,
    all_invalid,
    forbidden,
    invalid,
    not_supported,
    required,
)
from kybern.api.likeness import same
from kybern.api.meta.validation import (
    SPEC,
    STATUS,
    check_all_not_negative,
    check_immutable,
    check_meta_update,
    check_not_negative,
    check_selector,
    is_empty_selector,
)
from kybern.api.rules import Rules, rules

if TYPE_CHECKING:
    from kybern.api.apps.v1 import (
        ControllerRevision,
        DaemonSet,
        DaemonSetUpdateStrategy,
        Deployment,
        DeploymentStrategy,
        ReplicaSet,
        RollingUpdateDaemonSet,
        RollingUpdateDeployment,
        StatefulSet,
        StatefulSetSpec,
    )
    from kybern.api.meta.v1 import LabelSelector


def check_workload_selector(
    selector: LabelSelector, path: Path, out: list[Problem]
) -> selectors.Selector | None:
    """A selector which must say something; None when it makes no sense.

    An empty one cannot be told from an absent one here, and absent is what people send.
    """
    if is_empty_selector(selector):
        out.append(required(path))
        return selectors.NOTHING
    check_selector(selector, path, out)
    try:
        return selectors.from_struct(selector)
    except selectors.SelectorError:
        out.append(invalid(path, selector, "invalid label selector"))
        return None


def check_int_or_percent(value: int | str | None, path: Path, out: list[Problem]) -> None:
    """A number that is not negative, or a percentage."""
    if isinstance(value, str):
        if messages := names.percent(value):
            out += all_invalid(path, value, messages)
    elif value is not None and value < 0:
        out.append(invalid(path, value, "must be greater than or equal to 0"))


def _number(value: int | str | None) -> int:
    """The number, or that before the percent sign; 0 for what is neither."""
    if isinstance(value, str):
        return (natural(value.removesuffix("%")) or 0) if value.endswith("%") else 0
    return value or 0


def check_at_most_all(value: int | str | None, path: Path, out: list[Problem]) -> None:
    """Not more than all of them."""
    if isinstance(value, str) and not names.percent(value) and _number(value) > 100:
        out.append(invalid(path, value, "must not be greater than 100%"))


# --- deployments --------------------------------------------------------------------------------


def check_deployment(obj: Deployment, out: list[Problem]) -> None:
    """So many pods of a template, replaced step by step when it changes."""
    spec = obj.spec
    check_not_negative(spec.replicas, SPEC, "replicas", out)
    selector = check_workload_selector(spec.selector, SPEC / "selector", out)
    if selector is not None:
        check_selected(spec.template, selector, "ReplicaSet", SPEC / "template", out)
    if spec.strategy is not None:
        _check_strategy(spec.strategy, SPEC / "strategy", out)
    check_all_not_negative(spec, SPEC, ("minReadySeconds", "revisionHistoryLimit"), out)
    deadline, ready = spec.progressDeadlineSeconds, spec.minReadySeconds or 0
    if deadline is not None:
        check_not_negative(deadline, SPEC, "progressDeadlineSeconds", out)
        if deadline <= ready:
            told = "must be greater than minReadySeconds"
            out.append(invalid(SPEC / "progressDeadlineSeconds", deadline, told))


def _check_strategy(strategy: DeploymentStrategy, path: Path, out: list[Problem]) -> None:
    place = path / "rollingUpdate"
    if strategy.type == "Recreate":
        if strategy.rollingUpdate is not None:
            told = "may not be specified when strategy `type` is 'Recreate'"
            out.append(forbidden(place, told))
    elif strategy.type == "RollingUpdate":
        if strategy.rollingUpdate is None:
            out.append(required(place, "this should be defaulted and never be nil"))
        else:
            _check_rolling(strategy.rollingUpdate, place, out)
    else:
        out.append(not_supported(path, strategy, ("Recreate", "RollingUpdate")))


def _check_rolling(rolling: RollingUpdateDeployment, path: Path, out: list[Problem]) -> None:
    check_int_or_percent(rolling.maxUnavailable, path / "maxUnavailable", out)
    check_int_or_percent(rolling.maxSurge, path / "maxSurge", out)
    if not _number(rolling.maxUnavailable) and not _number(rolling.maxSurge):
        told = "may not be 0 when `maxSurge` is 0"
        out.append(invalid(path / "maxUnavailable", rolling.maxUnavailable, told))
    check_at_most_all(rolling.maxUnavailable, path / "maxUnavailable", out)


def check_selector_change(new: Any, old: Any, out: list[Problem]) -> None:
    """Another selector would let go of pods which nobody else looks after."""
    check_immutable(new.spec.selector, old.spec.selector, SPEC / "selector", out)


def validate_deployment_status_update(new: Deployment, old: Deployment) -> list[Problem]:
    """New counts."""
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    parts = ("updatedReplicas", "readyReplicas", "availableReplicas")
    check_replica_counts(new.status, out, parts)
    check_not_negative(new.status.unavailableReplicas, STATUS, "unavailableReplicas", out)
    check_collisions(new, old, out)
    return out


# --- replica sets -------------------------------------------------------------------------------


def check_replica_set(obj: ReplicaSet, out: list[Problem]) -> None:
    """So many pods of a template."""
    spec = obj.spec
    check_all_not_negative(spec, SPEC, ("replicas", "minReadySeconds"), out)
    selector = check_workload_selector(spec.selector, SPEC / "selector", out)
    if selector is not None:
        check_selected(spec.template, selector, "ReplicaSet", SPEC / "template", out)


def validate_replica_set_status_update(new: ReplicaSet, old: ReplicaSet) -> list[Problem]:
    """New counts."""
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    check_replica_counts(new.status, out)
    return out


# --- daemon sets --------------------------------------------------------------------------------


def check_daemon_set(obj: DaemonSet, out: list[Problem]) -> None:
    """A pod of a template on every node."""
    spec = obj.spec
    place = SPEC / "template"
    selector = check_workload_selector(spec.selector, SPEC / "selector", out)
    if selector is not None:
        check_selector_matches(spec.template, selector, place, out)
    check_template(spec.template, place, out)
    check_runs_always(spec.template, "DaemonSet", place, out)
    check_not_negative(spec.minReadySeconds, SPEC, "minReadySeconds", out)
    if spec.updateStrategy is not None:
        _check_daemon_strategy(spec.updateStrategy, SPEC / "updateStrategy", out)
    check_not_negative(spec.revisionHistoryLimit, SPEC, "revisionHistoryLimit", out)


def _check_daemon_strategy(
    strategy: DaemonSetUpdateStrategy, path: Path, out: list[Problem]
) -> None:
    if strategy.type == "OnDelete":
        return
    if strategy.type != "RollingUpdate":
        out.append(not_supported(path, strategy, ("RollingUpdate", "OnDelete")))
    elif strategy.rollingUpdate is None:
        out.append(required(path / "rollingUpdate"))
    else:
        _check_daemon_rolling(strategy.rollingUpdate, path / "rollingUpdate", out)


def _check_daemon_rolling(rolling: RollingUpdateDaemonSet, path: Path, out: list[Problem]) -> None:
    for field in ("maxUnavailable", "maxSurge"):
        check_int_or_percent(getattr(rolling, field), path / field, out)
        check_at_most_all(getattr(rolling, field), path / field, out)
    down, up = _number(rolling.maxUnavailable), _number(rolling.maxSurge)
    if down and up:
        told = "may not be set when maxUnavailable is non-zero"
        out.append(invalid(path / "maxSurge", rolling.maxSurge, told))
    elif not down and not up:
        told = "cannot be 0 when maxSurge is 0"
        out.append(required(path / "maxUnavailable", told))


_DAEMON_COUNTS: Final = (
    "currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady",
    "observedGeneration", "updatedNumberScheduled", "numberAvailable", "numberUnavailable",
)  # fmt: skip


def validate_daemon_set_status_update(new: DaemonSet, old: DaemonSet) -> list[Problem]:
    """New counts."""
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    check_all_not_negative(new.status, STATUS, _DAEMON_COUNTS, out)
    check_collisions(new, old, out)
    return out


# --- stateful sets ------------------------------------------------------------------------------

POD_MANAGEMENT: Final = ("OrderedReady", "Parallel")
RETENTION: Final = ("Delete", "Retain")
CHANGEABLE: Final = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
)  # fmt: skip


def check_stateful_set(obj: StatefulSet, out: list[Problem]) -> None:
    """Numbered pods of a template, each with its own claims."""
    spec = obj.spec
    place = SPEC / "podManagementPolicy"
    if not spec.podManagementPolicy:
        out.append(required(place))
    elif spec.podManagementPolicy not in POD_MANAGEMENT:
        told = "must be 'OrderedReady' or 'Parallel'"
        out.append(invalid(place, spec.podManagementPolicy, told))
    _check_stateful_update(spec, SPEC / "updateStrategy", out)
    _check_retention(spec, SPEC / "persistentVolumeClaimRetentionPolicy", out)
    check_all_not_negative(spec, SPEC, ("replicas", "minReadySeconds", "revisionHistoryLimit"), out)
    if spec.ordinals is not None:
        check_not_negative(spec.ordinals.start, SPEC / "ordinals", "start", out)
    selector = check_workload_selector(spec.selector, SPEC / "selector", out)
    place = SPEC / "template"
    if selector is not None:
        check_selector_matches(spec.template, selector, place, out)
    check_template(_with_claims(spec), place, out)
    check_runs_always(spec.template, "StatefulSet", place, out)


def _with_claims(spec: StatefulSetSpec) -> Any:
    """The template with a volume for each claim, as its pods will have."""
    if not spec.volumeClaimTemplates:
        return spec.template
    from kybern.api.core.v1 import PersistentVolumeClaimVolumeSource, Volume

    template = codec.clone(spec.template)
    claimed = [claim.metadata.name or "" for claim in spec.volumeClaimTemplates]
    kept = [each for each in template.spec.volumes or () if each.name not in claimed]
    template.spec.volumes = kept + [
        Volume(name=name, persistentVolumeClaim=PersistentVolumeClaimVolumeSource(claimName=name))
        for name in claimed
    ]
    return template


def _check_stateful_update(spec: StatefulSetSpec, path: Path, out: list[Problem]) -> None:
    strategy = spec.updateStrategy
    rolling = strategy.rollingUpdate if strategy is not None else None
    if strategy is None or not strategy.type:
        out.append(required(path))
    elif strategy.type == "OnDelete":
        if rolling is not None:
            told = "only allowed for updateStrategy 'RollingUpdate'"
            out.append(invalid(path / "rollingUpdate", rolling, told))
    elif strategy.type == "RollingUpdate":
        if rolling is not None:
            place = path / "rollingUpdate"
            check_not_negative(rolling.partition, place, "partition", out)
            if rolling.maxUnavailable is not None:
                where = place / "maxUnavailable"
                check_int_or_percent(rolling.maxUnavailable, where, out)
                if not _number(rolling.maxUnavailable):
                    out.append(invalid(where, rolling.maxUnavailable, "cannot be 0"))
                check_at_most_all(rolling.maxUnavailable, where, out)
    else:
        told = "must be 'RollingUpdate' or 'OnDelete'"
        out.append(invalid(path, strategy, told))


def _check_retention(spec: StatefulSetSpec, path: Path, out: list[Problem]) -> None:
    policy = spec.persistentVolumeClaimRetentionPolicy
    if policy is None:
        return
    for field in ("whenDeleted", "whenScaled"):
        value = getattr(policy, field)
        if value not in RETENTION:
            out.append(not_supported(path / field, value or "", RETENTION))


def check_stateful_set_change(new: StatefulSet, old: StatefulSet, out: list[Problem]) -> None:
    """What its pods were made from may change only in parts."""
    rest = (field for field in new.spec.__struct_fields__ if field not in CHANGEABLE)
    if all(same(getattr(new.spec, field), getattr(old.spec, field)) for field in rest):
        return
    listed = ", ".join(f"'{field}'" for field in CHANGEABLE[:-1]) + f" and '{CHANGEABLE[-1]}'"
    told = f"updates to statefulset spec for fields other than {listed} are forbidden"
    out.append(forbidden(SPEC, told))


def validate_stateful_set_status_update(new: StatefulSet, old: StatefulSet) -> list[Problem]:
    """New counts."""
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    parts = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
    check_replica_counts(new.status, out, parts)
    check_collisions(new, old, out)
    return out


# --- controller revisions -----------------------------------------------------------------------


def check_revision(obj: ControllerRevision, out: list[Problem]) -> None:
    """A kept state of a workload."""
    if obj.data is None:
        out.append(required(Path("data"), "data is mandatory"))
    if obj.revision < 0:
        told = "must be greater than or equal to 0"
        out.append(invalid(Path("revision"), obj.revision, told))


def check_revision_change(
    new: ControllerRevision, old: ControllerRevision, out: list[Problem]
) -> None:
    """History is not rewritten."""
    check_immutable(new.data, old.data, Path("data"), out)


VALIDATORS: Final[dict[str, Rules]] = {
    "ControllerRevision": rules(check_revision, change=check_revision_change),
    "DaemonSet": rules(
        check_daemon_set,
        change=check_selector_change,
        status=validate_daemon_set_status_update,
    ),
    "Deployment": rules(
        check_deployment,
        change=check_selector_change,
        status=validate_deployment_status_update,
    ),
    "ReplicaSet": rules(
        check_replica_set,
        change=check_selector_change,
        status=validate_replica_set_status_update,
    ),
    "StatefulSet": rules(
        check_stateful_set,
        name=names.dns1123_label,
        change=check_stateful_set_change,
        status=validate_stateful_set_status_update,
    ),
}
