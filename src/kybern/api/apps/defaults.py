"""What the workload kinds get that their author did not say.

In:   an object as decoded.
Out:  the same object with defaults filled in, in place.
By:   `api.defaults`. Facts: upstream's `pkg/apis/apps/v1/defaults.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api.apps import v1
from kybern.api.core.defaults import default_persistent_volume_claim
from kybern.api.core.pod_defaults import default_template
from kybern.api.core.v1 import PodTemplateSpec

if TYPE_CHECKING:
    from collections.abc import Callable

HISTORY: Final = 10
DEADLINE_SECONDS: Final = 600
QUARTER: Final = "25%"


def default_deployment(obj: v1.Deployment) -> None:
    """One replica, rolling update by a quarter, ten old ReplicaSets, ten minutes to progress."""
    spec = obj.spec
    default_template(spec.template)
    if spec.replicas is None:
        spec.replicas = 1
    if spec.strategy is None:
        spec.strategy = v1.DeploymentStrategy()
    strategy = spec.strategy
    strategy.type = strategy.type or "RollingUpdate"
    if strategy.type == "RollingUpdate":
        if strategy.rollingUpdate is None:
            strategy.rollingUpdate = v1.RollingUpdateDeployment()
        if strategy.rollingUpdate.maxUnavailable is None:
            strategy.rollingUpdate.maxUnavailable = QUARTER
        if strategy.rollingUpdate.maxSurge is None:
            strategy.rollingUpdate.maxSurge = QUARTER
    if spec.revisionHistoryLimit is None:
        spec.revisionHistoryLimit = HISTORY
    if spec.progressDeadlineSeconds is None:
        spec.progressDeadlineSeconds = DEADLINE_SECONDS


def default_replica_set(obj: v1.ReplicaSet) -> None:
    """One replica."""
    if obj.spec.template is None:
        obj.spec.template = PodTemplateSpec()
    default_template(obj.spec.template)
    if obj.spec.replicas is None:
        obj.spec.replicas = 1


def default_daemon_set(obj: v1.DaemonSet) -> None:
    """Rolling update, one node at a time."""
    spec = obj.spec
    default_template(spec.template)
    if spec.updateStrategy is None:
        spec.updateStrategy = v1.DaemonSetUpdateStrategy()
    strategy = spec.updateStrategy
    strategy.type = strategy.type or "RollingUpdate"
    if strategy.type == "RollingUpdate":
        if strategy.rollingUpdate is None:
            strategy.rollingUpdate = v1.RollingUpdateDaemonSet()
        if strategy.rollingUpdate.maxUnavailable is None:
            strategy.rollingUpdate.maxUnavailable = 1
        if strategy.rollingUpdate.maxSurge is None:
            strategy.rollingUpdate.maxSurge = 0
    if spec.revisionHistoryLimit is None:
        spec.revisionHistoryLimit = HISTORY


def default_stateful_set(obj: v1.StatefulSet) -> None:
    """One replica, in order, rolling update of all, claims are kept."""
    spec = obj.spec
    default_template(spec.template)
    for claim in spec.volumeClaimTemplates or ():
        default_persistent_volume_claim(claim)
    spec.podManagementPolicy = spec.podManagementPolicy or "OrderedReady"
    _default_stateful_update(spec)
    if spec.persistentVolumeClaimRetentionPolicy is None:
        retention = v1.StatefulSetPersistentVolumeClaimRetentionPolicy()
        spec.persistentVolumeClaimRetentionPolicy = retention
    retention = spec.persistentVolumeClaimRetentionPolicy
    retention.whenDeleted = retention.whenDeleted or "Retain"
    retention.whenScaled = retention.whenScaled or "Retain"
    if spec.replicas is None:
        spec.replicas = 1
    if spec.revisionHistoryLimit is None:
        spec.revisionHistoryLimit = HISTORY


def _default_stateful_update(spec: v1.StatefulSetSpec) -> None:
    if spec.updateStrategy is None:
        spec.updateStrategy = v1.StatefulSetUpdateStrategy()
    strategy = spec.updateStrategy
    if not strategy.type:
        strategy.type = "RollingUpdate"
        if strategy.rollingUpdate is None:
            strategy.rollingUpdate = v1.RollingUpdateStatefulSetStrategy()
    rolling = strategy.rollingUpdate
    if strategy.type == "RollingUpdate" and rolling is not None and rolling.partition is None:
        rolling.partition = 0


DEFAULTERS: Final[dict[str, Callable[[Any], None]]] = {
    "DaemonSet": default_daemon_set,
    "Deployment": default_deployment,
    "ReplicaSet": default_replica_set,
    "StatefulSet": default_stateful_set,
}
