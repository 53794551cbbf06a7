#!/usr/bin/env python3
"""Measure everything and write bench/results.md: what `make bench` runs, in about eight minutes.

Usage: bench/run.py [--quick] [--out FILE]

Every cluster is started in a directory of its own and removed afterwards. What cannot be measured
here (no root, no wrk) is said so in the table; a figure that falls short of its target stays as it
is. `--quick` measures for a second where the full run takes twelve; its table goes to the terminal.
"""

import argparse
import datetime
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import api_load
import calibrate
import cleanup
import clusters
import handover
import idle
import many_clients
import many_pods
import pod_start
import scheduling
import service_changes
import store_life
import workloads

HERE = Path(__file__).resolve().parent
UPSTREAM_DAY = "python 2157 loops/s, json 14709 round trips/s, fsync 2612/s"
MISSING = "not measured"
UPDATES = 1_000_000


@dataclass
class Row:
    """One line of the table."""

    what: str
    upstream: str
    target: str
    ours: str = MISSING


ROWS = {
    "up": Row("`kybern up` to node Ready, first start", "-", "3 s"),
    "again": Row("`kybern up` to node Ready, later starts", "-", "3 s"),
    "readyz": Row("API server alone answers `/readyz` after start", "3.2-4.7 s", "0.7 s"),
    "pod": Row(
        "pod creates, 32 connections, API server alone",
        "620-840/s (p99 99 ms)",
        "2,500/s (p99 ≤ 40 ms)",
    ),
    "configmap": Row(
        "configmap creates (500 B), 32 connections, API server alone", "1,180-1,320/s", "5,000/s"
    ),
    "get": Row(
        "pod GETs, 32 connections, API server alone",
        "2,240-2,430/s (3,830/s stale; p99 45 ms)",
        "12,000/s",
    ),
    "pod with all": Row("pod creates, whole control plane", "-", "2,500/s"),
    "get with all": Row("pod GETs, whole control plane", "-", "12,000/s"),
    "list": Row("LIST of 8,881 pods (52 MB), one client", "0.80 s", "0.15 s"),
    "scheduling": Row(
        "scheduling through the API, 1,000 nodes, 3,000 pods, create to last bind",
        "181-191 pods/s",
        "1,000 pods/s",
    ),
    "pods of one set": Row("one ReplicaSet of 10,000 pods: all created", "-", "8 s"),
    "deployments": Row("1,000 Deployments of one replica, fake nodes: all ready", "-", "10 s"),
    "namespace": Row("namespace with 10,000 objects: deleted", "-", "10 s"),
    "orphans": Row("10,000 orphans of one owner: collected", "-", "10 s"),
    "at rest": Row("idle control plane, 10,000 running pods, over 30 s", "-", "0.5 % of a core"),
    "at start": Row(
        "cold start with 150,000 pods of 1,500 Deployments: all seen, nothing left to do",
        "-",
        "30 s",
    ),
    "one": Row("pod start, image present, one at a time, p50", "0.62 s", "0.3 s"),
    "burst": Row("30 pods at once, all Ready", "8.8 s", "5 s"),
    "stopped": Row("no scheduler after the leader of three was stopped", "-", "2 s"),
    "killed": Row("no scheduler after the leader and its machine were killed", "-", "15 s"),
    "restarted": Row("no scheduler after the leader was killed and started again", "-", "-"),
    "sqlite": Row("durable creates of 3 kB, 64 writers, store on SQLite", "-", "5,000/s"),
    "etcd": Row("durable creates of 3 kB, 64 writers, store on etcd", "-", "2,000/s"),
    "paced": Row("200 writes/s among 5,000 secrets", "k3s 1.4 s (etcd 0.35 s)", "50 ms"),
    "crowd": Row("1,000 clients that write at once", "k3s 32-89 % errors", "no error"),
    "updates": Row(
        f"file of 1,000 objects of 3 kB after {UPDATES:,} updates, against what is current",
        "-",
        "3 times",
    ),
    "snapshot": Row("snapshot of 150,000 objects of 3 kB under 32 writers", "-", "-"),
    "large": Row("`/readyz` with 150,000 objects of 3 kB; a list of 100,000", "-", "10 s"),
    "change": Row(
        "change of a Service's endpoints, request to kernel, p99 among 1,000 and 10,000 Services",
        "-",
        "100 ms, 300 ms",
    ),
    "full sync": Row(
        "10,000 Services into the kernel at once; memory of the proxy then", "-", "3 s; 150 MB"
    ),
    "first packet": Row(
        "first packet of a connection among 10,000 Services, against 10", "-", "1.2 times"
    ),
    "dns": Row(
        "DNS answers, as many names as Services; p99 at 40,000/s",
        "CoreDNS 33,669/s",
        "40,000/s (p99 ≤ 2 ms)",
    ),
    "ingress": Row("HTTP through an Ingress, against the same proxy by hand", "-", "80 %"),
    "memory": Row("idle memory of Kybern's processes (RSS)", "656 MB", "200 MB"),
    "cpu": Row("idle CPU, over 30 s", "11 % of a core", "2 %"),
}


def main():
    flags = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    flags.add_argument("--quick", action="store_true")
    flags.add_argument("--out", type=Path, default=HERE / "results.md")
    args = flags.parse_args()
    seconds = 1 if args.quick else 4
    began = time.perf_counter()
    line = calibrate.measure()
    say(line)
    notes = []
    for part in (
        measure_api_server,
        measure_store,
        measure_many_clients,
        measure_node,
        measure_control_plane,
        measure_many_pods,
        measure_network,
        measure_store_life,
        measure_handover,
    ):
        try:
            part(seconds, notes, quick=args.quick)
        except (SystemExit, Exception) as error:  # noqa: BLE001 - the others can be measured
            traceback.print_exc()
            notes.append(f"{part.__name__.replace('_', ' ')} failed: {error}")
        text = document(line, notes, time.perf_counter() - began)
        if not args.quick:  # after each part: a run that is broken off has measured something
            args.out.write_text(text, encoding="utf-8")
    print(text if args.quick else f"wrote {args.out}")


def measure_api_server(seconds, notes, *, quick):
    """Measure the API server alone."""
    if shutil.which("wrk") is None:
        notes.append("wrk is not installed: `apt-get install wrk`")
        return
    starts = []
    for _ in range(1 if quick else 3):
        with clusters.api_server_alone() as target:
            starts.append(target.took)
    ROWS["readyz"].ours = f"{statistics.median(starts):.2f} s"
    say(f"/readyz after {', '.join(f'{s:.2f}' for s in starts)} s")
    with clusters.api_server_alone() as target:
        figures = api_load.measure(target, seconds, 1 if quick else 3, long_list=not quick)
        say("\n".join(api_load.report(figures)))
    for key in ("pod", "configmap", "get"):
        ROWS[key].ours = rate(figures[key])
    if "list" in figures:
        took, size = figures["list"]
        ROWS["list"].ours = f"{took:.2f} s ({size / 1e6:.0f} MB)"


def measure_control_plane(seconds, notes, *, quick):
    """Measure API server, controllers and scheduler in one process."""
    nodes, pods = (200, 600) if quick else (1000, 3000)
    with clusters.up("--control-plane-only") as target:
        ROWS["scheduling"].ours = f"{scheduling.measure(target, nodes, pods):,.0f} pods/s"
    with clusters.up("--control-plane-only") as target:
        created, ready = workloads.measure(target, *((1000, 100) if quick else ()))
        ROWS["pods of one set"].ours = f"{created:.1f} s"
        ROWS["deployments"].ours = f"{ready:.1f} s"
    with clusters.up("--control-plane-only") as target:
        gone, collected = cleanup.measure(target, 1000 if quick else 10_000)
        ROWS["namespace"].ours, ROWS["orphans"].ours = f"{gone:.1f} s", f"{collected:.1f} s"
    if shutil.which("wrk"):
        with clusters.up("--control-plane-only") as target:
            figures = api_load.measure(target, seconds, 1 if quick else 3, long_list=False)
            say("\n".join(api_load.report(figures)))
        ROWS["pod with all"].ours = rate(figures["pod"])
        ROWS["get with all"].ours = rate(figures["get"])


def measure_many_pods(_seconds, _notes, *, quick):
    """Measure a control plane with very many pods, at rest and when it starts."""
    percent, resident = many_pods.at_rest(*((1000, 3.0) if quick else ()))
    ROWS["at rest"].ours = f"{percent:.1f} % ({resident:,.0f} MB)"
    ROWS["at start"].ours = str(many_pods.at_start(10_000 if quick else 150_000))
    for key in ("at rest", "at start"):
        say(f"{ROWS[key].what}: {ROWS[key].ours}")


def measure_handover(_seconds, notes, *, quick):
    """Measure three control planes over etcd, of which the leading one goes."""
    if shutil.which("etcd") is None:
        notes.append("etcd is not installed: `apt-get install etcd-server`")
        return
    for way, seconds in handover.measure(1 if quick else 3).items():
        ROWS[way].ours = f"{statistics.median(seconds):.1f} s (at most {max(seconds):.1f} s)"
        say(f"{handover.WAYS[way]}: {', '.join(f'{s:.2f}' for s in seconds)} s")


def measure_store(_seconds, _notes, *, quick):
    """Measure what is under the API server, alone."""
    del quick
    for engine in ("sqlite", "etcd"):
        command = [sys.executable, str(HERE / "store.py"), "--quick", "--engine", engine]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = re.search(
            r"creates of 3000 B, 64 writers \| (\S+) \| \S+ ms \| (\S+) ms", done.stdout
        )
        ROWS[engine].ours = f"{found[1]} (p99 {float(found[2]):.0f} ms)"
        say(f"{ROWS[engine].what}: {ROWS[engine].ours}")


def measure_many_clients(_seconds, _notes, *, quick):
    """Measure writes of many clients among many objects."""
    del quick
    with clusters.api_server_alone() as target:
        figures = many_clients.measure(target)
    lines = many_clients.report(figures)
    say("\n".join(lines))
    for key, line in zip(("paced", "crowd"), lines, strict=True):
        ROWS[key].ours = line.partition(": ")[2]


def measure_store_life(_seconds, _notes, *, quick):
    """Measure what becomes of the store's file, and of much in it."""
    objects = 15_000 if quick else 150_000
    seconds, count, times, largest, log = store_life.updates(UPDATES // (50 if quick else 1), 3000)
    first, last = times[: len(times) // 10], times[-(len(times) // 10) :]
    ROWS["updates"].ours = (
        f"{largest:.2f} times; log {log:.0f} MB; p99 {store_life.p99(first):.0f} ms in the first"
        f" tenth, {store_life.p99(last):.0f} ms in the last ({count / seconds:,.0f}/s)"
    )
    say(store_life.report(seconds, count, times, largest, log))
    ROWS["snapshot"].ours = store_life.snapshots(objects, 3000)
    ROWS["large"].ours = store_life.large(objects, objects * 2 // 3, 3000)
    say(f"snapshot: {ROWS['snapshot'].ours}\n150,000 objects: {ROWS['large'].ours}")


def measure_network(_seconds, notes, *, quick):
    """Measure Services, names and Ingresses."""
    if os.geteuid() != 0:
        notes.append("the network needs root: its figures are missing")
        return
    took = {
        count: service_changes.p99(seconds) * 1000
        for count, seconds in service_changes.measure([100] if quick else [1000, 10_000])
    }
    ROWS["change"].ours = ", ".join(f"{each:.0f} ms" for each in took.values())
    if quick:
        return
    said = script("proxy.py")
    full = float(re.findall(r"full sync s ([\d.]+)", said)[-1])
    memory = float(re.findall(r"peak RSS MB ([\d.]+)", said)[-1])
    ROWS["full sync"].ours = f"{full:.1f} s; {memory:.0f} MB"
    packets = [float(each) for each in re.findall(r"first packet us ([\d.]+)", said)]
    ROWS["first packet"].ours = f"{packets[-1] / packets[0]:.2f} times"
    for program, part in (("dnsperf", measure_dns), ("wrk", measure_ingress)):
        if shutil.which(program):
            part()
        else:
            notes.append(f"{program} is not installed: `apt-get install {program}`")


def measure_dns():
    """Measure names."""
    found = re.search(r"every service \| (\S+) \| \S+ ms \| (\S+) ms", script("dns.py"))
    ROWS["dns"].ours = f"{found[1]}/s (p99 {float(found[2]):.1f} ms)"


def measure_ingress():
    """Measure Ingresses."""
    said = script("ingress.py")
    costs = dict(re.findall(r"\| (by hand|ours) \|.*\| ([\d.]+) µs", said))
    ROWS["ingress"].ours = (
        f"{float(re.search(r'by hand: ([0-9.]+)', said)[1]):.0%} (a request costs the processor "
        f"{costs['ours']} µs, by hand {costs['by hand']} µs)"
    )


def script(name):
    """Run one of the scripts beside this file; return what it prints."""
    command = [sys.executable, str(HERE / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    say(done.stdout)
    return done.stdout


def measure_node(seconds, notes, *, quick):
    """Measure a cluster with a node."""
    if os.geteuid() != 0:
        notes.append("a node needs root: its figures are missing")
        return
    first, again = [], []
    for _ in range(1 if quick else 3):
        with clusters.up() as target:
            first.append(target.took)
            clusters.stop(target)
            again.append(clusters.start_up(target))
    for key, times in (("up", first), ("again", again)):
        ROWS[key].ours = f"{statistics.median(times):.1f} s"
        say(f"{ROWS[key].what}: {', '.join(f'{t:.1f}' for t in times)} s")
    with clusters.up(image=True) as target:
        costs = idle.measure(idle.processes(target.directory), 3.0 if quick else 30.0)
        say("\n".join(idle.report(costs)))
        memory, cpu = idle.total(costs)
        each = ", ".join(f"{n} {c[0]:.0f}" for n, c in costs.items() if n != idle.NOT_OURS)
        ROWS["memory"].ours = f"{memory:.0f} MB ({each})"
        ROWS["cpu"].ours = f"{cpu:.1f} % of a core"
        if idle.NOT_OURS in costs:
            mb, percent = costs[idle.NOT_OURS]
            notes.append(
                f"containerd, which neither figure counts, took {mb:.0f} MB and {percent:.1f} % of "
                "a core when idle"
            )
        one, burst = pod_start.measure(target, one_by_one=3 if quick else 10)
        ROWS["one"].ours = f"{one:.2f} s"
        ROWS["burst"].ours = f"{burst:.1f} s"


def rate(figure):
    """Return a rate with its p99, and what went wrong."""
    bad = figure["refused"] + figure["broken"]
    failed = f", {bad} failed" if bad else ""
    return f"{figure['rate']:,.0f}/s (p99 {figure['p99']:.0f} ms{failed})"


def document(line, notes, took):
    """Return the results as Markdown."""
    cores = os.cpu_count()
    commit = subprocess.run(
        ["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"],
        capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    day = datetime.datetime.now(datetime.UTC).date()
    rows = "\n".join(f"| {r.what} | {r.upstream} | {r.target} | {r.ours} |" for r in ROWS.values())
    said = "".join(f"- {note}\n" for note in notes)
    return f"""# How fast Kybern is

Measured on {day} at commit {commit}, on one machine with {cores} cores, Linux {platform.release()}
and Python {platform.python_version()}; the load generator runs on the same machine. `make bench`
({took:.0f} s) makes this file anew.

This machine, by `bench/calibrate.py`: **{line}**.
The day upstream was measured it printed {UPSTREAM_DAY}: compare through that line.

| What | Upstream v1.36.2 with etcd | Target | Ours |
|---|---|---|---|
{rows}

Pods of the load are some 6 kB when stored, so that 8,881 of them make 52 MB as upstream's did, and
nobody's to schedule. "API server alone" is `kybern apiserver` over SQLite, which syncs to disk
before it answers; "whole control plane" is `kybern up --control-plane-only`, whose controllers and
scheduler follow along in the same process. wrk sends over TLS for some seconds, three times; the
round in the middle counts, and so it is with starts.
{said}"""


def say(text):
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
