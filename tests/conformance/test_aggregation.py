"""An API server behind ours, through its whole life."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.conformance.marks import conforms
from tests.unit.apiserver.aggregator.other import FLUNDERS, GROUP, VERSION
from tests.unit.apiserver.aggregator.world import NAME, SERVICES, World, player

if TYPE_CHECKING:
    from pathlib import Path


@conforms(
    "[sig-api-machinery] Aggregator Should be able to support the 1.17 Sample API Server using the "
    "current Aggregator [LinuxOnly] [Conformance]"
)
def test_another_api_server(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        server, one = w.server, f"{SERVICES}/{NAME}"
        await w.register()
        await w.condition(status="True", reason="Passed")
        flunder = {"kind": "Flunder", "apiVersion": f"{GROUP}/{VERSION}",
                   "metadata": {"name": "one"}}  # fmt: skip
        media = {"content_type": "application/json"}
        assert (await w.ask(FLUNDERS, "POST", flunder, **media))[0] == 201
        assert json.loads((await w.ask(FLUNDERS))[1])["items"] == [flunder]
        assert (await w.ask(f"{FLUNDERS}/one", "DELETE"))[0] == 200
        status, body = await w.ask(f"{FLUNDERS}/one")
        assert (status, json.loads(body)["reason"]) == (404, "NotFound")

        status_of = (await server.get(f"{one}/status")).tree
        assert status_of["status"]["conditions"][0]["type"] == "Available"
        priority = {"spec": {"versionPriority": 400}, "metadata": {"labels": {"wardle": "yes"}}}
        patched = await server.patch(one, priority)
        assert patched.tree["spec"]["versionPriority"] == 400
        assert (await w.ask(FLUNDERS))[0] == 200
        listed = (await server.get(f"{SERVICES}?labelSelector=wardle%3Dyes")).tree["items"]
        assert [item["metadata"]["name"] for item in listed] == [NAME]

        extra = {"type": "StatusUpdated", "status": "True", "reason": "E2E", "message": "Set"}
        current = (await server.get(one)).tree
        current["status"]["conditions"].append(extra)
        assert (await server.put(f"{one}/status", current)).status == 200
        conditions = (await server.get(one)).tree["status"]["conditions"]
        assert extra in conditions

        assert (await server.delete(f"{SERVICES}?labelSelector=wardle%3Dyes")).status == 200
        assert (await server.get(one)).status == 404
        await server.settle()
        assert (await w.ask(FLUNDERS))[0] == 404

    player(tmp_path)(story)
