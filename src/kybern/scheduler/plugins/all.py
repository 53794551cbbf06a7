"""Every scheduling plugin, in the order in which pods meet them.

In:   nothing.
Out:  `FILTERS`, and `SCORERS` with their weights: upstream's default profile.
By:   profile.

A node is turned down by the first filter that says no, and only that filter's reason is shown; so
the order is part of what users read. Cheap and decisive ones come first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.scheduler.plugins.image_locality import ImageLocality
from kybern.scheduler.plugins.inter_pod_affinity import InterPodAffinity, PreferredPodAffinity
from kybern.scheduler.plugins.node_affinity import NodeAffinity, PreferredNodeAffinity
from kybern.scheduler.plugins.node_name import NodeName
from kybern.scheduler.plugins.node_ports import NodePorts
from kybern.scheduler.plugins.node_resources_balanced_allocation import (
    NodeResourcesBalancedAllocation,
)
from kybern.scheduler.plugins.node_resources_fit import LeastAllocated, NodeResourcesFit
from kybern.scheduler.plugins.node_unschedulable import NodeUnschedulable
from kybern.scheduler.plugins.node_volume_limits import NodeVolumeLimits
from kybern.scheduler.plugins.pod_topology_spread import PodTopologySpread, PreferredSpread
from kybern.scheduler.plugins.taint_toleration import TaintToleration
from kybern.scheduler.plugins.volume_binding import VolumeBinding
from kybern.scheduler.plugins.volume_restrictions import VolumeRestrictions

if TYPE_CHECKING:
    from kybern.scheduler.framework import Filter, Scorer

FILTERS: Final[tuple[type[Filter], ...]] = (
    NodeUnschedulable,
    NodeName,
    TaintToleration,
    NodeAffinity,
    NodePorts,
    NodeResourcesFit,
    VolumeRestrictions,
    NodeVolumeLimits,
    VolumeBinding,
    PodTopologySpread,
    InterPodAffinity,
)

SCORERS: Final[tuple[tuple[type[Scorer], int], ...]] = (
    (TaintToleration, 3),
    (PreferredNodeAffinity, 2),
    (PreferredSpread, 2),
    (PreferredPodAffinity, 2),
    (LeastAllocated, 1),
    (NodeResourcesBalancedAllocation, 1),
    (ImageLocality, 1),
)
