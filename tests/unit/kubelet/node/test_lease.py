"""The node's heartbeat, and connections that are dead without a word."""

from __future__ import annotations

import asyncio

from kybern.kubelet.node.lease import Heartbeat
from kybern.lib.clock import VirtualClock, run_virtual


class Silent:
    """An API server behind a cut cable: the first requests hang."""

    def __init__(self, clock: VirtualClock, hanging: int) -> None:
        self.clock = clock
        self.hanging = hanging
        self.asked: list[float] = []

    async def get(self, *_: object) -> None:
        self.asked.append(self.clock.monotonic())
        if len(self.asked) <= self.hanging:
            await asyncio.get_running_loop().create_future()
        raise asyncio.CancelledError  # enough


def asked(seconds: int) -> list[float]:
    async def main() -> list[float]:
        clock = VirtualClock()
        client = Silent(clock, 2)
        task = asyncio.create_task(
            Heartbeat(client, clock, "n", lambda: "", seconds).run()  # type: ignore[arg-type]
        )
        await asyncio.wait([task])
        return client.asked

    return run_virtual(main())


def test_a_request_that_hangs_is_given_up() -> None:
    assert asked(40) == [0.0, 11.0, 22.0]
    assert asked(6) == [0.0, 7.0, 14.0]
