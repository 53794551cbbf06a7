"""Two API servers over one store never give out the same address or port."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.unit.apiserver.harness import DEFAULT, Server

from kybern.lib.clock import VirtualClock, run_virtual
from kybern.store.kv.memory import MemoryEngine
from kybern.store.objects import Store

if TYPE_CHECKING:
    from kybern.store.interface import Entry

SERVICES = f"{DEFAULT}/services"


class SlowStore(Store):
    """Several servers write to it, and writing takes a while."""

    shared = True

    async def create(self, key: str, data: bytes, ttl: float | None = None) -> Entry:
        await asyncio.sleep(0.01)
        return await super().create(key, data, ttl)


def service(name: str, port: int = 0, address: str = "") -> dict[str, Any]:
    ports: list[dict[str, Any]] = [{"port": 80}]
    if port:
        ports[0]["nodePort"] = port
    spec: dict[str, Any] = {"type": "NodePort", "ports": ports}
    if address:
        spec["clusterIP"] = address
    return {"metadata": {"name": name}, "spec": spec}


def two(story: Any, **settings: Any) -> None:
    async def main() -> None:
        store = SlowStore(MemoryEngine(), VirtualClock())
        more = {"store": store, "clock": VirtualClock(), **settings}
        async with Server(**more) as one, Server(advertise_address="192.0.2.2", **more) as other:
            await story(one, other)

    run_virtual(main())


def test_what_one_gave_the_other_does_not() -> None:
    async def story(one: Server, other: Server) -> None:
        for turn in range(5):
            answers = [await one.post(SERVICES, service(f"a{turn}"))]
            answers.append(await other.post(SERVICES, service(f"b{turn}")))
            assert [answer.status for answer in answers] == [201, 201]
        full = await one.post(SERVICES, service("one-more"))
        assert "failed to allocate a nodePort: range is full" in full.message
        taken = (await one.get(f"{SERVICES}/b3")).tree["spec"]["ports"][0]["nodePort"]
        again = await one.post(SERVICES, service("again", taken))
        assert "provided port is already allocated" in again.message
        await other.delete(f"{SERVICES}/b3")
        assert (await one.post(SERVICES, service("again", taken))).status == 201
        assert "is full" in (await other.post(SERVICES, service("and-again"))).message

    two(story, node_ports=(30000, 30009))


def test_of_two_that_want_the_same_at_once_the_first_has_it() -> None:
    async def story(one: Server, other: Server) -> None:
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(server.post(SERVICES, service(name, 30100, "10.96.0.100")))
                for server, name in ((one, "x"), (other, "y"))
            ]
        first, second = sorted((task.result() for task in asked), key=lambda a: a.status)
        assert (first.status, second.status) == (201, 409)
        assert "another API server allocated 10.96.0.100, 30100" in second.message
        names = {item["metadata"]["name"] for item in (await one.get(SERVICES)).tree["items"]}
        assert names == {"kubernetes", first.tree["metadata"]["name"]}
        for server in (one, other):  # the number is not free again
            assert (await server.post(SERVICES, service("z", 30100))).status == 422
        await other.delete(f"{SERVICES}/{first.tree['metadata']['name']}")
        assert (await one.post(SERVICES, service("z", 30100, "10.96.0.100"))).status == 201

    two(story)
