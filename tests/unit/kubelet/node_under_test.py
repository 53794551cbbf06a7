"""A node in this process: the real kubelet and API server over a runtime in memory, virtual time.

What needs root, mounting, is played: a mount is a plain directory.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from kybern.api import codec
from kybern.api.core.v1 import Event, Namespace, NamespaceSpec, Pod, ServiceAccount
from kybern.api.errors import AlreadyExists, NotFound
from kybern.api.meta.v1 import ObjectMeta
from kybern.apiserver.app import ApiServer
from kybern.apiserver.config import Config
from kybern.client.in_process import InProcessTransport
from kybern.client.rest import Client
from kybern.client.transport import MASTER, Identity
from kybern.kubelet import cgroups
from kybern.kubelet.agent import Kubelet
from kybern.kubelet.config import KubeletConfig
from kybern.kubelet.runtime.fake import FakeRuntime
from kybern.kubelet.volumes import mounts
from kybern.lib import pki
from kybern.lib.clock import VirtualClock, run_virtual
from kybern.lib.tasks import Tasks
from kybern.store.kv.memory import MemoryEngine
from kybern.store.objects import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    import pytest

IMAGE = "web:1"
NODE = Identity("system:node:one", ("system:nodes", "system:authenticated"))
KEY = pki.make_key()


class NodeUnderTest:
    """What a story works with."""

    def __init__(self, directory: Path) -> None:
        self.clock = VirtualClock()
        self.directory = directory
        store = Store(MemoryEngine(), self.clock)
        config = Config(service_account_key=KEY)
        self.server = ApiServer(config, store, self.clock)
        self.runtime = FakeRuntime(self.clock)
        self.runtime.add_image(IMAGE)
        self.tasks = Tasks("node under test", clock=self.clock)
        self.client = Client(InProcessTransport(self.server.app, MASTER), self.clock)
        self.kubelet = self.new_kubelet()
        self._running: asyncio.Task[None] | None = None

    def new_kubelet(self, **more: Any) -> Kubelet:
        config = KubeletConfig(
            node_name="one",
            data_dir=self.directory,
            runtime_endpoint="",
            bind_address="127.0.0.1",
            port=0,
            node_ip="192.0.2.7",
            **more,
        )
        client = Client(InProcessTransport(self.server.app, NODE), self.clock)
        return Kubelet(config, client, self.runtime, self.clock)

    async def start_kubelet(self) -> None:
        self._running = self.tasks.spawn(self.kubelet.run(), name="kubelet")
        await self.kubelet.ready.wait()
        await self.settle(0.5)

    async def kill_kubelet(self) -> None:
        """Let it end without a chance to do anything more, and make another one."""
        assert self._running is not None
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running
        self.kubelet = self.new_kubelet()

    async def settle(self, seconds: float = 1.0) -> None:
        await asyncio.sleep(seconds)

    async def create(self, name: str = "pod", **spec: Any) -> Pod:
        tree = pod_tree(name, **spec)
        return await self.client.create(codec.from_tree(tree, Pod))

    async def get(self, name: str = "pod") -> Pod:
        return await self.client.get(Pod, name, "default")

    async def exists(self, name: str = "pod") -> bool:
        try:
            await self.get(name)
        except NotFound:
            return False
        return True

    async def events(self, name: str = "pod") -> list[tuple[str, str, str]]:
        """Return type, reason and message of the events about a pod, in order."""
        found = (await self.client.list(Event, "default"))[0]
        found.sort(key=lambda event: event.metadata.name or "")
        return [
            (event.type or "", event.reason or "", event.message or "")
            for event in found
            if event.involvedObject.name == name
        ]

    async def reasons(self, name: str = "pod") -> list[str]:
        return [reason for _, reason, _ in await self.events(name)]

    def container(self, name: str = "main") -> str:
        """Return the id of the one running container of a name."""
        [found] = self.runtime.running(name)
        return found


def pod_tree(
    name: str = "pod", labels: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    spec.setdefault("containers", [{"name": "main", "image": IMAGE}])
    spec.setdefault("terminationGracePeriodSeconds", 5)
    spec.setdefault("automountServiceAccountToken", False)
    return {
        "metadata": {"name": name, "namespace": "default", "labels": labels or {"app": name}},
        "spec": {"nodeName": "one", **spec},
    }


@contextlib.asynccontextmanager
async def node(directory: Path) -> AsyncIterator[NodeUnderTest]:
    it = NodeUnderTest(directory)
    async with it.tasks as tasks:
        await it.server.start()
        tasks.spawn(it.server.run(), name="server")
        with contextlib.suppress(AlreadyExists):
            meta = ObjectMeta(name="default")
            await it.client.create(Namespace(metadata=meta, spec=NamespaceSpec()))
        meta = ObjectMeta(name="default", namespace="default")
        await it.client.create(ServiceAccount(metadata=meta))
        await it.start_kubelet()
        yield it
        assert tasks.failures == 0
        assert it.kubelet._tasks.failures == 0


def play(
    monkeypatch: pytest.MonkeyPatch,
    directory: Path,
    story: Callable[[NodeUnderTest], Awaitable[None]],
) -> None:
    """Run a story on a node."""
    tree = directory / "cgroup"
    for controller in ("cpu", "memory"):
        (tree / controller).mkdir(parents=True)
    original = cgroups.Cgroups.__init__

    def elsewhere(self: Any, root: str, version: int, **more: Any) -> None:
        original(self, root, version, **{**more, "mount": tree})

    monkeypatch.setattr(cgroups.Cgroups, "__init__", elsewhere)
    monkeypatch.setattr(mounts, "mount", lambda *_: None)
    monkeypatch.setattr(mounts, "unmount_below", lambda _: None)

    async def main() -> None:
        async with node(directory) as it:
            await story(it)

    run_virtual(main())
