"""Nodes with the real kubelet, on the runtime in memory that passes the runtime's contract.

What belongs to the machine is played: a mount is a plain directory, what threads do is done at
once, and nobody listens on a port. Images that say `bad` cannot be pulled.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from kybern.client.transport import Identity
from kybern.kubelet import cgroups
from kybern.kubelet.agent import Kubelet
from kybern.kubelet.config import KubeletConfig
from kybern.kubelet.node import facts
from kybern.kubelet.runtime.fake import FakeRuntime
from kybern.kubelet.server.app import KubeletServer
from kybern.kubelet.volumes import mounts
from kybern.lib.tasks import Tasks
from tests.simulation.nodes import LEASE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kybern.kubelet.runtime.messages import sandbox as s
    from tests.simulation.world import Component, World

IMAGES = [f"{name}:{version}" for name in ("app", "good") for version in range(1, 6)]
GIBI = 1 << 30
MACHINE = facts.Machine(
    host_name="node",
    address="192.0.2.10",
    cpus=4,
    memory=8 * GIBI,
    disk=100 * GIBI,
    inodes=1 << 20,
    huge_pages={},
    swap=0,
    architecture="amd64",
    kernel="6.1",
    os_image="Simulated",
    machine_id="0",
    system_uuid="0",
    boot_id="0",
)


class Runtime(FakeRuntime):
    """A runtime whose pods have addresses of their node's."""

    number = 0

    async def run_sandbox(self, config: s.PodSandboxConfig, handler: str = "") -> str:
        """See `Runtime`."""
        id_ = await super().run_sandbox(config, handler)
        network = self._sandboxes[id_].status.network
        assert network is not None
        network.ip = network.ip.replace("10.88.0.", f"10.{self.number + 1}.0.")
        return id_


class RealNode:
    """A machine, and the kubelet on it."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.name = f"node-{number}"
        self.number = number
        self.runtime = self._new_runtime()

    def reboot(self) -> None:
        """Lose what runs."""
        self.runtime = self._new_runtime()

    async def run(self, component: Component) -> None:
        """Be the kubelet."""
        world = self.world
        groups = ("system:nodes", "system:authenticated")
        client = component.client(Identity(f"system:node:{self.name}", groups))
        config = KubeletConfig(
            node_name=self.name,
            data_dir=directory() / self.name,
            runtime_endpoint="",
            node_ip=f"192.0.2.{self.number + 10}",
            cgroup_root=f"/{self.name}",
            status_interval=600.0,
            lease_seconds=LEASE,
            relist_interval=600.0,
        )
        async with Tasks(self.name, clock=world.clock) as tasks:
            informers = component.informers(client, tasks)
            await Kubelet(config, client, self.runtime, world.clock, informers=informers).run()

    def _new_runtime(self) -> Runtime:
        runtime = Runtime(self.world.clock)
        runtime.number = self.number
        for image in IMAGES:
            runtime.add_image(image)
        return runtime


_places: list[Path] = []


def directory() -> Path:
    """Return where the nodes of this run keep their files."""
    return _places[-1]


@contextlib.contextmanager
def played_machine() -> Iterator[None]:
    """Play what belongs to the machine."""
    place = Path(tempfile.mkdtemp(prefix="simulation-"))
    _places.append(place)
    tree = place / "cgroup"
    for controller in ("cpu", "memory"):
        (tree / controller).mkdir(parents=True)
    make = cgroups.Cgroups.__init__

    def elsewhere(self: Any, root: str, version: int, **more: Any) -> None:
        make(self, root, version, **{**more, "mount": tree})

    async def port(_: Any) -> int:
        return 10250

    with contextlib.ExitStack() as stack:
        for target, name, value in (
            (cgroups.Cgroups, "__init__", elsewhere),
            (mounts, "mount", lambda *_: None),
            (mounts, "unmount_below", lambda _: None),
            (KubeletServer, "start", port),
            (facts, "read_machine", lambda _: MACHINE),
            (facts, "memory_available", lambda: 4 * GIBI),
            (facts, "processes", lambda: (1, 1 << 15)),
            (facts, "disk_available", lambda _: (50 * GIBI, 100 * GIBI, 1 << 19, 1 << 20)),
        ):
            stack.enter_context(mock.patch.object(target, name, value))
        try:
            yield
        finally:
            _places.pop()
            shutil.rmtree(place)
