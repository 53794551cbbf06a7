"""Who works in a directory keeps its identity, and takes turn after turn."""

import asyncio
import json
import subprocess
import sys

from tests.unit.client.test_leases import LeaseServer, elector
from tests.unit.cluster.test_join import World

from kybern.api.coordination.v1 import Lease
from kybern.api.core.v1 import ServiceAccount
from kybern.api.errors import NotFound
from kybern.client.in_process import InProcessTransport
from kybern.client.leases import Election
from kybern.client.rest import Client
from kybern.client.transport import MASTER
from kybern.cmd.election import own_identity, take_turns
from kybern.lib.clock import VirtualClock, run_virtual

ASK = "import sys; from pathlib import Path; from kybern.cmd.election import own_identity; "


def test_an_identity_outlives_its_process_but_is_not_shared(tmp_path):
    path = tmp_path / "identity"
    ask = [sys.executable, "-c", f"{ASK}print(own_identity(Path(sys.argv[1])))", str(path)]
    first, second = (
        subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(2)
    )
    assert first == second == own_identity(path)
    while_we_live = subprocess.run(ask, capture_output=True, text=True, check=True)
    assert while_we_live.stdout.strip() != first


def test_who_lost_the_lease_works_again_when_it_is_free():
    async def main():
        server = LeaseServer()
        client = Client(InProcessTransport(server, MASTER), VirtualClock())
        events = []

        async def work():
            events.append("begin")
            try:
                await asyncio.Event().wait()
            finally:
                events.append("end")

        task = asyncio.create_task(take_turns(client, Election("scheduler", "a"), work))
        await asyncio.sleep(5)
        server.lease = json.loads(json.dumps(server.lease).replace('"a"', '"b"'))
        server.lease["metadata"]["resourceVersion"] = "100"
        await asyncio.sleep(10)
        assert events == ["begin", "end"]
        await elector(server, "b").run(lambda: asyncio.sleep(20))
        await asyncio.sleep(1)
        assert events == ["begin", "end", "begin"]
        task.cancel()
        await asyncio.wait([task])
        assert server.lease["spec"]["holderIdentity"] == ""

    run_virtual(main())


def test_a_control_plane_with_a_store_of_its_own_holds_no_election(tmp_path, live):
    world = World(tmp_path)

    async def story(admin):
        await controllers_work(admin)
        leases, _ = await admin.list(Lease, "kube-system")
        assert leases == []

    live(world.run(story))


async def controllers_work(admin):
    """Wait until the controllers are at work."""
    while True:
        try:
            await admin.get(ServiceAccount, "default", "default")
            return
        except NotFound:
            await asyncio.sleep(0.02)
