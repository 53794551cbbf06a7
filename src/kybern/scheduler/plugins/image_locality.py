"""ImageLocality: a node that has the images already starts the pod sooner.

In:   the images of a pod's containers; the images nodes report.
Out:  a score per node, by the size of what need not be pulled.
By:   cycle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kybern.scheduler.framework import MAX_SCORE

if TYPE_CHECKING:
    from kybern.scheduler.columns import Nodes
    from kybern.scheduler.framework import Bools, Ints, Rows
    from kybern.scheduler.pod_info import PodInfo

LEAST: Final = 23 * 1024 * 1024  # so little is not worth a preference
MOST: Final = 1000 * 1024 * 1024  # per container: more makes no difference


class ImageLocality:
    """Prefers nodes that need to pull less."""

    name = "ImageLocality"
    looks_at_pods = False
    relative = False

    def prepare(self, pod: PodInfo, nodes: Nodes) -> Any:
        """Skip pods whose images are nowhere."""
        spec = pod.pod.spec
        containers = [*spec.containers, *(spec.initContainers or ())]
        found = [
            rows
            for container in containers
            if (rows := nodes.images.get(full_name(container.image or "")))
        ]
        return (found, len(containers)) if found else None

    def score(self, state: Any, nodes: Nodes, rows: Rows) -> Ints:
        """Add up what is there; an image that few nodes have counts less, lest they drown."""
        found, containers = state
        sums: Ints = np.zeros(nodes.size, np.int64)
        for sizes in found:
            spread = len(sizes) / max(1, nodes.count)
            for row, size in sizes.items():
                sums[row] += int(size * spread)
        most = MOST * containers
        beyond: Ints = np.clip(sums[rows], LEAST, most) - LEAST
        beyond *= MAX_SCORE
        beyond //= most - LEAST
        return beyond

    def normalise(self, state: Any, nodes: Nodes, raw: Ints, fits: Bools) -> Ints:
        """Return raw scores as they are."""
        return raw


def full_name(image: str) -> str:
    """Return the name with the tag that is meant when none is given."""
    if image.rfind(":") <= image.rfind("/"):
        return image + ":latest"
    return image
