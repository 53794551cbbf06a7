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
from kybern.lib.http.messages import Request, Response, StreamResponse


class LeaseServer:
    """One Lease, with optimistic concurrency; it may be watched, or not."""

    def __init__(self, *, watchable: bool = True) -> None:
        self.lease: dict | None = None
        self.revision = 0
        self.down = False
        self.watchable = watchable
        self.watchers: list[asyncio.Queue] = []
        self.methods: list[str] = []

    async def __call__(self, request: Request) -> Response:
        if self.down:
            return Response(503, status(503, "ServiceUnavailable", "down"))
        if "watch" in request.query:
            return self.watch() if self.watchable else Response(403, status(403, "Forbidden", "no"))
        self.methods.append(request.method)
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
        for queue in self.watchers:
            queue.put_nowait({"type": "MODIFIED", "object": tree})
        return Response(200, json.dumps(tree).encode())

    def watch(self) -> StreamResponse:
        queue: asyncio.Queue = asyncio.Queue()
        self.watchers.append(queue)

        async def lines():
            while True:
                yield json.dumps(await queue.get()).encode() + b"\n"

        return StreamResponse(200, lines())


def elector(server, identity):
    client = Client(InProcessTransport(server, MASTER), VirtualClock())
    return Elector(client, Election("scheduler", identity))


async def nothing():
    """Lead for no time at all."""


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


@pytest.mark.parametrize(("watchable", "latest"), [(True, 15.0), (False, 17.0)])
def test_a_dead_leader_is_replaced_after_its_lease(watchable, latest):
    async def main():
        server = LeaseServer(watchable=watchable)
        dead = asyncio.create_task(elector(server, "a").run(asyncio.Event().wait))
        await asyncio.sleep(5)
        server.down = True
        dead.cancel()
        await asyncio.wait([dead])
        server.down = False
        since = asyncio.get_running_loop().time()
        await elector(server, "b").run(nothing)
        assert 15 <= asyncio.get_running_loop().time() - since <= latest + 0.01

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


@pytest.mark.parametrize(("watchable", "latest"), [(True, 0.01), (False, 2.01)])
def test_a_lease_given_back_is_taken_at_once(watchable, latest):
    async def main():
        server = LeaseServer(watchable=watchable)
        leader = asyncio.create_task(elector(server, "a").run(asyncio.Event().wait))
        await asyncio.sleep(3)
        follower = asyncio.create_task(elector(server, "b").run(nothing))
        await asyncio.sleep(30.5)
        leader.cancel()
        since = asyncio.get_running_loop().time()
        await follower
        assert asyncio.get_running_loop().time() - since <= latest
        assert server.lease["spec"]["leaseTransitions"] == 1
        await asyncio.wait([leader])

    run_virtual(main())


def test_who_comes_back_under_the_same_identity_need_not_wait():
    async def main():
        server = LeaseServer()
        leader = asyncio.create_task(elector(server, "a").run(asyncio.Event().wait))
        await asyncio.sleep(5)
        server.down = True  # so that it cannot give the lease back, as if it had been killed
        leader.cancel()
        await asyncio.wait([leader])
        server.down = False
        since = asyncio.get_running_loop().time()
        await elector(server, "a").run(nothing)
        assert asyncio.get_running_loop().time() == since
        assert server.lease["spec"]["leaseTransitions"] == 0

    run_virtual(main())


def test_a_leader_renews_with_one_request():
    async def main():
        server = LeaseServer()
        leader = asyncio.create_task(elector(server, "a").run(asyncio.Event().wait))
        await asyncio.sleep(11)
        assert server.methods == ["GET", "POST", *["PUT"] * 5]
        leader.cancel()
        await asyncio.wait([leader])

    run_virtual(main())


def test_a_leader_whose_lease_another_took_stops_at_once():
    async def main():
        server = LeaseServer()
        task = asyncio.create_task(elector(server, "a").run(asyncio.Event().wait))
        await asyncio.sleep(5)
        server.lease["spec"]["holderIdentity"] = "b"
        server.lease["metadata"]["resourceVersion"] = "77"
        with pytest.raises(LostLease):
            await task
        assert asyncio.get_running_loop().time() <= 8.01

    run_virtual(main())


def test_the_lease_is_given_back_only_when_the_work_has_stopped():
    async def main():
        server = LeaseServer()

        async def lead():
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(3)
                assert server.lease["spec"]["holderIdentity"] == "a"

        leader = asyncio.create_task(elector(server, "a").run(lead))
        await asyncio.sleep(5)
        leader.cancel()
        await asyncio.wait([leader])
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
