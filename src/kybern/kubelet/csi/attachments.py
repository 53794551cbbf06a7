"""Which volumes the node says it uses, and which it is told are attached to it.

In:   what pods are about to use, and do not use any more; the Node as the API server has it.
Out:  `status.volumesInUse`; word when a volume may be used.
By:   mounting.py and unmounting.py; node/status.py reports, agent.py passes the Node on.

A volume is not touched before the node has said that it uses it, and it is detached only after the
node has stopped saying so: that is how both sides keep out of each other's way. Who detaches says
so first and then looks whether the volume is used; so what counts is what was said to be attached
when the API server took the node's word, and not what a watch told before.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.core.v1 import Node


class Attachments:
    """Volumes by their names in the Node's status."""

    def __init__(self) -> None:
        self._in_use: set[str] = set()
        self._reported: frozenset[str] = frozenset()
        self._attached: frozenset[str] = frozenset()
        self._version = 0
        self._changed = asyncio.Event()
        self._report: Callable[[], None] = lambda: None

    def report_with(self, report: Callable[[], None]) -> None:
        """Have a function called when there is something new to report."""
        self._report = report

    def use(self, name: str) -> None:
        """Say that a volume is used, or about to be."""
        if name not in self._in_use:
            self._in_use.add(name)
            self._report()

    def release(self, name: str) -> None:
        """Say that a volume is not used any more."""
        if name in self._in_use:
            self._in_use.remove(name)
            self._report()

    def in_use(self) -> list[str]:
        """Return what is to be reported."""
        return sorted(self._in_use)

    def reported(self, node: Node) -> None:
        """Take the Node as the API server answered the node's report."""
        self.saw(node)
        self._reported = frozenset(node.status.volumesInUse or ())
        self._tell()

    def saw(self, node: Node) -> None:
        """Take the Node as the API server has it; an earlier state than the last is nothing new."""
        version = int(node.metadata.resourceVersion or 0)
        if version < self._version:
            return
        self._version = version
        attached = frozenset(each.name for each in node.status.volumesAttached or ())
        if attached != self._attached:
            self._attached = attached
            self._tell()

    async def wait_attached(self, name: str) -> None:
        """Wait until a volume is reported as used and is said to be attached."""
        while name not in self._reported or name not in self._attached:
            await self._changed.wait()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
