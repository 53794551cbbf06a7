"""Adding nodes to a running cluster and taking them away: `kybern up --nodes N`, once more.

In:   a running cluster, and how many nodes it is to have.
Out:  supervisors of new nodes; of those that are gone, nothing, not even the Node object.
By:   `up`.
"""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING

import msgspec

from kybern.cli import api
from kybern.cli.errors import Failed
from kybern.cli.output.progress import step
from kybern.cluster import fleet, processes, slots, wires
from kybern.cluster import settings as settings_file

if TYPE_CHECKING:
    from kybern.cluster.directory import Directory
    from kybern.cluster.settings import Settings


def scale(directory: Directory, chosen: Settings, nodes: int) -> str:
    """Bring the cluster to that many nodes; return what was done, "" for nothing.

    Nodes that should run and do not, because somebody killed them, are started too.
    """
    wanted = msgspec.structs.replace(chosen, nodes=nodes)
    if problems := wanted.check():
        raise Failed(" ".join(problems))
    if nodes > 1 and chosen.node_ip == slots.LOOPBACK:
        raise Failed(
            "this machine had no network when the cluster started, so other nodes cannot reach "
            "it: stop it with `kybern down`, and start it with --nodes."
        )
    done = []
    gone = fleet.surplus(directory, wanted)
    if gone:
        with step("Removing nodes", f"Removed {_nodes(len(gone))}"):
            _remove(directory, chosen, gone)
        done.append(f"{_nodes(len(gone))} removed")
    if wanted != chosen:
        settings_file.save(wanted, directory.settings)
    try:
        fleet.prepare(directory, wanted)
        if started := fleet.start(directory, wanted):
            done.append(f"{_nodes(len(started))} started")
    except processes.StartError as error:
        raise Failed(str(error)) from None
    return ", ".join(done)


def _remove(directory: Directory, chosen: Settings, gone: list[int]) -> None:
    names = [fleet.node_settings(directory, chosen, index).node_name for index in gone]
    problems = fleet.remove(directory, chosen, gone)
    if not fleet.indexes(directory):
        problems += wires.remove(chosen)
    for name in names:
        path = f"/api/v1/nodes/{urllib.parse.quote(name)}"
        answer = api.ask("DELETE", directory, chosen, path)
        if answer.status not in (200, 404):
            problems.append(f"the Node {name} stays: {answer.text}")
    if problems:
        raise Failed(" ".join(problems))


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"
