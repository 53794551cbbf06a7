"""One leads at a time; the next takes over when the first is gone."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.unit.client.scripted import status

from kybern.client.in_process import InProcessTransport
from kybern.client.leases import Election, Elector, LostLease
from kybern.client.rest import Client
from kybern.client.transport import MASTER
from kybern.lib.clock import VirtualClock, run_virtual
from kybern.lib.http.messages import Request, Response


class LeaseServer:
    """One Lease, with optimistic concurrency."""

    def __init__(self) -> None:
        self.lease: dict | None = None
        self.revision = 0
        self.down = False

    async def __call__(self, request: Request) -> Response:
        if self.down:
            return Response(503, status(503, "ServiceUnavailable", "down"))
        if request.method == "GET":
            if self.lease is None:
                return Response(404, status(404, "NotFound", "none"))
            return Response(200, json.dumps(self.lease).encode())
        tree = json.loads(await request.body())
        if request.method == "POST":
            if self.lease is not None:
                return Response(409, status(409, "AlreadyExists", "exists"))
        elif tree["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            return Response(409, status(409, "Conflict", "changed"))
        self.revision += 1
        tree["metadata"]["resourceVersion"] = str(self.revision)
        self.lease = tree
        return Response(200, json.dumps(tree).encode())


def elector(server, identity):
    client = Client(InProcessTransport(server, MASTER), VirtualClock())
    return Elector(client, Election("scheduler", identity))


def test_one_leads_and_the_next_follows_when_it_stops():
    async def main():
        server = LeaseServer()
        leading = []

        async def lead(name, seconds):
            leading.append(name)
            await asyncio.sleep(seconds)
            leading.append(f"-{name}")

        async with asyncio.TaskGroup() as group:
            group.create_task(elector(server, "a").run(lambda: lead("a", 100)))
            await asyncio.sleep(1)
            group.create_task(elector(server, "b").run(lambda: lead("b", 10)))
            await asyncio.sleep(90)
            assert leading == ["a"]
            assert server.lease["spec"]["holderIdentity"] == "a"
        assert leading == ["a", "-a", "b", "-b"]
        assert server.lease["spec"]["holderIdentity"] == ""
        assert server.lease["spec"]["leaseTransitions"] == 1

    run_virtual(main())


def test_a_dead_leader_is_replaced_after_its_lease():
    async def main():
        server = LeaseServer()
        dead = asyncio.create_task(elector(server, "a").run(asyncio.Event().wait))
        await asyncio.sleep(5)
        server.down = True
        dead.cancel()
        await asyncio.wait([dead])
        server.down = False
        since = asyncio.get_running_loop().time()
        taken = asyncio.Event()

        async def lead():
            taken.set()

        await elector(server, "b").run(lead)
        assert 15 <= asyncio.get_running_loop().time() - since <= 20

    run_virtual(main())


def test_a_leader_that_is_told_to_stop_gives_the_lease_back():
    async def main():
        server = LeaseServer()
        leader = asyncio.create_task(elector(server, "a").run(asyncio.Event().wait))
        await asyncio.sleep(5)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        assert server.lease["spec"]["holderIdentity"] == ""

    run_virtual(main())


def test_a_leader_that_cannot_renew_stops():
    async def main():
        server = LeaseServer()
        stopped = asyncio.Event()

        async def lead():
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()

        task = asyncio.create_task(elector(server, "a").run(lead))
        await asyncio.sleep(20)
        server.down = True
        with pytest.raises(LostLease):
            await task
        assert stopped.is_set()
        assert asyncio.get_running_loop().time() < 35

    run_virtual(main())
