"""Reading ConfigMaps and Secrets for pods."""

from __future__ import annotations

import asyncio

import pytest

from kybern.client.transport import Unreachable
from kybern.kubelet.objects import WatchedObjects
from kybern.kubelet.pods.environment import Reference
from kybern.lib.tasks import Tasks


class Down:
    """A client without a server."""

    def __init__(self):
        self.asked = 0

    async def get(self, *_):
        self.asked += 1
        await asyncio.sleep(1)
        raise Unreachable("nobody there")


def test_a_server_that_is_away_fails_the_readers_and_nothing_else(virtual):
    async def main():
        client = Down()
        async with Tasks("kubelet") as tasks:
            objects = WatchedObjects(client, tasks, lambda _: None)
            wanted = [Reference("ConfigMap", "a")]
            asked = [asyncio.create_task(objects.read("default", wanted)) for _ in range(2)]
            for one in asked:
                with pytest.raises(ExceptionGroup) as raised:
                    await one
                assert raised.group_contains(Unreachable)
            assert (client.asked, tasks.failures) == (1, 0)

    virtual(main())
