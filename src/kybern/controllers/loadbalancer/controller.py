"""The controller of load balancers, where there is no cloud.

In:   Services.
Out:  `status.loadBalancer` of those of type LoadBalancer: an address from the pool of each of
      their families; events with the words of upstream's service controller.
By:   controllers.all. Does nothing without a pool.

The proxies lead the address to the endpoints. It is remembered in the Service's status only: what
is there is taken in before the first address is given out. An address in a status which is not from
the pool is another balancer's, and left alone. A Service for which there was none is looked at
again when one comes back.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.api.core.v1 import Service
from kybern.controllers.loadbalancer.plan import (
    Pools,
    UnavailableError,
    addresses,
    families,
    wants_address,
)
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, Key, Outcome, key_of
from kybern.lib import logs

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

log = logs.get("controllers.loadbalancer")


class LoadBalancerController:
    """Gives out the addresses of a pool."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._recorder = ctx.recorder
        self._pools = Pools(ctx.config.load_balancer_cidrs)
        self._waiting: set[Key] = set()
        self._services = ctx.informers.of(Service)
        self._loop: Loop[Key] = Loop(
            "service-lb", self.reconcile, after=(self._services,), workers=1
        )
        if self._pools:
            self._services.on(
                add=self._seen, update=lambda _, service: self._seen(service), delete=self._gone
            )

    async def run(self) -> None:
        """Work for ever."""
        if not self._pools:
            log.debug("Services of type LoadBalancer get no address: there is no pool")
            await asyncio.get_running_loop().create_future()
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters, and how many addresses are in use."""
        return {**self._loop.statistics(), "addresses": len(self._pools)}

    async def reconcile(self, key: Key) -> Outcome:
        """Give one Service its address, or take it back."""
        service = self._services.get(*key)
        if service is None:
            self._release(key)
        elif not wants_address(service):
            await self._remove(key, service)
        elif service.metadata.deletionTimestamp is None:
            await self._ensure(key, service)
        return DONE

    async def _ensure(self, key: Key, service: Service) -> None:
        wanted, shown = service.spec.loadBalancerIP or "", addresses(service)
        held = self._pools.held(str(key))
        if shown and sorted(shown) != sorted(held):
            if not any(self._pools.includes(address) for address in shown):
                return
        elif shown and self._pools.fits(str(key), families(service), wanted):
            return
        self._tell(service, "Normal", "EnsuringLoadBalancer", "Ensuring load balancer")
        try:
            given = self._pools.take(str(key), families(service), wanted)
        except UnavailableError as error:
            message = f"Error syncing load balancer: failed to ensure load balancer: {error}"
            self._tell(service, "Warning", "SyncLoadBalancerFailed", message)
            self._waiting.add(key)
            return
        self._waiting.discard(key)
        await self._show(key, [{"ip": address, "ipMode": "VIP"} for address in given])
        self._tell(service, "Normal", "EnsuredLoadBalancer", "Ensured load balancer")
        if set(held) - set(given):
            self._look_again()

    async def _remove(self, key: Key, service: Service) -> None:
        held = self._pools.held(str(key))
        if not held:
            self._waiting.discard(key)
            return
        self._tell(service, "Normal", "DeletingLoadBalancer", "Deleting load balancer")
        if set(held) & set(addresses(service)):
            await self._show(key, None)
        self._release(key)
        self._tell(service, "Normal", "DeletedLoadBalancer", "Deleted load balancer")

    async def _show(self, key: Key, ingress: list[dict[str, str]] | None) -> None:
        body = {"status": {"loadBalancer": {"ingress": ingress}}}
        try:
            await self._client.patch(
                Service, key.name, key.namespace, body, type="merge", subresource="status"
            )
        except errors.NotFound:
            self._release(key)

    def _seen(self, service: Service) -> None:
        key = key_of(service)
        if wants_address(service) and not self._pools.held(str(key)):
            for address in addresses(service):
                self._pools.occupy(str(key), address)
        if wants_address(service) or self._pools.held(str(key)):
            self._loop.add(key)

    def _gone(self, service: Service) -> None:
        self._release(key_of(service))

    def _release(self, key: Key) -> None:
        self._waiting.discard(key)
        if self._pools.release(str(key)):
            self._look_again()

    def _look_again(self) -> None:
        for key in self._waiting:
            self._loop.add(key)

    def _tell(self, service: Service, kind: str, reason: str, message: str) -> None:
        self._recorder.event(service, kind, reason, message)
