"""Waiting until a cluster that was started is of use.

In:   a running supervisor.
Out:  nothing, when the API server answers and every node is Ready; else why not.
By:   the verbs `up` and `agent`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.cli import api
from kybern.cli.errors import Failed
from kybern.cluster import fleet, processes
from kybern.lib.clock import SYSTEM, rfc3339

if TYPE_CHECKING:
    from pathlib import Path

    from kybern.cluster.directory import Directory
    from kybern.cluster.settings import Settings

    Restarts = dict[tuple[Path, str], int]

SERVER_TIMEOUT = 60.0  # seconds; a cold disk and a large store may need it
NODE_TIMEOUT = 120.0
LOOK_AGAIN = 2  # seconds; meanwhile a program may have ended


def restarts(*places: Directory) -> Restarts:
    """Return how often each program was started again so far.

    Of a cluster that runs already, only what happens from now on says that it does not start.
    """
    return {
        (place.root, child.name): child.restarts
        for place in places
        for child in (processes.find(place) or (0, []))[1]
    }


def wait_server(directory: Directory, chosen: Settings, before: Restarts | None = None) -> None:
    """Wait until the API server answers; `before` is what happened earlier, and does not count.

    Raises:
        Failed: it does not.
    """
    last = ["it did not start"]

    def ready() -> bool:
        check_processes(directory, before=before)
        if not api.listens(chosen):
            return False
        try:
            answer = api.get(directory, chosen, "/readyz", timeout=2.0)
        except OSError as error:
            last[0] = str(error)
            return False
        last[0] = answer.text
        return answer.status == 200

    if not processes.wait_until(ready, SERVER_TIMEOUT):
        raise Failed(
            f"the API server is not ready after {SERVER_TIMEOUT:.0f} s ({last[0]}): look into "
            f"{directory.logs / 'control-plane.log'}."
        )


def wait_nodes(
    directory: Directory, chosen: Settings, since: float = 0.0, before: Restarts | None = None
) -> None:
    """Wait until every node says that it is Ready; what it said before `since` does not count.

    Raises:
        Failed: one is not.
    """
    if chosen.control_plane_only:
        return
    path = (
        f"/api/v1/nodes?watch=1&timeoutSeconds={LOOK_AGAIN}&sendInitialEvents=true"
        "&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    )
    if chosen.node_only:  # a node may look at itself, and at no other
        path += f"&fieldSelector=metadata.name%3D{chosen.node_name}"
    further = [fleet.directory_of(directory, index) for index in range(2, chosen.nodes + 1)]
    earliest = rfc3339(since)
    why = dict.fromkeys(fleet.names(directory, chosen), "it has not registered")
    deadline = SYSTEM.now() + NODE_TIMEOUT
    while SYSTEM.now() < deadline:
        try:
            for event in api.watch(directory, chosen, path, timeout=LOOK_AGAIN + 5):
                _look(event["object"], earliest, why)
                if not why:
                    return
        except OSError as error:
            check_processes(directory, *further, before=before)
            why = {name: f"{text}; {error}" for name, text in why.items()}
            break
        check_processes(directory, *further, before=before)
    name, reason = next(iter(why.items()))
    raise Failed(
        f"the node {name} is not Ready after {NODE_TIMEOUT:.0f} s ({reason}): look into "
        f"{fleet.logs_of(directory, chosen, name) / 'node.log'}."
    )


def _look(node: dict, earliest: str, why: dict[str, str]) -> None:  # type: ignore[type-arg]
    """Strike a node that is Ready off the list; note what one says that is not."""
    name = (node.get("metadata") or {}).get("name", "")
    ready = _ready_condition(node)
    if name not in why or (ready.get("lastHeartbeatTime") or "") < earliest:
        return
    if ready.get("status") == "True":
        del why[name]
    else:
        why[name] = ready.get("message") or why[name]


def _ready_condition(node: dict) -> dict:  # type: ignore[type-arg]
    conditions = (node.get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == "Ready"), {})


def check_processes(*places: Directory, before: Restarts | None = None) -> None:
    """A process that died at once will not come up by waiting: say what it said."""
    known = before or {}
    children = []
    for place in places:
        found = processes.find(place)
        if found is None:
            raise Failed("the cluster was stopped while it started.")
        children += [(place, child) for child in found[1]]
    for place, child in children:
        if child.restarts > known.get((place.root, child.name), 0):
            said = processes.tail(child.log, 1) or f"it ended with {child.last_exit}"
            raise Failed(f"{child.name} does not start: {said}\nIts log is {child.log}.")
