"""The controller that counts what quotas limit.

In:   ResourceQuotas, and the objects they count.
Out:  the status of the quotas.
By:   controllers.all.

Admission only ever adds. What gives something back is seen here: objects that go, pods that finish,
and what was charged and then not created. Kinds are only followed when a quota counts them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import codec
from kybern.api.core import pods as ask
from kybern.api.core import quotas
from kybern.api.core.resizing import held
from kybern.api.core.v1 import PersistentVolumeClaim, Pod, ResourceQuota, Service
from kybern.api.scheme import SCHEME
from kybern.client.metadata import Partial
from kybern.controllers.resourcequota.plan import OWN, resources_of, status
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome, key_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.core.v1 import Container, PodSpec
    from kybern.api.scheme import Kind
    from kybern.client.informer import Informer
    from kybern.controllers.runtime.host import Context

    Resource = tuple[str, str]

RESYNC = (
    300.0  # seconds; what was charged for an object that was then refused is given back by then
)
STRUCTS: dict[Resource, type[Any]] = dict(
    zip(OWN, (Pod, Service, PersistentVolumeClaim), strict=True)
)


class ResourceQuotaController:
    """Keeps the status of quotas."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._clock = ctx.clock
        self._informers = ctx.informers
        self._quotas = ctx.informers.of(ResourceQuota)
        self._counted: dict[Resource, Informer[Any] | None] = {}
        self._loop: Loop[Key] = Loop(
            "resourcequota", self.reconcile, after=(self._quotas,), workers=ctx.config.workers
        )
        self._quotas.on(add=lambda quota: self._loop.add(key_of(quota)), update=self._quota_changed)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters, and how many kinds are counted."""
        return {"kinds": len(self._counted), **self._loop.statistics()}

    async def reconcile(self, key: Key) -> Outcome:
        """Count for one quota."""
        quota = self._quotas.get(*key)
        if quota is None:
            return DONE
        for resource in resources_of(quota):
            informer = self._informer(resource)
            if informer is not None:
                await informer.wait_synced()

        looked = 0

        def objects(resource: Resource) -> Iterable[Any] | None:
            nonlocal looked
            informer = self._counted[resource]
            if informer is None:
                return None
            there = informer.list(key.namespace)
            looked += len(there)
            return there

        found = status(quota, objects, self._clock.now())
        if not codec.equal(found, quota.status):
            mine = codec.clone(quota)
            mine.status = found
            await self._client.update_status(mine)
        self._loop.looked(key, looked)
        return After(RESYNC)

    def _informer(self, resource: Resource) -> Informer[Any] | None:
        """Return what follows a resource; None when there is no such resource."""
        if resource not in self._counted:
            informer = None
            if resource in STRUCTS:
                informer = self._informers.of(STRUCTS[resource])
            elif (kind := _kind(resource)) is not None:
                informer = self._informers.shared(kind) or self._informers.of(kind, into=Partial)
            if informer is not None:
                informer.on(
                    update=lambda old, new: self._changed(resource, old, new),
                    delete=lambda obj: self._gone(resource, obj),
                )
            self._counted[resource] = informer
        return self._counted[resource]

    # --- from events to keys -----------------------------------------------------------------

    def _quota_changed(self, old: ResourceQuota, new: ResourceQuota) -> None:
        """What admission adds to `used` is right as it is; a strange `hard` is put right."""
        if old.spec.hard != new.spec.hard or old.status.hard != new.status.hard:
            self._loop.add(key_of(new))

    def _changed(self, resource: Resource, old: Any, new: Any) -> None:
        """Something may have come to use less: a finished pod, a Service without node ports."""
        if resource == ("", "pods"):
            less = ask.is_terminal(new) and not ask.is_terminal(old)
            less = less or old.spec.activeDeadlineSeconds != new.spec.activeDeadlineSeconds
            less = less or _size_changed(old, new)
        else:
            less = resource in STRUCTS and not codec.equal(old.spec, new.spec)
        if less:
            self._gone(resource, new)

    def _gone(self, resource: Resource, obj: Any) -> None:
        for quota in self._quotas.list(obj.metadata.namespace or ""):
            if quotas.meter(*resource).names(quota.spec.hard or {}):
                self._loop.add(key_of(quota))


def _size_changed(old: Pod, new: Pod) -> bool:
    """Say whether a pod came to hold more or less while it runs."""
    if not (old.status.containerStatuses or new.status.containerStatuses):
        return False  # a pod that does not run holds what it asks for, which admission has charged
    one, other = held(old), held(new)
    sizes = [[(c.name, c.resources) for c in _with_init(spec)] for spec in (one, other)]
    return sizes[0] != sizes[1]


def _with_init(spec: PodSpec) -> Iterable[Container]:
    return (*spec.containers, *(spec.initContainers or ()))


def _kind(resource: Resource) -> Kind | None:
    group, plural = resource
    for kind in SCHEME.kinds:
        if (kind.group, kind.plural) == (group, plural) and "list" in kind.verbs:
            return kind
    return None
