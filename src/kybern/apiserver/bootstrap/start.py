"""The steps of the start, in order.

In:   the services of an API server over an open store.
Out:  the objects every cluster has; allocators that know what is taken.
By:   app, before the server calls itself ready.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from kybern.api import codec
from kybern.api.core.v1 import Namespace, Service
from kybern.api.meta.v1 import Condition, ObjectMeta
from kybern.api.networking.v1 import ServiceCIDR, ServiceCIDRSpec
from kybern.api.scheduling.v1 import PriorityClass
from kybern.apiserver.aggregator import front_proxy
from kybern.apiserver.bootstrap import api_services, flow_schemas, policy, token_tracking
from kybern.apiserver.registry.core.allocation import Taken
from kybern.apiserver.registry.core.services import addresses_of, ports_of
from kybern.lib import logs
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.apiserver.bootstrap.loopback import Loopback
    from kybern.apiserver.context import Services

log = logs.get("apiserver")

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
CRITICAL = {
    "system-cluster-critical": (
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another "
        "node if necessary.",
    ),
    "system-node-critical": (
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
}


def load_allocations(services: Services) -> None:
    """Tell the allocators which addresses and ports existing Services have."""
    resource = services.resources.find("", "v1", "services")
    allocators = services.allocators
    for entry in services.store.list(resource.prefix).entries:
        service = codec.decode(entry.held, Service)
        for address in addresses_of(service.spec):
            _take(allocators.addresses, address, entry.key)
        for port in ports_of(service.spec):
            _take(allocators.ports, port, entry.key)


def _take(allocator: Any, number: Any, key: str) -> None:
    try:
        allocator.take(number)
    except Taken as reason:
        # It works on as it is; whoever changed the range has to decide what becomes of it.
        log.warning("a Service has what is not its to have", key=key, what=number, why=str(reason))


async def namespaces(loopback: Loopback) -> None:
    """Create the namespaces everything else lives in."""
    for name in NAMESPACES:
        if loopback.get(Namespace, name) is None:
            await loopback.create(Namespace(metadata=ObjectMeta(name=name)))


async def objects(services: Services, loopback: Loopback) -> None:
    """Create roles, priorities and flow schemas."""
    async with asyncio.TaskGroup() as group:
        group.create_task(policy.ensure(loopback), name="roles")
        group.create_task(_service_cidr(services, loopback), name="service CIDR")
        tracking = token_tracking.ensure(loopback, services.clock.now())
        group.create_task(tracking, name="token tracking")
        told = front_proxy.publish(loopback, services.config)
        group.create_task(told, name="authorities")
        for name, (value, description) in CRITICAL.items():
            wanted = PriorityClass(
                metadata=ObjectMeta(name=name), value=value, description=description
            )
            group.create_task(_create_missing(loopback, wanted), name=name)
        for service in api_services.objects(services.resources.kinds()):
            group.create_task(_create_missing(loopback, service), name=service.metadata.name)
        for obj in flow_schemas.objects():
            group.create_task(_create_missing(loopback, obj), name=obj.metadata.name)


async def _create_missing(loopback: Loopback, obj: Any) -> None:
    if loopback.get(type(obj), obj.metadata.name, obj.metadata.namespace or "") is None:
        await loopback.create(obj)


async def _service_cidr(services: Services, loopback: Loopback) -> None:
    if loopback.get(ServiceCIDR, "kubernetes") is None:
        spec = ServiceCIDRSpec(cidrs=list(services.config.service_cidrs))
        await loopback.create(ServiceCIDR(metadata=ObjectMeta(name="kubernetes"), spec=spec))
    found = loopback.get(ServiceCIDR, "kubernetes")
    if found is None or found.status.conditions:
        return
    now = rfc3339(services.clock.now())
    found.status.conditions = [
        Condition(
            type="Ready", status="True", lastTransitionTime=now, reason="",
            message="Kubernetes default Service CIDR is ready",
        )
    ]  # fmt: skip
    await loopback.complete(found, subresource="status")
