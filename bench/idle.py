#!/usr/bin/env python3
"""What a cluster costs while nothing happens: memory and CPU of each of its processes.

Usage: bench/idle.py [SECONDS] [DATA_DIR]

Measures the cluster that runs in DATA_DIR, or one of its own, once it has been left alone for 15
seconds. Memory is the resident set; CPU is what /proc/PID/stat says, with ended children.
containerd is shown but not counted, as upstream's figures leave it out.
"""

import json
import sys
import time
from pathlib import Path

import clusters

SETTLE = 15.0
NOT_OURS = "containerd"


def processes(directory):
    state = json.loads((Path(directory) / "run/state.json").read_text())
    found = {child["name"]: child["pid"] for child in state["children"]}
    return {"supervisor": state["pid"], **found}


def measure(pids, seconds=30.0, settle=SETTLE):
    """Return megabytes and percent of a core by process."""
    time.sleep(settle)
    before = {name: clusters.cpu_seconds(pid) for name, pid in pids.items()}
    began = time.perf_counter()
    time.sleep(seconds)
    took = time.perf_counter() - began
    return {
        name: (clusters.memory(pid), 100 * (clusters.cpu_seconds(pid) - before[name]) / took)
        for name, pid in pids.items()
    }


def total(costs):
    """Return megabytes and percent of Kybern's own processes."""
    ours = [cost for name, cost in costs.items() if name != NOT_OURS]
    return sum(cost[0] for cost in ours), sum(cost[1] for cost in ours)


def report(costs):
    lines = [f"{name}: {mb:.0f} MB, {cpu:.1f} % of a core" for name, (mb, cpu) in costs.items()]
    return [*lines, "Kybern's own: {:.0f} MB, {:.1f} % of a core".format(*total(costs))]


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    if len(sys.argv) > 2:
        print("\n".join(report(measure(processes(sys.argv[2]), seconds, settle=0))))
        return
    with clusters.up() as target:
        print("\n".join(report(measure(processes(target.directory), seconds))))


if __name__ == "__main__":
    main()
