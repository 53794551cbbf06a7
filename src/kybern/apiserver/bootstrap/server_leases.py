"""Which API servers are alive, where several serve one store.

In:   our address, and the store they all write to.
Out:  `/registry/masterleases/…`, which lasts only while it is written anew: the addresses of those
      that live. A Lease `kube-system/apiserver-…` that tells people who they are.
By:   kubernetes_service, app. Both are upstream's; where one server has a store to itself, there
      is nothing to tell and neither is written.
"""

from __future__ import annotations

import base64
import hashlib
import os
import uuid
from typing import TYPE_CHECKING, NamedTuple

from kybern.api import codec
from kybern.api.coordination.v1 import Lease, LeaseSpec
from kybern.api.core.v1 import EndpointAddress, EndpointPort, Endpoints, EndpointSubset
from kybern.api.errors import ApiError
from kybern.api.meta.v1 import ObjectMeta
from kybern.lib import logs
from kybern.lib.clock import parse_rfc3339, rfc3339_micro
from kybern.store.interface import KeyExists, Mismatch, StoreError

if TYPE_CHECKING:
    from kybern.apiserver.bootstrap.loopback import Loopback
    from kybern.apiserver.context import Services
    from kybern.store.interface import Entry

log = logs.get("apiserver")

PREFIX = "/registry/masterleases/"
RENEWED = 2 / 3
"""After which part of its time a lease is written anew; upstream: 10 of 15 seconds."""

RETRY = 0.5

IDENTITY = "apiserver.kubernetes.io/identity"
NAMESPACE = "kube-system"
LEASES = "/registry/leases/kube-system/apiserver-"
IDENTITY_SECONDS = 3600
IDENTITY_PERIOD = 10.0


class Address(NamedTuple):
    """Where an API server is."""

    ip: str
    port: int


class ServerLeases:
    """Our lease among those of the others."""

    def __init__(self, services: Services, address: Address) -> None:
        self._store = services.store
        self._clock = services.clock
        self._ttl = services.config.server_lease
        self._address = address
        # Upstream names the key after the IP alone; here several servers may share a machine.
        self._key = f"{PREFIX}{address.ip}:{address.port}"
        self._leaving = False

    async def living(self) -> list[Address]:
        """Return the addresses of all servers that live, in order.

        Ours is among them, and the others see that too: it is written before, if it is missing.
        """
        if not self._leaving and self._store.get(self._key) is None:
            await self.renew()
        return sorted(set(map(_address, self._store.list(PREFIX).entries)))

    async def renew(self) -> None:
        """Live for another while."""
        entry = self._store.get(self._key)
        try:
            if entry is None:
                await self._store.create(self._key, self._value(0), self._ttl)
            else:
                old = codec.decode(entry.data, Endpoints)
                value = self._value((old.metadata.generation or 0) + 1)
                await self._store.update(self._key, value, entry, self._ttl)
        except (KeyExists, Mismatch):  # it ran out just now, or somebody else has our address
            log.info("the lease of this server changed meanwhile", key=self._key)

    async def keep(self) -> None:
        """Renew for ever; as soon as it is possible again, when the store was away."""
        pause = self._ttl * RENEWED
        while True:
            await self._clock.sleep(pause)
            pause = self._ttl * RENEWED
            try:
                await self.renew()
            except StoreError as error:
                log.warning("could not renew the lease of this server", why=str(error))
                pause = RETRY

    async def leave(self) -> None:
        """Be gone at once, and not when the lease runs out."""
        self._leaving = True
        entry = self._store.get(self._key)
        if entry is not None:
            try:
                await self._store.delete(self._key, entry)
            except Mismatch:
                log.info("the lease of this server changed meanwhile", key=self._key)

    def _value(self, generation: int) -> bytes:
        subset = EndpointSubset(
            addresses=[EndpointAddress(ip=self._address.ip)],
            ports=[EndpointPort(name="https", port=self._address.port, protocol="TCP")],
        )
        metadata = ObjectMeta(generation=generation or None)
        return codec.encode(Endpoints(metadata=metadata, subsets=[subset]))


def _address(entry: Entry) -> Address:
    """Read a lease; upstream's say nothing of the port, which is then in the key or the usual."""
    subset = (codec.decode(entry.data, Endpoints).subsets or [EndpointSubset()])[0]
    ports = subset.ports or [EndpointPort(port=6443)]
    return Address((subset.addresses or [EndpointAddress()])[0].ip, ports[0].port)


class ServerIdentity:
    """The Lease with our name on it, for people and tools to see."""

    def __init__(self, services: Services, loopback: Loopback) -> None:
        self._store = services.store
        self._clock = services.clock
        self._loopback = loopback
        self._host = os.uname().nodename
        port = services.config.port
        self._name = identity_of(self._host if port == 6443 else f"{self._host}:{port}")
        self._holder = f"{self._name}_{uuid.uuid4()}"

    async def keep(self) -> None:
        """Renew for ever, and remove what long dead servers left."""
        while True:
            try:
                await self._renew()
                await self._collect()
            except (ApiError, StoreError) as error:
                log.info("could not renew the identity", lease=self._name, why=str(error))
            await self._clock.sleep(IDENTITY_PERIOD)

    async def _renew(self) -> None:
        now = rfc3339_micro(self._clock.now())
        found: Lease | None = self._loopback.get(Lease, self._name, NAMESPACE)
        spec = LeaseSpec(
            holderIdentity=self._holder, leaseDurationSeconds=IDENTITY_SECONDS, renewTime=now
        )
        if found is not None:
            found.spec = spec
            await self._loopback.update(found)
            return
        labels = {IDENTITY: "kube-apiserver", "kubernetes.io/hostname": self._host}
        metadata = ObjectMeta(name=self._name, namespace=NAMESPACE, labels=labels)
        await self._loopback.create(Lease(metadata=metadata, spec=spec))

    async def _collect(self) -> None:
        earliest = self._clock.now() - IDENTITY_SECONDS
        for entry in self._store.list(f"/registry/leases/{NAMESPACE}/").entries:
            if entry.key.startswith(LEASES) and _renewed(entry) < earliest:
                try:
                    await self._store.delete(entry.key, entry)
                except Mismatch:
                    continue  # it lives after all, or another server was faster


def _renewed(entry: Entry) -> float:
    spec = codec.decode(entry.held, Lease).spec or LeaseSpec()
    return parse_rfc3339(spec.renewTime) if spec.renewTime else 0.0


def identity_of(host: str) -> str:
    """Return a server's name, as upstream makes it."""
    digest = hashlib.sha256(host.encode()).digest()[:16]
    return f"apiserver-{base64.b32encode(digest).decode().rstrip('=').lower()}"
