"""Binding: a pod gets its node. The scheduler's only write.

In:   a Binding, POSTed to `pods/binding` or to `bindings`.
Out:  the pod with spec.nodeName and the condition PodScheduled; a Status.
By:   registry.special.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import errors
from kybern.api.core.validation.pods import validate_binding
from kybern.api.scheme import SCHEME
from kybern.apiserver.registry import metadata
from kybern.apiserver.registry.core.pods import scheduled
from kybern.store.interface import Mismatch

if TYPE_CHECKING:
    from kybern.api.core.v1 import Binding, Pod
    from kybern.apiserver.context import RequestContext

SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
ATTEMPTS = 10


async def bind(ctx: RequestContext, binding: Binding) -> Any:
    """Give a pod the node a binding names.

    Raises:
        NotFound, Conflict, Invalid.
    """
    if not binding.metadata.name:
        binding.metadata.name = ctx.name
    elif ctx.subresource and binding.metadata.name != ctx.name:
        raise errors.BadRequest("name in URL does not match name in Binding object")
    problems = validate_binding(binding)
    if problems:
        kind = SCHEME.by_kind("v1", "Binding")
        assert kind is not None
        raise errors.Invalid.of(kind, binding.metadata.name, problems)
    resource = ctx.services.resources.find("", "v1", "pods")
    await _assign(ctx, resource, binding)
    return SUCCESS


async def _assign(ctx: RequestContext, resource: Any, binding: Binding) -> None:
    store, name = ctx.services.store, binding.metadata.name or ""
    for _ in range(ATTEMPTS):
        entry = store.get(resource.key(ctx.namespace, name))
        if entry is None:
            raise errors.NotFound.of(resource.kind, name)
        pod: Pod = resource.decode(entry)
        _check(resource, pod, binding)
        _place(ctx, pod, binding)
        if ctx.dry_run:
            return
        try:
            await store.update(entry.key, resource.encode(pod), entry)
        except Mismatch:
            continue
        return
    raise errors.Conflict.of(resource.kind, name)


def _check(resource: Any, pod: Pod, binding: Binding) -> None:
    metadata.check_preconditions(resource, pod.metadata, binding.metadata)
    name, where = pod.metadata.name, pod.spec.nodeName
    why = ""
    if pod.metadata.deletionTimestamp is not None:
        why = f"pod {name} is being deleted, cannot be assigned to a host"
    elif where:
        why = f'pod {name} is already assigned to node "{where}"'
    elif pod.spec.schedulingGates:
        why = f"pod {name} has non-empty .spec.schedulingGates"
    if why:
        raise errors.Conflict(
            f'Operation cannot be fulfilled on pods/binding "{name}": {why}',
            {"name": name, "kind": "pods/binding"},
        )


def _place(ctx: RequestContext, pod: Pod, binding: Binding) -> None:
    pod.spec.nodeName = binding.target.name
    if binding.metadata.annotations:
        pod.metadata.annotations = {**(pod.metadata.annotations or {}),
                                    **binding.metadata.annotations}  # fmt: skip
    others = [c for c in pod.status.conditions or () if c.type != "PodScheduled"]
    pod.status.conditions = [*others, scheduled(ctx)]
    pod.status.nominatedNodeName = None
