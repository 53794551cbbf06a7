"""The `scale` of a custom kind: replicas where its definition says they are.

In:   `subresources.scale` of a version.
Out:  autoscaling/v1 Scale objects.
By:   custom.resource.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import errors
from kybern.api.autoscaling.v1 import Scale, ScaleSpec, ScaleStatus
from kybern.api.custom import json_path
from kybern.api.field_path import Path, invalid
from kybern.api.meta.v1 import ObjectMeta
from kybern.api.scheme import SCHEME
from kybern.apiserver.registry.resource import View

if TYPE_CHECKING:
    from kybern.api.apiextensions.v1 import CustomResourceSubresourceScale


class CustomScaleView(View):
    """Shows and changes the number at a path."""

    def __init__(self, paths: CustomResourceSubresourceScale) -> None:
        kind = SCHEME.by_kind("autoscaling/v1", "Scale")
        assert kind is not None
        self.kind = kind
        self._paths = paths

    def read(self, obj: Any) -> Scale:
        """Return the scale of an object.

        Raises:
            InternalError: it does not say how many are wanted.
        """
        meta, paths = obj.metadata, self._paths
        replicas = _number(paths.specReplicasPath, obj.content)
        if replicas is None:
            path = paths.specReplicasPath
            raise errors.InternalError.of(f"the spec replicas field {path!r} does not exist")
        selector = (
            json_path.find(paths.labelSelectorPath, obj.content) if paths.labelSelectorPath else []
        )
        return Scale(
            metadata=ObjectMeta(
                name=meta.name, namespace=meta.namespace, uid=meta.uid,
                resourceVersion=meta.resourceVersion, creationTimestamp=meta.creationTimestamp,
            ),
            spec=ScaleSpec(replicas=replicas),
            status=ScaleStatus(
                replicas=_number(paths.statusReplicasPath, obj.content) or 0,
                selector=selector[0] if selector else None,
            ),
        )  # fmt: skip

    def write(self, obj: Any, shown: Scale) -> None:
        """Change how many replicas are wanted.

        Raises:
            Invalid: fewer than none.
        """
        replicas = shown.spec.replicas or 0
        if replicas < 0:
            place = Path("spec") / "replicas"
            problem = invalid(place, replicas, "must be greater than or equal to 0")
            raise errors.Invalid.of(self.kind, obj.metadata.name or "", [problem])
        *around, last = self._paths.specReplicasPath.lstrip(".").split(".")
        place_ = obj.content
        for name in around:
            place_ = place_.setdefault(name, {})
        place_[last] = replicas


def _number(path: str, content: dict[str, Any]) -> int | None:
    found = json_path.find(path, content)
    return int(found[0]) if found and isinstance(found[0], (int, float)) else None
