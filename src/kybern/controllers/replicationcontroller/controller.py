"""The ReplicationController controller: that of ReplicaSets, for another kind.

In:   ReplicationControllers and pods.
Out:  pods created and deleted, adopted and released; their status; events.
By:   controllers.all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.core.v1 import ReplicationController
from kybern.controllers.replicaset.controller import ReplicaSetController, Variety
from kybern.controllers.replicationcontroller.plan import selector, status

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

REPLICATION_CONTROLLER = Variety("replicationcontroller", ReplicationController, selector, status)


class ReplicationControllerController(ReplicaSetController):
    """Keeps the pods of ReplicationControllers."""

    def __init__(self, ctx: Context) -> None:
        super().__init__(ctx, REPLICATION_CONTROLLER)
