#!/usr/bin/env python3
"""How many requests an API server answers: creates, reads, a long list.

Usage: bench/api_load.py [SERVER TOKEN] [SECONDS]      needs wrk (Debian: apt install wrk)

wrk sends over TLS on 32 connections from two threads, on the same machine, three times each; the
round in the middle counts. Without SERVER, the API server alone is measured (`kybern apiserver`,
SQLite), and then the whole control plane of `kybern up --control-plane-only`. The pods are nobody's
to schedule (`spec.schedulerName: nobody`). On a cluster that was named, two namespaces are left to
be deleted: bench-load and bench-list.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import clusters

HERE = Path(__file__).resolve().parent
CONNECTIONS, THREADS = 32, 2
LISTED = 8881
NAMESPACE, LONG = "bench-load", "bench-list"


def pod():
    """Return a pod as a Deployment with some configuration makes it; some 6 kB when stored."""
    env = [{"name": f"SETTING_{i}", "value": f"value-{i}-" + "x" * 24} for i in range(20)]
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10}
    container = {
        "name": "app",
        "image": "registry.example.com/team/application:1.2.3",
        "env": env,
        "ports": [{"containerPort": 8080, "name": "http"}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
        "livenessProbe": probe,
        "readinessProbe": probe,
        "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}],
    }
    labels = {"app": "application", "tier": "backend", "pod-template-hash": "5d4f8c7b9"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "NAME", "labels": labels},
        "spec": {
            "schedulerName": "nobody",
            "containers": [container],
            "volumes": [{"name": "config", "configMap": {"name": "application"}}],
        },
    }


def config_map():
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "NAME"},
            "data": {"key": "x" * 500}}  # fmt: skip


def load(target, script, path, seconds, body=None, run="x"):
    """Let wrk send; return what it counted."""
    with contextlib.ExitStack() as stack:
        env = {**os.environ, "BENCH_DIR": str(HERE), "BENCH_TOKEN": target.token, "BENCH_RUN": run}
        if body is not None:
            file = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".json"))
            json.dump(body, file, separators=(",", ":"))
            file.flush()
            env["BENCH_BODY"] = file.name
        done = subprocess.run(
            ["wrk", f"-t{THREADS}", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s",
             "-s", str(HERE / "wrk" / f"{script}.lua"), target.server + path],
            env=env, capture_output=True, text=True, check=True,
        )  # fmt: skip
    counted = json.loads(done.stdout.strip().splitlines()[-1])
    counted["rate"] = (counted["requests"] - counted["refused"]) / counted["seconds"]
    return counted


def fill(target, namespace, wanted, body):
    """Create exactly so many pods."""
    path = f"/api/v1/namespaces/{namespace}/pods"

    async def create():
        async with clusters.session(target, CONNECTIONS) as sender:
            await sender.times(
                wanted, lambda i: sender.send("POST", path, json=named(body, f"pod-{i}"))
            )

    asyncio.run(create())


def time_list(target, namespace, times=5):
    """Return the best time of a full list, and its size."""
    best, size = 1e9, 0
    for _ in range(times):
        began = time.perf_counter()
        status, data = target.request("GET", f"/api/v1/namespaces/{namespace}/pods")
        best, size = min(best, time.perf_counter() - began), len(data)
        if status != 200:
            raise SystemExit(f"LIST: {status}")
    return best, size


def median(target, rounds, script, path, seconds, body=None):
    """Return the round in the middle of several."""
    runs = [load(target, script, path, seconds, body, run=f"r{i}") for i in range(rounds)]
    return sorted(runs, key=lambda run: run["rate"])[rounds // 2]


def measure(target, seconds=5, rounds=3, *, long_list=True):
    """Return every figure of one API server."""
    figures = {}
    if long_list:
        target.namespace(LONG)
        fill(target, LONG, LISTED, pod())
        figures["list"] = time_list(target, LONG)
    target.namespace(NAMESPACE)
    base = f"/api/v1/namespaces/{NAMESPACE}"
    target.must("POST", f"{base}/pods", named(pod(), "one"), accept=(409,))
    for key, script, path, body in (
        ("get", "get", "pods/one", None),
        ("configmap", "create", "configmaps", config_map()),
        ("pod", "create", "pods", pod()),
    ):
        figures[key] = median(target, rounds, script, f"{base}/{path}", seconds, body)
    return figures


def named(obj, name):
    obj["metadata"]["name"] = name
    return obj


def report(figures):
    """Return the figures as lines of text."""
    lines = []
    for key, what in (("pod", "pod creates"), ("configmap", "configmap creates"),
                      ("get", "pod GETs")):  # fmt: skip
        f = figures[key]
        bad = (
            f"; {f['refused']} refused, {f['broken']} broken" if f["refused"] + f["broken"] else ""
        )
        lines.append(
            f"{what}: {f['rate']:,.0f}/s, p50 {f['p50']:.1f} ms, p99 {f['p99']:.1f} ms{bad}"
        )
    if "list" in figures:
        seconds, size = figures["list"]
        lines.append(f"LIST of {LISTED:,} pods ({size / 1e6:.0f} MB): {seconds:.2f} s")
    return lines


def main():
    target, rest = clusters.given(sys.argv[1:])
    seconds = int(rest[0]) if rest else 5
    if target is not None:
        print("\n".join(report(measure(target, seconds))))
        return
    with clusters.api_server_alone() as target:
        print("API server alone\n  " + "\n  ".join(report(measure(target, seconds))), flush=True)
    with clusters.up("--control-plane-only") as target:
        print("whole control plane\n  " + "\n  ".join(report(measure(target, seconds))))


if __name__ == "__main__":
    main()
