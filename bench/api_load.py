#!/usr/bin/env python3
"""How many requests an API server answers: creates, reads, a long list.

Usage: bench/api_load.py [SERVER TOKEN] [SECONDS]      needs wrk (Debian: apt install wrk)

wrk sends over TLS on 32 connections from two threads, on the same machine. Without SERVER, the API
server alone is measured (`kybern apiserver`, SQLite), and then the whole control plane of
`kybern up --control-plane-only`. The pods are nobody's to schedule (`spec.schedulerName: nobody`).
"""

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
NAMESPACE = "bench-load"


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


def fill(target, wanted, body):
    """Create pods until there are at least as many as wanted; remove the surplus."""
    path = f"/api/v1/namespaces/{NAMESPACE}/pods"
    for attempt in range(30):
        listed = target.must("GET", f"{path}?limit=1")
        there = len(listed["items"]) + listed["metadata"].get("remainingItemCount", 0)
        if there >= wanted:
            break
        load(target, "create", path, 1, body, run=f"f{attempt}")
    names = [item["metadata"]["name"] for item in target.must("GET", path)["items"]]
    for name in names[wanted:]:
        target.must("DELETE", f"{path}/{name}?gracePeriodSeconds=0")


def time_list(target, times=5):
    """Return the best time of a full list, and its size."""
    best, size = 1e9, 0
    for _ in range(times):
        began = time.perf_counter()
        status, data = target.request("GET", f"/api/v1/namespaces/{NAMESPACE}/pods")
        best, size = min(best, time.perf_counter() - began), len(data)
        if status != 200:
            raise SystemExit(f"LIST: {status}")
    return best, size


def measure(target, seconds=5, *, long_list=True):
    """Return every figure of one API server."""
    target.namespace(NAMESPACE)
    base = f"/api/v1/namespaces/{NAMESPACE}"
    target.must("POST", f"{base}/pods", named(pod(), "one"), accept=(409,))
    figures = {}
    figures["get"] = load(target, "get", f"{base}/pods/one", seconds)
    figures["configmap"] = load(target, "create", f"{base}/configmaps", seconds, config_map())
    figures["pod"] = load(target, "create", f"{base}/pods", seconds, pod())
    if long_list:
        fill(target, LISTED, pod())
        figures["list"] = time_list(target)
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
