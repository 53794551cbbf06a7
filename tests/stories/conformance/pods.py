"""Pods that print what a story wants to know."""

from __future__ import annotations

import itertools
import json
import time

from tests.stories.conftest import IMAGE, eventually

_numbers = itertools.count(1)


def shell(name, script, **more):
    """Return a container that runs a script."""
    return {"name": name, "image": IMAGE, "command": ["sh", "-c", script], **more}


def create(k, containers, name=None, metadata=None, **spec):
    """Create a pod; return its name."""
    name = name or f"p{next(_numbers)}"
    body = {"terminationGracePeriodSeconds": 1, "containers": containers, **spec}
    tree = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **(metadata or {})},
            "spec": body}  # fmt: skip
    k("create", "-f", "-", stdin=json.dumps(tree))
    return name


def ended(k, name, timeout=60):
    """Wait until all containers of a pod have ended; return the pod."""

    def over():
        tree = k.get("pod", name)
        return tree if tree["status"]["phase"] in ("Succeeded", "Failed") else None

    return eventually(over, timeout)


def run(k, containers, **spec):
    """Run a pod to its end, which must be good; return what each container printed."""
    name = create(k, containers, restartPolicy="Never", **spec)
    tree = ended(k, name)
    logs = {c["name"]: k("logs", name, "-c", c["name"]) for c in containers}
    assert tree["status"]["phase"] == "Succeeded", (logs, tree["status"])
    return logs


def start(k, containers, **spec):
    """Start a pod, wait until it is ready; return its name."""
    name = create(k, containers, **spec)
    k("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
    return name


def make(k, *trees):
    """Create objects."""
    listed = {"apiVersion": "v1", "kind": "List", "items": list(trees)}
    k("create", "-f", "-", stdin=json.dumps(listed))


def config_map(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def secret(name, **data):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def status(k, name, container=None):
    """Return the status of a container of a pod; the only one, where no name is given."""
    found = k.get("pod", name)["status"].get("containerStatuses", [])
    named = [s for s in found if container in (None, s["name"])]
    return named[0] if named else {"state": {}, "restartCount": 0, "ready": False}


def steady(check, seconds):
    """Fail unless something stays true for so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert check()
        time.sleep(0.5)
