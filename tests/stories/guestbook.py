"""A guestbook in three parts, as upstream's: a frontend, a primary that is written, replicas read.

Run by the tests' own Python inside pods, which see the node's files at /node. The parts find each
other by the variables that Services leave in the environment.
"""

import json
import os
import shlex
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, quote, urlsplit
from urllib.request import urlopen

FRONTEND, BACKEND = 80, 6379


def part(role):
    """Return a container that runs one part."""
    script = shlex.join([sys.executable, "-S", str(Path(__file__).resolve()), role])
    return {
        "name": role, "image": "kybern.local/busybox:1",
        "command": ["sh", "-c", f"exec chroot /node {script}"],
        "ports": [{"containerPort": FRONTEND if role == "frontend" else BACKEND}],
        "resources": {"requests": {"cpu": "10m", "memory": "20Mi"}},
        "volumeMounts": [{"name": "node", "mountPath": "/node"}],
        "readinessProbe": {
            "tcpSocket": {"port": FRONTEND if role == "frontend" else BACKEND}, "periodSeconds": 1,
        },
    }  # fmt: skip


def backend(name):
    """Return the URL of a Service of ours."""
    host = os.environ[f"AGNHOST_{name.upper()}_SERVICE_HOST"]
    return f"http://{host}:{BACKEND}"


class Handler(BaseHTTPRequestHandler):
    """One part; what is stored is the class's."""

    role = ""
    kept: ClassVar = {}
    replicas: ClassVar = set()

    def do_GET(self):
        where = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(where.query).items()}
        answer = json.dumps({"data": self.answer(where.path, asked)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def answer(self, path, asked):
        if self.role == "frontend":
            target = backend("primary" if asked["cmd"] == "set" else "replica")
            query = "&".join(f"{n}={quote(asked[n])}" for n in ("key", "value") if n in asked)
            with urlopen(f"{target}/{asked['cmd']}?{query}") as page:
                return json.load(page)["data"]
        if path == "/set":
            self.kept[asked["key"]] = asked["value"]
            for replica in self.replicas:
                with urlopen(f"http://{replica}:{BACKEND}{self.path}"):
                    pass
            return "Updated"
        if path == "/register":
            self.replicas.add(self.client_address[0])
            return self.kept
        return self.kept.get(asked["key"], "")

    def log_message(self, *_):
        pass


def register():
    """Ask the primary for what it knows and for what it will learn."""
    while True:
        try:
            with urlopen(f"{backend('primary')}/register") as page:
                Handler.kept.update(json.load(page)["data"])
                return
        except OSError:
            threading.Event().wait(0.2)


if __name__ == "__main__":
    Handler.role = sys.argv[1]
    if Handler.role == "replica":
        register()
    port = FRONTEND if Handler.role == "frontend" else BACKEND
    ThreadingHTTPServer(("", port), Handler).serve_forever()
