"""The Service `kubernetes` in `default`: how pods find this server.

In:   the address and port we are reached at, and those of the other servers of the store.
Out:  the Service on the first cluster IP, its Endpoints and its EndpointSlice; put right again when
      somebody changes or deletes them, and when a server comes or goes.
By:   bootstrap.start.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING, Any

from kybern.api import codec, errors
from kybern.api.core.v1 import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    Service,
    ServicePort,
    ServiceSpec,
)
from kybern.api.discovery import v1 as discovery
from kybern.api.meta.v1 import ObjectMeta
from kybern.apiserver.bootstrap.server_leases import PREFIX, Address, ServerLeases
from kybern.lib import logs
from kybern.store.interface import StoreError

if TYPE_CHECKING:
    from kybern.apiserver.bootstrap.loopback import Loopback
    from kybern.apiserver.context import Services

log = logs.get("apiserver")

RETRY = 0.1
NAME, NAMESPACE = "kubernetes", "default"
NOWHERE = ("10.255.255.255", 9)
"""Any address that is routed like the rest of the world; no packet is sent to it."""


def our_address(configured: str) -> str:
    """Return the address others reach us at; "" when this machine has none but loopback.

    A loopback address would lead pods to themselves, so it is not taken even when it is configured.
    """
    if configured and not _is_loopback(configured):
        return configured
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(NOWHERE)
        except OSError:
            return ""
        address: str = probe.getsockname()[0]
    return "" if _is_loopback(address) else address


def _is_loopback(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return parsed.is_loopback or parsed.is_unspecified


class KubernetesService:
    """Keeps the three objects as they should be."""

    def __init__(self, services: Services, loopback: Loopback) -> None:
        self._services = services
        self._loopback = loopback
        config = services.config
        self._port = config.port
        self._correcting = asyncio.Lock()
        address = our_address(config.advertise_address)
        if not address:
            log.warning("this machine has no address that pods could reach the API server at")
        self._ours = Address(address, self._port) if address else None
        self._leases: ServerLeases | None = None
        if self._ours and services.store.shared:
            self._leases = ServerLeases(services, self._ours)

    async def begin(self) -> None:
        """Let the others know of us, and create or correct the objects."""
        if self._leases is not None:
            await self._leases.renew()
            while not await self._corrected():  # other servers may be at it at the same time
                await self._services.clock.sleep(RETRY)
            return
        await self.ensure()

    async def ensure(self) -> None:
        """Create or correct the objects."""
        await self._service()
        servers = await self._servers()
        if not servers:
            return
        await self._put(_endpoints(servers), ("subsets",))
        slices = {wanted.metadata.name: wanted for wanted in _slices(servers)}
        for name in self._further_slices() - slices.keys():
            slices[name] = _slice(name, servers[0].port, [])  # its servers are gone
        for wanted in slices.values():
            await self._put(wanted, ("endpoints", "ports", "addressType"))

    async def keep(self) -> None:
        """Correct the objects whenever they change; ends only with an error."""
        store = self._services.store
        resources = self._services.resources
        async with asyncio.TaskGroup() as group:
            for path in (
                ("", "v1", "services"), ("", "v1", "endpoints"),
                ("discovery.k8s.io", "v1", "endpointslices"),
            ):  # fmt: skip
                key = resources.find(*path).key(NAMESPACE, NAME)
                watcher = store.watch(key, store.revision)
                group.create_task(self._follow(watcher), name=f"keep {key}")
            if self._leases is not None:
                group.create_task(self._leases.keep(), name="keep our lease")
                watcher = store.watch(PREFIX, store.revision)
                group.create_task(self._follow(watcher), name="follow the other servers")

    async def leave(self) -> None:
        """Lead nobody here any more, where there are others."""
        if self._leases is not None:
            await self._leases.leave()
            await self._corrected()

    async def _follow(self, watcher: Any) -> None:
        try:
            async for _ in watcher:
                while not await self._corrected():
                    await self._services.clock.sleep(RETRY)
        finally:
            watcher.close()

    async def _corrected(self) -> bool:
        """Correct the objects; False when somebody else was at it at the same time."""
        async with self._correcting:
            try:
                await self.ensure()
            except (errors.ApiError, StoreError) as error:
                log.info("could not correct the kubernetes service yet", error=str(error))
                return False
        return True

    async def _service(self) -> None:
        if self._loopback.get(Service, NAME, NAMESPACE) is not None:
            return
        await self._loopback.create(
            Service(
                metadata=_meta({"component": "apiserver", "provider": "kubernetes"}),
                spec=ServiceSpec(
                    type="ClusterIP",
                    clusterIP=self._services.allocators.addresses.first,
                    ipFamilyPolicy="SingleStack",
                    sessionAffinity="None",
                    ports=[
                        ServicePort(name="https", protocol="TCP", port=443, targetPort=self._port)
                    ],
                ),
            )
        )

    async def _servers(self) -> list[Address]:
        if self._leases is not None:
            return await self._leases.living()
        return [self._ours] if self._ours else []

    def _further_slices(self) -> set[str]:
        resource = self._services.resources.find("discovery.k8s.io", "v1", "endpointslices")
        prefix = resource.key(NAMESPACE, NAME)
        entries = self._services.store.list(prefix[: prefix.rfind("/") + 1]).entries
        return {
            entry.key[prefix.rfind("/") + 1 :] for entry in entries
            if entry.key[len(prefix) :][:1] == "-" and entry.key[len(prefix) + 1 :].isdecimal()
        }  # fmt: skip

    async def _put(self, wanted: Any, fields: tuple[str, ...]) -> None:
        found = self._loopback.get(type(wanted), wanted.metadata.name, NAMESPACE)
        if found is None:
            await self._loopback.create(wanted)
            return
        if all(codec.equal(getattr(found, f), getattr(wanted, f)) for f in fields) and (
            wanted.metadata.labels.items() <= (found.metadata.labels or {}).items()
        ):
            return
        for field in fields:
            setattr(found, field, getattr(wanted, field))
        found.metadata.labels = {**(found.metadata.labels or {}), **wanted.metadata.labels}
        await self._loopback.update(found)


def _by_port(servers: list[Address]) -> dict[int, list[str]]:
    ports = sorted({server.port for server in servers})
    return {port: [s.ip for s in servers if s.port == port] for port in ports}


def _endpoints(servers: list[Address]) -> Endpoints:
    subsets = [
        EndpointSubset(
            addresses=[EndpointAddress(ip=ip) for ip in ips],
            ports=[EndpointPort(name="https", port=port, protocol="TCP")],
        )
        for port, ips in _by_port(servers).items()
    ]
    labels = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    return Endpoints(metadata=_meta(labels), subsets=subsets)


def _slices(servers: list[Address]) -> list[discovery.EndpointSlice]:
    """Return a slice per port: one, unless servers share a machine."""
    first, *more = _by_port(servers).items()
    return [_slice(NAME, *first), *(_slice(f"{NAME}-{port}", port, ips) for port, ips in more)]


def _slice(name: str, port: int, ips: list[str]) -> discovery.EndpointSlice:
    metadata = _meta({"kubernetes.io/service-name": NAME})
    metadata.name = name
    return discovery.EndpointSlice(
        metadata=metadata,
        addressType="IPv6" if any(":" in ip for ip in ips) else "IPv4",
        endpoints=[
            discovery.Endpoint(addresses=[ip], conditions=discovery.EndpointConditions(ready=True))
            for ip in ips
        ],
        ports=[discovery.EndpointPort(name="https", port=port, protocol="TCP")],
    )


def _meta(labels: dict[str, str]) -> ObjectMeta:
    return ObjectMeta(name=NAME, namespace=NAMESPACE, labels=labels)
