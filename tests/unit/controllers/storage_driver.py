"""A storage driver behind nodes that we play: the controller service of tests/csi, in this process.

Calls of the controllers go to the real API server, but for those to a node's kubelet.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from tests.csi.controller import Controller
from tests.csi.driver import REQUESTS, Identity
from tests.csi.failing import Fail
from tests.csi.options import Options
from tests.csi.state import State
from tests.unit.controllers.cluster import Cluster, cluster

from kybern.api.core.v1 import Node
from kybern.api.meta.v1 import ObjectMeta
from kybern.api.storage.v1 import CSINode, CSINodeDriver, CSINodeSpec
from kybern.lib.http.messages import Response
from kybern.lib.protobuf import Codec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import msgspec

NAME = "directory.csi.kybern.io"


class Answer:
    """An answer of the kubelet."""

    def __init__(self, response: Response) -> None:
        self.status, self.headers = response.status, dict(response.headers)
        self._body = response.body

    async def read(self) -> Any:
        return self._body


class Playing:
    """A driver on every node: what it was asked, and what shall go wrong."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.options = Options(NAME, root / "socket", root, **options)
        self.state = State(root)
        self._services = {
            "Identity": Identity(self.options),
            "Controller": Controller(self.options, self.state),
        }
        self.calls: list[tuple[str, Any]] = []
        self.faults: dict[str, list[str]] = {}
        """Method → codes of its next calls: `after:CODE` fails when all is done."""

    def names(self, *wanted: str) -> list[str]:
        """Return which methods were called, of those that matter."""
        return [name for name, _ in self.calls if name in wanted]

    def volumes(self) -> Any:
        with self.state.changing() as tree:
            return tree["volumes"]

    def snapshots(self) -> Any:
        with self.state.changing() as tree:
            return tree["snapshots"]

    def answer(self, method: str, body: bytes) -> Answer:
        service, _, name = method.removeprefix("csi.v1.").partition("/")
        request = Codec(REQUESTS[service][name]).decode(body)
        self.calls.append((name, request))
        snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
        faults = self.faults.get(name) or [""]
        fault = faults.pop(0)
        try:
            if fault and not fault.startswith("after:"):
                raise Fail(fault, "as told")
            result: msgspec.Struct = getattr(self._services[service], snake)(request)
            if fault:
                raise Fail(fault.removeprefix("after:"), "as told")
        except Fail as fail:
            headers = (("grpc-status", fail.code),)
            return Answer(Response(200, str(fail).encode(), headers=headers))
        return Answer(Response(200, Codec(type(result)).encode(result)))


class ThroughNodes:
    """A transport that knows the way to the driver."""

    in_process = True

    def __init__(self, inner: Any, driver: Playing) -> None:
        self._inner, self._driver = inner, driver

    async def request(self, method: str, path: str, **rest: Any) -> Any:
        _, found, call = path.partition(f"/proxy/csi/{NAME}/")
        if found:
            return self._driver.answer(call, rest["body"])
        return await self._inner.request(method, path, **rest)


@contextlib.asynccontextmanager
async def storage_cluster(driver: Playing, *controllers: str) -> AsyncIterator[Cluster]:
    """Run a cluster with these controllers, the binder, and three nodes that have a driver."""
    usual = Cluster.controller_client

    def through_nodes(it: Cluster, account: str) -> Any:
        client = usual(it, account)
        client.transport = ThroughNodes(client.transport, driver)  # type: ignore[assignment]
        return client

    Cluster.controller_client = through_nodes  # type: ignore[method-assign]
    try:
        async with cluster("persistentvolume-binder", *controllers) as it:
            await it.namespace()
            for node in (await it.client.list(Node))[0]:
                await register(it, node.metadata.name or "", driver)
            await it.settle(1)
            yield it
            it.detector.check()
    finally:
        Cluster.controller_client = usual  # type: ignore[method-assign]


async def register(it: Cluster, node: str, driver: Playing) -> None:
    """Let a node have the driver."""
    keys = [key for key, _ in driver.options.topology]
    found = CSINodeDriver(name=NAME, nodeID=f"id-{node}", topologyKeys=keys or None)
    spec = CSINodeSpec(drivers=[found])
    await it.client.create(CSINode(metadata=ObjectMeta(name=node), spec=spec))
