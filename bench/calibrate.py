#!/usr/bin/env python3
"""How fast this machine is right now, so that figures of two days can be compared.

Usage: bench/calibrate.py

Three workloads, two seconds each: a loop of 10,000 additions, a JSON round trip of a document of
about three kilobytes, and a synchronous append of a page to a file in the working directory.
Prints one line: how often each was done in a second.
"""

import contextlib
import json
import os
import tempfile
import time

SECONDS = 2.0
PAGE = b"x" * 4096


def document():
    labels = {f"k{i}": "v" * 20 for i in range(20)}
    env = [{"name": "A", "value": "x" * 30}] * 6
    containers = [{"name": f"c{i}", "env": env} for i in range(6)]
    return {"metadata": {"labels": labels}, "spec": {"containers": containers}}


def add_up():
    total = 0
    for i in range(10_000):
        total += i & 7
    return total


def per_second(work, seconds=SECONDS):
    done, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        work()
        done += 1
    return done / took


@contextlib.contextmanager
def scratch_file():
    descriptor, path = tempfile.mkstemp(dir=os.getcwd())
    try:
        yield descriptor
    finally:
        os.close(descriptor)
        os.unlink(path)


def measure() -> str:
    tree = document()
    loops = per_second(add_up)
    trips = per_second(lambda: json.loads(json.dumps(tree)))
    with scratch_file() as file:

        def append():
            os.write(file, PAGE)
            os.fsync(file)

        syncs = per_second(append)
    return f"python {loops:.0f} loops/s, json {trips:.0f} round trips/s, fsync {syncs:.0f}/s"


if __name__ == "__main__":
    print(measure())
