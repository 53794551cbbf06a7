"""Pods: what the API server decides about them.

In:   pods to be created, changed or deleted.
Out:  status and QoS class at birth, generations, grace; what each subresource may change.
By:   registry.special.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import codec
from kybern.api.core.pod_warnings import spec_warnings
from kybern.api.core.pods import qos_class
from kybern.api.core.v1 import PodCondition, PodStatus
from kybern.api.core.warnings import host_name_warnings
from kybern.api.meta.validation import check_meta
from kybern.apiserver.registry.core.known_specs import KnownSpecs, key_of
from kybern.apiserver.registry.strategy import StatusStrategy, Strategy
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.api.field_path import Problem
    from kybern.api.meta.v1 import DeleteOptions
    from kybern.api.scheme import Kind
    from kybern.apiserver.context import RequestContext
    from kybern.apiserver.registry.rules import Rules

GATED = "Scheduling is blocked due to non-empty scheduling gates"


class PodStrategy(Strategy):
    """Pods."""

    def __init__(self, kind: Kind, rules: Rules) -> None:
        super().__init__(kind, rules)
        self._known = KnownSpecs()

    def validate(self, ctx: RequestContext, obj: Any) -> list[Problem]:
        """Return what is wrong with a new pod, and warn about what is not; see known_specs."""
        key = key_of(obj)
        warnings = self._known.find(key)
        problems: list[Problem] = []
        if warnings is not None:
            check_meta(obj.metadata, problems)
        else:
            problems = self.rules.create(obj)
            warnings = [] if problems else spec_warnings(obj.spec, obj.metadata)
            if not problems:
                self._known.keep(key, warnings)
        if not problems:
            for text in (*host_name_warnings(obj), *warnings):
                ctx.warn(text)
        return problems

    def warn(self, ctx: RequestContext, obj: Any, old: Any | None) -> None:
        """Nothing more: new pods have been warned about, and those who update do not read."""

    def prepare_for_create(self, ctx: RequestContext, obj: Any) -> None:
        """Start out pending, with the QoS class of the requests."""
        obj.metadata.generation = 1
        obj.status = PodStatus(phase="Pending", qosClass=qos_class(obj.spec))
        if obj.spec.schedulingGates:
            gated = PodCondition(
                type="PodScheduled", status="False", reason="SchedulingGated", message=GATED
            )
            obj.status.conditions = [gated]

    def grace(self, ctx: RequestContext, obj: Any, options: DeleteOptions) -> int | None:
        """Give a running pod the time it asks for; one that runs nowhere needs none."""
        del ctx
        asked = options.gracePeriodSeconds
        seconds: int = obj.spec.terminationGracePeriodSeconds or 0 if asked is None else asked
        if seconds < 0:
            seconds = 1
        if not obj.spec.nodeName or obj.status.phase in ("Succeeded", "Failed"):
            seconds = 0
        return seconds


class PodStatusStrategy(StatusStrategy):
    """What kubelets report."""

    def prepare_for_update(self, ctx: RequestContext, obj: Any, old: Any) -> None:
        """Keep the QoS class when a reporter leaves it out."""
        super().prepare_for_update(ctx, obj, old)
        obj.status.qosClass = obj.status.qosClass or old.status.qosClass


class EphemeralContainersStrategy(Strategy):
    """`kubectl debug`: containers added to a running pod."""

    def prepare_for_update(self, ctx: RequestContext, obj: Any, old: Any) -> None:
        """Take only the ephemeral containers from the new object."""
        del ctx
        added = obj.spec.ephemeralContainers
        obj.spec = codec.clone(old.spec)
        obj.spec.ephemeralContainers = added
        obj.status = old.status
        _restore_metadata(obj, old)
        self.count_generation(obj, old)

    def validate_update(self, ctx: RequestContext, obj: Any, old: Any) -> list[Problem]:
        """Return what is wrong with the ephemeral containers."""
        from kybern.api.core.validation.pods import validate_ephemeral_containers_update

        del ctx
        return validate_ephemeral_containers_update(obj, old)


class ResizeStrategy(Strategy):
    """Other resources for a running pod's containers."""

    def prepare_for_update(self, ctx: RequestContext, obj: Any, old: Any) -> None:
        """Take only the containers' resources and how they are resized from the new object.

        Other containers than there were are left for validation to refuse.
        """
        del ctx
        if _container_names(obj) != _container_names(old):
            return
        wanted = obj.spec
        obj.spec = codec.clone(old.spec)
        for field in ("containers", "initContainers"):
            now, new = getattr(obj.spec, field) or (), getattr(wanted, field) or ()
            for container, size in zip(now, new, strict=True):
                container.resources, container.resizePolicy = size.resources, size.resizePolicy
        obj.status = old.status
        _restore_metadata(obj, old)
        self.count_generation(obj, old)

    def validate_update(self, ctx: RequestContext, obj: Any, old: Any) -> list[Problem]:
        """Return what is wrong with the new resources."""
        from kybern.api.core.validation.pods import validate_resize

        del ctx
        return validate_resize(obj, old)


def _container_names(pod: Any) -> list[list[str]]:
    groups = (pod.spec.containers, pod.spec.initContainers or ())
    return [[container.name for container in group] for group in groups]


def _restore_metadata(obj: Any, old: Any) -> None:
    meta, before = obj.metadata, old.metadata
    meta.labels, meta.annotations = before.labels, before.annotations
    meta.ownerReferences, meta.finalizers = before.ownerReferences, before.finalizers


def scheduled(ctx: RequestContext) -> PodCondition:
    """Return the condition of a pod that has just got its node."""
    return PodCondition(
        type="PodScheduled",
        status="True",
        lastTransitionTime=rfc3339(ctx.services.clock.now()),
    )
