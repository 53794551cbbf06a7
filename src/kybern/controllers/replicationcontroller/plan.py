"""In which ways a ReplicationController is not a ReplicaSet.

In:   a ReplicationController, a ReplicaSet's status.
Out:  its selector, its status.
By:   replicationcontroller.controller. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import selectors
from kybern.api.core.v1 import ReplicationControllerCondition, ReplicationControllerStatus

if TYPE_CHECKING:
    from kybern.api.apps.v1 import ReplicaSetStatus
    from kybern.api.core.v1 import ReplicationController


def selector(controller: ReplicationController) -> selectors.Selector:
    """Return what it selects; nothing when it does not say."""
    chosen = controller.spec.selector
    return selectors.from_map(chosen) if chosen else selectors.NOTHING


def status(found: ReplicaSetStatus) -> ReplicationControllerStatus:
    """Return a status in its older form, which does not count pods on their way out."""
    conditions = [
        ReplicationControllerCondition(
            type=one.type,
            status=one.status,
            lastTransitionTime=one.lastTransitionTime,
            reason=one.reason,
            message=one.message,
        )
        for one in found.conditions or ()
    ]
    return ReplicationControllerStatus(
        replicas=found.replicas,
        fullyLabeledReplicas=found.fullyLabeledReplicas,
        readyReplicas=found.readyReplicas,
        availableReplicas=found.availableReplicas,
        observedGeneration=found.observedGeneration,
        conditions=conditions or None,
    )
