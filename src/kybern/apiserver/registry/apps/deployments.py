"""Deployments: their annotations are part of what is wanted, for their ReplicaSets get them too.

In:   Deployments to be changed.
Out:  a generation that counts changes of annotations.
By:   registry.special.
"""

from __future__ import annotations

from typing import Any

from kybern.apiserver.registry.strategy import Strategy


class DeploymentStrategy(Strategy):
    """Deployments."""

    def count_generation(self, obj: Any, old: Any) -> None:
        """Add one to the generation when the spec or an annotation changed."""
        super().count_generation(obj, old)
        same = obj.metadata.generation == old.metadata.generation
        if same and (obj.metadata.annotations or {}) != (old.metadata.annotations or {}):
            obj.metadata.generation = (old.metadata.generation or 0) + 1
