"""How the controller service of a driver is reached.

In:   the name of a driver.
Out:  a `Driver` to call, or None: nobody runs it, or somebody else looks after it.
By:   the controllers of storage drivers.

A node's kubelet passes calls on to the drivers that have registered with it: the API server's
`nodes/NODE/proxy/csi/DRIVER/csi.v1.SERVICE/METHOD` takes the encoded request and answers 200 with
the encoded answer, or with the header `grpc-status` (the name of a code) and the text of the error.

Ours stand aside for upstream's sidecars: where one of them holds its lease, or where the CSIDriver
says so (`kybern.io/controllers: external`).
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from kybern.api import errors
from kybern.api.coordination.v1 import Lease
from kybern.api.storage.v1 import CSIDriver, CSINode
from kybern.client.transport import Unreachable
from kybern.csi.client import Csi, CsiError
from kybern.csi.messages import PluginService
from kybern.lib.clock import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.client.rest import Client
    from kybern.controllers.runtime.host import Context

OWNER: Final = "kybern.io/controllers"
EXTERNAL: Final = "external"
PROTOBUF: Final = "application/x-protobuf"
FORGET_AFTER: Final = 60.0  # seconds a verdict on who looks after a driver is good for
GRACE: Final = 5.0  # seconds the kubelet gets on top, so that it is who says "too late"
BY_DRIVER: Final = "driver"
_NO_NAME: Final = re.compile("[^a-zA-Z0-9-]")


class Driver(NamedTuple):
    """A controller service that answers."""

    name: str
    node: str
    csi: Csi
    rpcs: frozenset[int]
    """What it can do: ControllerRpc values."""
    services: frozenset[int]
    """PluginService values."""
    grows: bool
    """Whether it says that volumes can grow."""

    @property
    def has_topology(self) -> bool:
        """Whether its volumes are reached from some nodes only."""
        return PluginService.VOLUME_ACCESSIBILITY_CONSTRAINTS in self.services


class NodeTransport:
    """Carries calls to a driver on a node."""

    def __init__(self, client: Client, node: str, driver: str) -> None:
        self._client = client
        self._path = f"/api/v1/nodes/{quote(node, safe='')}/proxy/csi/{quote(driver, safe='')}"

    async def call(self, method: str, request: bytes, seconds: float) -> bytes:
        """Return the answer; see `kybern.csi.transport.Transport`."""
        try:
            async with asyncio.timeout(seconds + GRACE):
                answer = await self._client.open(
                    "POST", self._path + method, request, query=f"timeout={seconds:g}s",
                    content_type=PROTOBUF, accept=PROTOBUF,
                )  # fmt: skip
                body = await answer.read()
        except TimeoutError:
            raise CsiError("DEADLINE_EXCEEDED", "context deadline exceeded") from None
        except (errors.ApiError, Unreachable) as error:
            raise CsiError("UNAVAILABLE", str(error)) from None
        code = answer.headers.get("grpc-status", "OK")
        if code != "OK":
            raise CsiError(code, body.decode("utf-8", "replace"))
        return body

    async def close(self) -> None:
        """Nothing is kept open."""


class Drivers:
    """The drivers that one of our controllers looks after."""

    def __init__(self, ctx: Context, lease: str) -> None:
        """Look after drivers unless somebody holds a lease.

        Args:
            ctx: the controller's.
            lease: how upstream's sidecar of this kind names its lease, with `{}` for the driver.
        """
        self._client, self._clock, self._lease = ctx.client, ctx.clock, lease
        self.nodes = ctx.informers.of(CSINode, indexers={BY_DRIVER: _drivers_of})
        self.drivers = ctx.informers.of(CSIDriver)
        self._found: dict[str, Driver] = {}
        self._checked: dict[str, float] = {}

    def is_there(self, name: str) -> bool:
        """Say whether any node runs a driver."""
        return bool(self.nodes.by_index(BY_DRIVER, name))

    async def find(self, name: str) -> Driver | None:
        """Return a driver that we are to call now."""
        nodes = sorted(n.metadata.name or "" for n in self.nodes.by_index(BY_DRIVER, name))
        if not nodes or self._is_external(name):
            return None
        fresh = self._clock.now() - self._checked.get(name, float("-inf")) < FORGET_AFTER
        found = self._found.get(name)
        if fresh and (found is None or found.node in nodes):
            return found
        self._found.pop(name, None)
        if not await self._is_led(name):
            for node in nodes:
                answered = await self._ask(name, node)
                if answered is not None:
                    self._found[name] = answered
                    break
        self._checked[name] = self._clock.now()
        return self._found.get(name)

    def lost(self, name: str, error: CsiError) -> None:
        """Look for a driver anew where it was not reached."""
        if error.code in ("UNAVAILABLE", "UNIMPLEMENTED"):
            self._checked.pop(name, None)
            self._found.pop(name, None)

    def on_change(self, changed: Callable[[str], None]) -> None:
        """Call this with the name of each driver that comes to a node or leaves it."""

        def updated(old: CSINode | None, new: CSINode | None) -> None:
            before = set(_drivers_of(old)) if old is not None else set()
            after = set(_drivers_of(new)) if new is not None else set()
            for name in before ^ after:
                self._checked.pop(name, None)
                changed(name)

        self.nodes.on(
            add=lambda node: updated(None, node),
            update=updated,
            delete=lambda node: updated(node, None),
        )
        self.drivers.on_change(lambda driver: changed(driver.metadata.name or ""))

    def node_id(self, name: str, node: str) -> str:
        """Return what a driver calls a node; "" while it is not there."""
        found = self.nodes.get("", node)
        for each in found.spec.drivers if found is not None else ():
            if each.name == name:
                return each.nodeID
        return ""

    def _is_external(self, name: str) -> bool:
        driver = self.drivers.get("", name)
        annotations = (driver.metadata.annotations if driver is not None else None) or {}
        return annotations.get(OWNER) == EXTERNAL

    async def _is_led(self, name: str) -> bool:
        """Say whether one of upstream's sidecars is at work on a driver."""
        lease = self._lease.format(_NO_NAME.sub("-", name))
        leases, _ = await self._client.list(Lease, field_selector=f"metadata.name={lease}")
        return any(_is_held(each, self._clock.now()) for each in leases)

    async def _ask(self, name: str, node: str) -> Driver | None:
        csi = Csi(NodeTransport(self._client, node, name))
        try:
            answer = await csi.get_plugin_capabilities()
            services = frozenset(
                each.service.type for each in answer.capabilities if each.service is not None
            )
            if PluginService.CONTROLLER_SERVICE not in services:
                return None
            grows = any(each.volume_expansion is not None for each in answer.capabilities)
            rpcs = await csi.controller_get_capabilities()
            return Driver(name, node, csi, rpcs, services, grows)
        except CsiError:
            # Some drivers say that they have the service where only their node part runs.
            return None


def _is_held(lease: Lease, now: float) -> bool:
    spec = lease.spec
    if not spec.holderIdentity or not spec.renewTime:
        return False
    return parse_rfc3339(spec.renewTime) + (spec.leaseDurationSeconds or 0) > now


def _drivers_of(node: CSINode) -> list[str]:
    return [each.name for each in node.spec.drivers]
