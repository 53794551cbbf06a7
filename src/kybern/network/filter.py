"""The node's packet filter table, kept as rules.py describes it.

In:   pods' host ports, as pods come and go.
Out:  transactions to `nft`.
By:   cmd/ makes one and hands it to the kubelet, which calls `open` and `close`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from kybern.lib import logs
from kybern.network import nft, rules
from kybern.network.cni import nft_program
from kybern.network.ledger import Ledger
from kybern.network.rules import HostPort

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.network.config import NetworkConfig


log = logs.get("network.filter")


class NodeFilter:
    """Masquerading, and host ports. Does nothing where there is no nft: the CNI plugins do it."""

    def __init__(self, config: NetworkConfig) -> None:
        self._config = config
        self._program = nft_program()
        self._ledger = Ledger(config.state_dir / "host-ports.json")
        self._open: dict[str, tuple[HostPort, ...]] = {}
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Make the table anew, with the host ports that were open when this program ended.

        Those of pods that came or went since then follow through `open` and `close`.
        """
        self._open = self._open or self._ledger.load()
        try:
            await self._apply(rules.table(self._config, self._all_ports()))
        except nft.FilterError as error:
            if not self._open:
                raise
            log.warning("host ports come back with their pods", reason=str(error))
            self._open = {}
            await self._apply(rules.table(self._config))

    async def open(self, uid: str, ports: Iterable[tuple[str, int, str, str, int]]) -> None:
        """Let these ports of the node lead into a pod; those it had before are closed.

        Each is the protocol in lower case, the node's port, its address or "", the pod's address
        and the pod's port.
        """
        wanted = tuple(port for port in (HostPort(*each) for each in ports) if self._has(port))
        before = self._open.get(uid, ())
        if wanted == before:
            return
        gone = {uid: before, **self._gone(uid, wanted)}
        script = "".join(rules.remove_ports(self._config, ports) for ports in gone.values())
        await self._apply(script + rules.add_ports(self._config, wanted))
        for each in gone:
            self._open.pop(each, None)
        if wanted:
            self._open[uid] = wanted
            if any(port.is_on_loopback for port in wanted):
                self._route_loopback()
        self._ledger.save(self._open)

    async def close(self, uid: str) -> None:
        """Close a pod's ports."""
        await self.open(uid, ())

    def _gone(self, uid: str, wanted: Iterable[HostPort]) -> dict[str, tuple[HostPort, ...]]:
        """Return the pods that had one of these ports: they ended while nobody looked."""
        doors = {port.door for port in wanted}
        return {
            other: ports
            for other, ports in self._open.items()
            if other != uid and not doors.isdisjoint(port.door for port in ports)
        }

    def _route_loopback(self) -> None:
        """Let packets of loopback addresses leave on the bridge; the table lets none of them in."""
        path = Path(f"/proc/sys/net/ipv4/conf/{self._config.bridge}/route_localnet")
        try:
            path.write_text("1")
        except OSError as error:  # another's network has no such bridge
            log.warning("host ports cannot be reached at 127.0.0.1", reason=str(error))

    def _has(self, port: HostPort) -> bool:
        """Whether a port is of a family that we have, and its address of the pod's."""
        if port.family == "ip6" and not self._config.cluster_cidr6:
            return False
        return not port.host_ip or (":" in port.host_ip) is (port.family == "ip6")

    def _all_ports(self) -> list[HostPort]:
        return [port for ports in self._open.values() for port in ports]

    async def _apply(self, script: str) -> None:
        if not self._program or not script:
            return
        async with self._turn:
            await nft.apply(self._program, script)
