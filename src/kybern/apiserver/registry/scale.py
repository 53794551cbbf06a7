"""Scale: how many replicas, seen and changed without knowing the kind.

In:   Deployments, ReplicaSets, StatefulSets, ReplicationControllers.
Out:  autoscaling/v1 Scale objects.
By:   registry.special.
"""

from __future__ import annotations

from typing import Any

from kybern.api import errors, selectors
from kybern.api.autoscaling.v1 import Scale, ScaleSpec, ScaleStatus
from kybern.api.field_path import Path, invalid
from kybern.api.meta.v1 import ObjectMeta
from kybern.api.scheme import SCHEME
from kybern.apiserver.registry.resource import View


class ScaleView(View):
    """Shows `spec.replicas` and `status.replicas`."""

    def __init__(self) -> None:
        kind = SCHEME.by_kind("autoscaling/v1", "Scale")
        assert kind is not None
        self.kind = kind

    def read(self, obj: Any) -> Scale:
        """Return the scale of an object."""
        meta = obj.metadata
        return Scale(
            metadata=ObjectMeta(
                name=meta.name,
                namespace=meta.namespace,
                uid=meta.uid,
                resourceVersion=meta.resourceVersion,
                creationTimestamp=meta.creationTimestamp,
            ),
            spec=ScaleSpec(replicas=obj.spec.replicas or 0),
            status=ScaleStatus(replicas=obj.status.replicas or 0, selector=_selector(obj)),
        )

    def write(self, obj: Any, shown: Scale) -> None:
        """Change how many replicas are wanted.

        Raises:
            Invalid: fewer than none.
        """
        replicas = shown.spec.replicas or 0
        if replicas < 0:
            problem = invalid(
                Path("spec") / "replicas", replicas, "must be greater than or equal to 0"
            )
            raise errors.Invalid.of(self.kind, obj.metadata.name or "", [problem])
        obj.spec.replicas = replicas


def _selector(obj: Any) -> str:
    selector = obj.spec.selector
    if isinstance(selector, dict) or selector is None:
        return str(selectors.from_map(selector)) if selector else ""
    return str(selectors.from_struct(selector))
