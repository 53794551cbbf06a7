"""A driver in memory: a volume is an empty directory, and what it is asked is kept."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.csi.driver import REQUESTS

from kybern.csi import messages as m
from kybern.csi.client import CsiError
from kybern.csi.messages import NodeRpc
from kybern.kubelet.csi.drivers import Driver, Drivers
from kybern.lib.protobuf import Codec

if TYPE_CHECKING:
    import msgspec
    import pytest

NAME = "played.csi.example.com"
ALL = (
    NodeRpc.STAGE_UNSTAGE_VOLUME, NodeRpc.EXPAND_VOLUME, NodeRpc.GET_VOLUME_STATS,
    NodeRpc.SINGLE_NODE_MULTI_WRITER,
)  # fmt: skip


class PlayedDriver:
    """Carries calls nowhere."""

    def __init__(self, *rpcs: int) -> None:
        self.rpcs = rpcs or ALL
        self.calls: list[tuple[str, Any]] = []
        self.failing: dict[str, list[str]] = {}
        """Codes with which the next calls of a method fail."""
        self.slow: dict[str, asyncio.Event] = {}
        """Until then calls of a method take; what they do, they have done before."""
        self.seconds = 0.0
        """How long every call takes; what it does, it does at once."""
        self.staged: set[str] = set()
        self.published: set[str] = set()
        self.wrong: list[str] = []
        """Calls in an order the specification does not allow."""
        self.closed = False
        self.drivers = Drivers(lambda path: self)

    def put_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have the kubelets of a test find their drivers here."""

        def drivers() -> Drivers:
            self.drivers = Drivers(lambda path: self)
            return self.drivers

        monkeypatch.setattr("kybern.kubelet.csi.side.Drivers", drivers)

    async def register(self) -> None:
        await self.drivers.add(Driver(NAME, "/played.sock", self))

    async def call(self, method: str, request: bytes, seconds: float) -> bytes:
        service, _, name = method.removeprefix("/csi.v1.").partition("/")
        asked = Codec(REQUESTS[service][name]).decode(request)
        self.calls.append((name, asked))
        if codes := self.failing.get(name):
            code = codes.pop(0)
            if not CsiError(code, "").final:
                self._do(name, asked)
            raise CsiError(code, "no luck")
        answer = self._do(name, asked)
        await asyncio.sleep(self.seconds)
        if name in self.slow:
            await self.slow[name].wait()
        return Codec(type(answer)).encode(answer)

    async def close(self) -> None:
        self.closed = True

    def names(self) -> list[str]:
        """Return what it was asked, in short: `Stage`, `Publish`…"""
        names = [re.sub("^Node|Volume$", "", name) for name, _ in self.calls]
        return [name for name in names if not name.startswith("Get")]

    def asked(self, name: str) -> Any:
        """Return the one request of a method."""
        [found] = [request for method, request in self.calls if method == name]
        return found

    def _judge(self, name: str, asked: Any) -> None:
        stages = NodeRpc.STAGE_UNSTAGE_VOLUME in self.rpcs
        if name == "NodeStageVolume":
            self.staged.add(asked.volume_id)
        elif name == "NodePublishVolume":
            if stages and asked.volume_id not in self.staged:
                self.wrong.append("published, and not staged")
            self.published.add(f"{asked.volume_id} {asked.target_path}")
        elif name == "NodeUnpublishVolume":
            self.published.discard(f"{asked.volume_id} {asked.target_path}")
        elif name == "NodeUnstageVolume":
            if any(each.startswith(f"{asked.volume_id} ") for each in self.published):
                self.wrong.append("unstaged, and still published")
            self.staged.discard(asked.volume_id)

    def _do(self, name: str, asked: Any) -> msgspec.Struct:
        self._judge(name, asked)
        if name == "NodeGetCapabilities":
            can = [m.ServiceCapability(m.RpcType(rpc)) for rpc in self.rpcs]
            return m.GetCapabilitiesResponse(can)
        if name == "NodePublishVolume":
            assert Path(asked.target_path).parent.is_dir()
            Path(asked.target_path).mkdir(exist_ok=True)
        if name == "NodeUnpublishVolume" and Path(asked.target_path).exists():
            os.rmdir(asked.target_path)
        if name == "NodeExpandVolume":
            return m.NodeExpandVolumeResponse(asked.capacity_range.required_bytes)
        if name == "NodeGetVolumeStats":
            usage = m.VolumeUsage(1, 3, 2, m.UsageUnit.BYTES)
            return m.NodeGetVolumeStatsResponse([usage])
        return m.Empty()
