"""A real cluster for the stories: `kybern up`, the stock kubectl, real containers and packets.

One cluster serves all stories, each in a namespace of its own. After the last one it is taken down
and the machine is searched for what it may have left (`leftovers`).
"""

import contextlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.ports import free_port

ROOT = Path(__file__).parents[2]
IMAGE = "kybern.local/busybox:1"
OTHER_IMAGE = "kybern.local/busybox:2"
KYBERN = [sys.executable, "-m", "kybern.cmd.main"]


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


class Cluster:
    """A data directory, and the two programs one uses on it."""

    def __init__(self, directory, port):
        self.directory = Path(directory)
        self.port = port
        self.ingress_ports = {}  # by scheme, where they are not 80 and 443
        self.env = {
            **os.environ,
            "KUBECONFIG": str(self.directory / "admin.kubeconfig"),
            "KYBERN_DATA_DIR": str(self.directory),
            # kubectl keeps what it discovered; another cluster's would confuse it
            "KUBECACHEDIR": str(self.directory / "kubectl-cache"),
        }

    def kybern(self, *words, check=True, timeout=180):
        """Run `kybern`; return the finished process."""
        return run([*KYBERN, *words], env=self.env, check=check, timeout=timeout)

    def kubectl(self, *words, check=True, stdin=None, timeout=120, namespace=None):
        """Run the stock kubectl; return what it printed."""
        where = ["-n", namespace] if namespace else []
        done = run(
            ["kubectl", *where, *words], env=self.env, check=check, stdin=stdin, timeout=timeout
        )
        return done.stdout if check else done

    def get(self, *words, namespace=None):
        """Return `kubectl get … -o json` as a tree."""
        return json.loads(self.kubectl("get", *words, "-o", "json", namespace=namespace))

    def up(self, *words):
        """Start the cluster."""
        return self.kybern("up", "--port", str(self.port), *words)

    def pid(self, name):
        """Return the process id of one of the cluster's programs."""
        state = json.loads((self.directory / "run/state.json").read_text())
        return next(c["pid"] for c in state["children"] if c["name"] == name)


def run(argv, *, env, check, stdin=None, timeout):
    done = subprocess.run(
        argv, env=env, input=stdin, capture_output=True, text=True, timeout=timeout, check=False
    )
    if check and done.returncode:
        raise AssertionError(
            f"{' '.join(argv)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
    return done


def eventually(check, timeout=60, interval=0.1):
    """Call `check` until it returns something true; its last answer is in the failure."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            answer = check()
        except AssertionError as error:
            answer = None
            last = error
        else:
            last = answer
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s; the last answer was {last!r}")
        time.sleep(interval)


def short_directory():
    """Return a new directory with a short path: a socket's path holds 108 bytes."""
    return tempfile.mkdtemp(prefix="kyb-", dir="/tmp")


def traces(directory):
    """Return what on this machine mentions a cluster's directory."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and process.name != str(os.getpid()):
            try:
                words = (process / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(directory) in words and "pytest" not in words:
                found.append(f"process {process.name}: {words[:120]}")
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return found + [f"mount {line.split()[4]}" for line in mounts if str(directory) in line]


def network():
    """Return bridges, packet filter tables and network namespaces."""
    links = set(os.listdir("/sys/class/net"))
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True)
    spaces = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True)
    return links | set(tables.stdout.splitlines()) | set(spaces.stdout.split())


@pytest.fixture(scope="session")
def busybox_archive():
    path = Path(tempfile.mkstemp(suffix=".tar")[1])
    tool = ROOT / "tools/busybox_image.py"
    subprocess.run([sys.executable, str(tool), str(path), IMAGE, OTHER_IMAGE], check=True)
    yield path
    path.unlink()


@pytest.fixture(scope="session")
def cluster(busybox_archive):
    if os.geteuid() != 0:
        pytest.skip("a node needs root")
    before = network()
    cluster = Cluster(short_directory(), free_port())
    try:
        cluster.ingress_ports = {"http": free_port(), "https": free_port()}
        ports = [f"--ingress-{name}-port={port}" for name, port in cluster.ingress_ports.items()]
        cluster.up("--token", "a-token-for-stories", *ports)
        cluster.kybern("image", "load", str(busybox_archive))
        yield cluster
    finally:
        logs = "".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}\n"
            for path in sorted((cluster.directory / "logs").glob("*.log"))
        )
        down = cluster.kybern("down", "--purge", check=False)
        left = traces(cluster.directory) + sorted(network() - before)
        shutil.rmtree(cluster.directory, ignore_errors=True)
        print(logs)  # noqa: T201 - pytest shows it when a story failed
    assert down.returncode == 0, down.stderr
    assert left == []


@contextlib.contextmanager
def fleet_of(count, archive, *words):
    """A cluster of several nodes on this machine, with an image in each."""
    if os.geteuid() != 0:
        pytest.skip("a node needs root")
    cluster = Cluster(short_directory(), free_port())
    try:
        cluster.up("--nodes", str(count), *words)
        cluster.kybern("image", "load", str(archive))
        yield cluster
    finally:
        logs = "".join(
            f"--- {path.relative_to(cluster.directory)}\n{path.read_text(errors='replace')[-3000:]}"
            for path in sorted(cluster.directory.rglob("logs/*.log"))
        )
        ours = names_of(cluster)
        down = cluster.kybern("down", "--purge", check=False)
        left = traces(cluster.directory) + [name for name in network() if ours.search(name)]
        shutil.rmtree(cluster.directory, ignore_errors=True)
        print(logs)  # noqa: T201 - pytest shows it when a story failed
    assert down.returncode == 0, down.stderr
    assert left == []


def names_of(cluster):
    """Return a pattern for the cluster's devices, namespaces and tables."""
    settings = json.loads((cluster.directory / "cluster.json").read_text())
    number, table = settings.get("slot", 0), settings.get("nft_table", "kybern")
    return re.compile(rf"\bkybern{number}\b|kybern-nodes-{number}$| {re.escape(table)}$")


_numbers = itertools.count(1)  # earlier namespaces of a story may still be on their way out


@pytest.fixture
def namespace(cluster, request):
    """A namespace for one story."""
    name = request.node.name.replace("_", "-").replace("[", "-").strip("]-").lower()
    name = f"{name.removeprefix('test-')[:40].strip('-')}-{next(_numbers)}"
    cluster.kubectl("create", "namespace", name)
    eventually(lambda: cluster.get("serviceaccounts", namespace=name)["items"])
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def k(cluster, namespace):
    """Run kubectl in the story's namespace."""

    def kubectl(*words, **more):
        return cluster.kubectl(*words, namespace=namespace, **more)

    kubectl.get = lambda *words: cluster.get(*words, namespace=namespace)
    kubectl.namespace = namespace
    return kubectl
