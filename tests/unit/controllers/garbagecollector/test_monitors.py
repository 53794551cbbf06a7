"""Kinds are followed as they come and go."""

from __future__ import annotations

import json

from tests.unit.client.scripted import ScriptedApi

from kybern.api.core.v1 import Pod
from kybern.client.in_process import InProcessTransport
from kybern.client.informer import Informers
from kybern.client.metadata import Partial, PartialMetadata
from kybern.client.rest import Client
from kybern.client.transport import MASTER
from kybern.controllers.garbagecollector.monitors import Monitors
from kybern.lib.clock import VirtualClock, run_virtual
from kybern.lib.http.messages import Request, Response
from kybern.lib.tasks import Tasks

VERBS = ["delete", "list", "watch", "get"]


class World:
    """An API server whose kinds can be changed; each resource is a ScriptedApi."""

    def __init__(self) -> None:
        self.served = {("", "pods"): "Pod", ("example.com", "widgets"): "Widget"}
        self.stale: set[str] = set()
        self.apis: dict[str, ScriptedApi] = {}
        self.asked = 0

    def api(self, plural: str) -> ScriptedApi:
        return self.apis.setdefault(plural, ScriptedApi())

    async def __call__(self, request: Request):
        if request.path in ("/api", "/apis"):
            self.asked += 1
            return Response(200, json.dumps(self.document(request.path == "/api")).encode())
        return await self.api(request.path.rsplit("/", 1)[1]).app(request)

    def document(self, core: bool):
        groups: dict[str, list] = {}
        for (group, plural), kind in self.served.items():
            if bool(group) is not core:
                groups.setdefault(group, []).append(
                    {
                        "resource": plural,
                        "responseKind": {"group": group, "version": "v1", "kind": kind},
                        "scope": "Namespaced",
                        "verbs": VERBS,
                    }
                )
        items = [
            {
                "metadata": {"name": group},
                "versions": [
                    {
                        "version": "v1",
                        "resources": resources,
                        "freshness": "Stale" if group in self.stale else "Current",
                    }
                ],
            }
            for group, resources in groups.items()
        ]
        return {"kind": "APIGroupDiscoveryList", "items": items}


def thing(name, kind="Widget", **metadata):
    return {"kind": kind, "metadata": {"name": name, "namespace": "ns", "uid": name, **metadata}}


def put(api: ScriptedApi, tree) -> None:
    api.put(Partial(kind=tree["kind"], metadata=PartialMetadata(**tree["metadata"])))


def test_kinds_come_and_go():
    async def main():
        world = World()
        client = Client(InProcessTransport(world, MASTER), VirtualClock())
        async with Tasks() as tasks:
            informers = Informers(client, tasks)
            typed = informers.of(Pod)
            seen, gone, dropped = [], [], []
            monitors = Monitors(
                client,
                informers,
                lambda kind, obj: seen.append((kind.kind, obj.metadata.name)),
                lambda kind, obj: gone.append((kind.kind, obj.metadata.name)),
            )
            put(world.api("pods"), thing("p", "Pod"))
            put(world.api("widgets"), thing("w"))
            tasks.spawn(monitors.run(dropped.extend), name="monitors")
            await client.clock.sleep(5)
            assert sorted(seen) == [("Pod", "p"), ("Widget", "w")]
            assert monitors.statistics() == {"kinds": 2, "own": 1}  # pods are followed anyway
            assert informers.shared(monitors.resolve("v1", "Pod")) is typed
            assert monitors.resolve("example.com/v9", "Widget").plural == "widgets"
            assert monitors.resolve("example.com/v1", "Gear") is None
            assert world.asked == 2  # and not again and again

            world.served["example.com", "gears"] = "Gear"
            put(world.api("gears"), thing("g", "Gear"))
            put(world.api("customresourcedefinitions"), thing("gears"))
            await client.clock.sleep(5)
            assert ("Gear", "g") in seen
            assert monitors.resolve("example.com/v1", "Gear") is not None

            world.api("gears").delete("ns", "g")
            del world.served["example.com", "gears"]
            put(world.api("customresourcedefinitions"), thing("gears", deletionTimestamp="now"))
            await client.clock.sleep(5)
            assert gone == [("Gear", "g")]
            assert [kind.kind for kind in dropped] == ["Gear"]
            assert monitors.resolve("example.com/v1", "Gear") is None

    run_virtual(main())


def test_a_group_that_does_not_answer_is_not_given_up():
    async def main():
        world = World()
        client = Client(InProcessTransport(world, MASTER), VirtualClock())
        async with Tasks() as tasks:
            dropped = []
            monitors = Monitors(client, Informers(client, tasks), lambda *_: None, lambda *_: None)
            tasks.spawn(monitors.run(dropped.extend), name="monitors")
            await client.clock.sleep(5)
            world.stale.add("example.com")
            put(world.api("apiservices"), thing("example"))
            await client.clock.sleep(100)
            assert dropped == []
            assert monitors.statistics()["kinds"] == 2
            assert 6 < world.asked < 30  # asked again, because nobody would tell us
            world.stale.clear()
            await client.clock.sleep(60)
            asked = world.asked
            await client.clock.sleep(1000)
            assert world.asked == asked

    run_virtual(main())
