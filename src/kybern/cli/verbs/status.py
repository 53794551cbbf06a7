"""`kybern status`: what runs where, since when, with which health."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kybern.cli import api, control_planes
from kybern.cli.loading import settings_of
from kybern.cluster import fleet, processes
from kybern.lib.clock import SYSTEM

if TYPE_CHECKING:
    from kybern.cluster.directory import Directory
    from kybern.cluster.processes import Running
    from kybern.cluster.settings import Settings


def run(directory: Directory) -> int:
    """Print the state; return 0 when everything is well, 1 when something is not."""
    found = processes.find(directory)
    if found is None:
        sys.stdout.write(f"No cluster runs in {directory.root}.\n")
        return 1
    chosen = settings_of(directory)
    rows: list[tuple[str, ...]] = [("PROCESS", "PID", "SINCE", "RESTARTS", "MEMORY")]
    rows += _processes(*found)
    well = all(child.pid for child in found[1])
    for index in fleet.indexes(directory):
        further = processes.find(fleet.directory_of(directory, index))
        well = well and further is not None and all(child.pid for child in further[1])
        rows += _processes(*(further or (0, [])), suffix=f" {index}")
    health = _health(directory, chosen)
    server = ("API server", chosen.server, "ready" if not health else health[0])
    places = [*control_planes.rows(directory, chosen), *_nodes(directory, chosen)]
    sys.stdout.write(_table(rows) + "\n" + _table([server, *places]))
    return 0 if well and not health else 1


def _processes(pid: int, children: list[Running], suffix: str = "") -> list[tuple[str, ...]]:
    """Return the lines of one supervisor; pid 0 means that it does not run."""
    rows: list[tuple[str, ...]] = [
        (f"supervisor{suffix}", str(pid or "-"), "", "", _memory(pid) if pid else "-")
    ]
    for child in children:
        since = _ago(SYSTEM.now() - child.started) if child.pid else "-"
        restarts = str(child.restarts) + (f" (last: {child.last_exit})" if child.restarts else "")
        name = f"{child.name}{suffix}"
        rows.append((name, str(child.pid or "-"), since, restarts, _memory(child.pid)))
    return rows


def _health(directory: Directory, chosen: Settings) -> list[str]:
    try:
        answer = api.get(directory, chosen, "/readyz")
    except OSError as error:
        return [f"does not answer: {error}"]
    return [] if answer.status == 200 else [f"not ready: {answer.text}"]


def _nodes(directory: Directory, chosen: Settings) -> list[tuple[str, ...]]:
    try:
        path = "/api/v1/nodes"
        if chosen.node_only:  # it may look at itself, and at no other
            path += f"?fieldSelector=metadata.name%3D{chosen.node_name}"
        items = api.get(directory, chosen, path).json().get("items", [])
    except (OSError, ValueError):
        return []
    return [("node", n["metadata"]["name"], _ready(n)) for n in items]


def _ready(node: dict) -> str:  # type: ignore[type-arg]
    for condition in node.get("status", {}).get("conditions", []):
        if condition["type"] == "Ready":
            ready: str = condition["status"]
            return "Ready" if ready == "True" else f"NotReady: {condition.get('message', '')}"
    return "NotReady"


def _memory(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
    except (OSError, ValueError):
        return "-"
    return f"{pages * 4096 / 1e6:.0f} MB"


def _ago(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    lines = ("   ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows)
    return "\n".join(lines) + "\n"
