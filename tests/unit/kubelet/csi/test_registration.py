"""Drivers come and go: real sockets, the cluster played or in memory."""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.csi.options import Options
from tests.csi.registrar import registered
from tests.unit.kubelet.csi.played import PlayedDriver
from tests.unit.kubelet.node_under_test import NodeUnderTest, play

from kybern.api import codec
from kybern.api.core.v1 import Node
from kybern.api.storage.v1 import CSIDriver, CSINode, VolumeNodeResources
from kybern.csi import messages as m
from kybern.csi.client import CsiError, SocketTransport, at_socket
from kybern.kubelet.csi.drivers import Drivers
from kybern.kubelet.csi.node_info import NODE_IDS, NodeInfo
from kybern.kubelet.csi.plugins import Plugins, Refused, check
from kybern.kubelet.csi.registration import PluginInfo
from kybern.kubelet.volumes.content import VolumeProblem
from kybern.lib.clock import SYSTEM
from kybern.lib.protobuf import Codec
from kybern.lib.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Callable


class Told:
    """Stands for the cluster: what is installed."""

    def __init__(self) -> None:
        self.installed: dict[str, str] = {}
        self.refuse = 0

    async def install(self, driver: str, info: m.NodeGetInfoResponse) -> None:
        if self.refuse:
            self.refuse -= 1
            raise VolumeProblem("not now")
        self.installed[driver] = info.node_id

    async def uninstall(self, driver: str) -> None:
        del self.installed[driver]

    async def period(self, driver: str) -> int:
        return 0


class Info(PlayedDriver):
    """Says what it calls the node."""

    def _do(self, name: str, asked: Any) -> Any:
        return m.NodeGetInfoResponse("id-of-node")


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.005)


def test_sockets_come_and_go(capsys: pytest.CaptureFixture[str]) -> None:
    async def story(root: Path) -> None:
        played, told = Info(), Told()
        drivers = Drivers(lambda path: SocketTransport(path) if "registry" in path else played)
        directory = root / "plugins_registry"
        a = Options("a.example.com", root / "a.sock", root, "n", root)
        b = Options("b.example.com", root / "b.sock", root, "n", root)
        async with registered(a), Tasks("test") as tasks:
            plugins = Plugins(directory, drivers, told, SYSTEM, tasks)  # type: ignore[arg-type]
            tasks.spawn(plugins.run(), name="plugins")
            async with asyncio.timeout(30):
                await drivers.settled.wait()
            assert told.installed == {"a.example.com": "id-of-node"}  # was there before
            assert drivers.names() == ["a.example.com"]
            told.refuse = 1
            async with registered(b):
                await until(lambda: "b.example.com" in told.installed)
                await until(lambda: "b.example.com registered" in capsys.readouterr().err)
            await until(lambda: "b.example.com" not in told.installed)
            assert drivers.names() == ["a.example.com"]
            with pytest.raises(VolumeProblem, match=r"driver name b.example.com not found"):
                await drivers.get("b.example.com")
        assert "a.example.com" in told.installed  # a kubelet that ends takes nobody out

    with tempfile.TemporaryDirectory() as directory:  # short: a socket's path has 107 characters
        asyncio.run(story(Path(directory)))


@pytest.mark.parametrize(
    ("info", "why"),
    [
        (PluginInfo("DevicePlugin", "d", "/x", ["v1beta1"]), "plugin type: DevicePlugin"),
        (PluginInfo("CSIPlugin", "d", "/x", []), "empty list for supported versions"),
        (PluginInfo("CSIPlugin", "d", "/x", ["0.3.0"]), "versions specified [0.3.0] are supported"),
    ],
)
def test_plugins_that_are_not_taken(info: PluginInfo, why: str) -> None:
    with pytest.raises(Refused) as refused:
        check(info)
    assert why in str(refused.value)
    check(PluginInfo("CSIPlugin", "d", "/x", ["0.3.0", "1.0.0"]))


def test_what_the_cluster_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def story(it: NodeUnderTest) -> None:
        info = NodeInfo(it.client, it.clock, "one")
        found = await it.client.get(CSINode, "one")
        assert found.spec.drivers == []
        assert [o.name for o in found.metadata.ownerReferences or ()] == ["one"]
        zone = m.Topology({"example.com/zone": "a"})
        await info.install("d.example.com", m.NodeGetInfoResponse("n-1", 5, zone))
        await info.install("e.example.com", m.NodeGetInfoResponse("n-2"))
        found = await it.client.get(CSINode, "one")
        [d, e] = found.spec.drivers
        assert (d.name, d.nodeID, d.topologyKeys) == (
            "d.example.com", "n-1", ["example.com/zone"],
        )  # fmt: skip
        assert d.allocatable is not None
        assert (d.allocatable.count, e.allocatable) == (5, None)
        node = await it.client.get(Node, "one")
        assert (node.metadata.labels or {})["example.com/zone"] == "a"
        ids = json.loads((node.metadata.annotations or {})[NODE_IDS])
        assert ids == {"d.example.com": "n-1", "e.example.com": "n-2"}

        await info.install("e.example.com", m.NodeGetInfoResponse("n-2"))  # nothing to write
        again = await it.client.get(CSINode, "one")
        assert again.metadata.resourceVersion == found.metadata.resourceVersion
        await info.install("d.example.com", m.NodeGetInfoResponse("n-1", 6, zone))
        drivers = (await it.client.get(CSINode, "one")).spec.drivers
        limits = {each.name: each.allocatable for each in drivers}
        assert limits == {"d.example.com": VolumeNodeResources(count=6), "e.example.com": None}

        elsewhere = m.NodeGetInfoResponse("n-4", 0, m.Topology({"example.com/zone": "b"}))
        with pytest.raises(VolumeProblem, match="topology value collision"):
            await info.install("f.example.com", elsewhere)
        with pytest.raises(VolumeProblem, match="must not be empty"):
            await info.install("f.example.com", m.NodeGetInfoResponse())

        await info.uninstall("d.example.com")
        await info.uninstall("e.example.com")
        assert (await it.client.get(CSINode, "one")).spec.drivers == []
        node = await it.client.get(Node, "one")
        assert NODE_IDS not in (node.metadata.annotations or {})

        await it.client.delete(Node, "one")
        await it.settle(310)
        node = await it.client.get(Node, "one")  # the kubelet has made another one
        [owner] = (await it.client.get(CSINode, "one")).metadata.ownerReferences or ()
        assert owner.uid == node.metadata.uid

    play(monkeypatch, tmp_path, story)


def test_limits_that_change(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def story(it: NodeUnderTest) -> None:
        class Growing(PlayedDriver):
            limit = 0

            async def call(self, method: str, request: bytes, seconds: float) -> bytes:
                if method.endswith("NodeGetInfo"):
                    self.limit += 1
                    return Codec(m.NodeGetInfoResponse).encode(
                        m.NodeGetInfoResponse("n", self.limit)
                    )
                if method.endswith("GetInfo"):
                    plugin = PluginInfo("CSIPlugin", "d.example.com", "", ["1.0.0"])
                    return Codec(PluginInfo).encode(plugin)
                return b""

        spec = {"nodeAllocatableUpdatePeriodSeconds": 60}
        tree: dict[str, Any] = {"metadata": {"name": "d.example.com"}, "spec": spec}
        await it.client.create(codec.from_tree(tree, CSIDriver))
        played = Growing()
        info = NodeInfo(it.client, it.clock, "one")
        with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as there:
            there.bind(f"{directory}/d.sock")
            plugins = Plugins(Path(directory), played.drivers, info, it.clock, it.tasks)
            running = it.tasks.spawn(plugins.run(), name="plugins")
            await it.settle(125)
            found = played.drivers.find("d.example.com")
            assert found is not None
            assert found.endpoint == f"{directory}/d.sock"
            running.cancel()
        [driver] = (await it.client.get(CSINode, "one")).spec.drivers
        assert driver.allocatable is not None
        assert driver.allocatable.count == 3

    play(monkeypatch, tmp_path, story)


def test_nobody_listens() -> None:
    async def story() -> None:
        csi = at_socket("/nowhere/csi.sock")
        with pytest.raises(CsiError) as caught:
            await csi.probe()
        await csi.close()
        assert caught.value.code == "UNAVAILABLE"
        assert not caught.value.final

    asyncio.run(story())
