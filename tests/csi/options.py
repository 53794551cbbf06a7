"""How the driver is told to behave."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Options:
    """One driver on one node.

    Attributes:
        name: the driver's.
        socket: where it listens.
        data: what it keeps; may be shared between nodes.
        node: what it calls this node; "" for none: then it has only a controller service.
        kubelet: the kubelet's root directory, to register there; None not to.
        attach: whether volumes have to be attached.
        stage: whether volumes have to be staged.
        node_expansion: whether the node has to do its part when a volume grows.
        controller: whether it has a controller service.
        mount_group: whether it gives files to a group itself.
        topology: segments of this node.
        max_volumes: how many it can have; 0 for any number.
    """

    name: str
    socket: Path
    data: Path
    node: str = ""
    kubelet: Path | None = None
    attach: bool = True
    stage: bool = True
    node_expansion: bool = True
    controller: bool = True
    mount_group: bool = False
    topology: tuple[tuple[str, str], ...] = ()
    max_volumes: int = 0

    @property
    def calls(self) -> Path:
        """One line of JSON for each call: method, request, and code when it failed."""
        return self.data / f"calls-{self.node}.jsonl"

    @property
    def faults(self) -> Path:
        """What tests want to go wrong; see failing.py."""
        return self.data / "faults.json"


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="A CSI driver whose volumes are directories.")
    parser.add_argument("--name", default="directory.csi.kybern.io")
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--node", default="")
    parser.add_argument("--kubelet", type=Path)
    for flag in ("attach", "stage", "node-expansion", "controller"):
        parser.add_argument(f"--no-{flag}", dest=flag.replace("-", "_"), action="store_false")
    parser.add_argument("--mount-group", action="store_true")
    parser.add_argument("--topology", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--max-volumes", type=int, default=0)
    values = vars(parser.parse_args(arguments))
    segments = [entry.partition("=") for entry in values.pop("topology")]
    return Options(**values, topology=tuple((key, value) for key, _, value in segments))
