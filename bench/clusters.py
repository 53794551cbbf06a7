"""Clusters to measure: started in a directory of their own, asked over TLS, removed afterwards.

In:   which parts to start.
Out:  where the API server is, a token, the processes by name.
By:   the scripts beside this file. Each also takes SERVER TOKEN, to measure a cluster that runs.
"""

import asyncio
import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from kybern.cluster import slots

ROOT = Path(__file__).resolve().parents[1]
KYBERN = [sys.executable, "-m", "kybern.cmd.main"]
TOKEN = "a-token-for-benchmarks"
IMAGE = "kybern.local/busybox:1"
ANY = ssl.create_default_context()
ANY.check_hostname, ANY.verify_mode = False, ssl.CERT_NONE


@dataclass
class Target:
    """An API server, and what is known of the processes behind it."""

    server: str
    token: str
    directory: Path | None = None
    took: float = 0.0
    pids: dict[str, int] = field(default_factory=dict)

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.server.removeprefix("https://").rpartition(":")
        return host, int(port)

    def request(self, method, path, body=None, content_type="application/json"):
        """Make one request on a connection of its own; return status and body."""
        connection = http.client.HTTPSConnection(*self.address, timeout=60, context=ANY)
        with contextlib.closing(connection):
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": content_type}
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def must(self, method, path, body=None, accept=()):
        """Make one request that has to succeed, or to fail with one of the codes in `accept`."""
        status, data = self.request(method, path, body)
        if status >= 300 and status not in accept:
            raise SystemExit(f"{method} {path}: {status} {data[:300]!r}")
        return json.loads(data)

    def namespace(self, name):
        """Make a namespace, and wait until pods can be created in it."""
        path = "/api/v1/namespaces"
        self.must("POST", path, {"metadata": {"name": name}}, accept=(409,))
        account = f"{path}/{name}/serviceaccounts"
        if self.pids.keys() == {"apiserver"}:  # there is no controller that would make it
            self.must("POST", account, {"metadata": {"name": "default"}}, accept=(409,))
        wait(lambda: self.request("GET", f"{account}/default")[0] == 200, 10, "a service account")


def given(words):
    """Return the cluster named on the command line, and the words that are left."""
    if len(words) >= 2 and words[0].startswith("https://"):
        return Target(words[0].rstrip("/"), words[1]), words[2:]
    return None, words


@contextlib.contextmanager
def up(*flags, image=False, settings=None):
    """Run `kybern up` in a new directory; `took` is how long the command ran.

    `settings` are those for which there is no flag.
    """
    directory = Path(tempfile.mkdtemp(prefix="kyb-", dir="/tmp"))
    port = free_port()
    target = Target(f"https://127.0.0.1:{port}", TOKEN, directory)
    where = ["--data-dir", str(directory)]
    if settings:
        known = json.dumps({"data_dir": str(directory), **settings})
        (directory / "cluster.json").write_text(known)
    try:
        target.took = start_up(target, *flags)
        if image:
            archive = directory / "busybox.tar"
            tool = [sys.executable, str(ROOT / "tools/busybox_image.py"), str(archive), IMAGE]
            subprocess.run(tool, check=True)
            command = [*KYBERN, "image", "load", *where, str(archive)]
            subprocess.run(command, check=True, capture_output=True)
        yield target
    finally:
        down = [*KYBERN, "down", "--purge", *where]
        done = subprocess.run(down, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.stderr.write(f"bench: {done.stderr}")
        else:
            shutil.rmtree(directory, ignore_errors=True)


def start_up(target, *flags):
    """Run `kybern up` once more or for the first time; return the seconds it took."""
    port = target.server.rpartition(":")[2]
    command = [*KYBERN, "up", "--data-dir", str(target.directory), "--port", port]
    began = time.perf_counter()
    done = subprocess.run(
        [*command, "--token", TOKEN, *flags], capture_output=True, text=True, check=False
    )
    took = time.perf_counter() - began
    if done.returncode:
        logs = [path.read_text()[-2000:] for path in (target.directory / "logs").glob("*.log")]
        raise SystemExit("\n".join([f"kybern up failed: {done.stderr}", *logs]))
    state = json.loads((target.directory / "run/state.json").read_text())
    target.pids = {child["name"]: child["pid"] for child in state["children"]}
    target.pids["supervisor"] = state["pid"]
    return took


def stop(target):
    """Run `kybern down`; the data stays."""
    command = [*KYBERN, "down", "--data-dir", str(target.directory)]
    subprocess.run(command, capture_output=True, check=True)


@contextlib.contextmanager
def api_server_alone(prepare=None):
    """Run `kybern apiserver` over SQLite; `took` is the time until /readyz says 200.

    `prepare` is called with the path of the store's file before there is one.
    """
    directory = Path(tempfile.mkdtemp(prefix="kyb-", dir="/tmp"))
    tokens = directory / "tokens.csv"
    tokens.write_text(f'{TOKEN},bench,1,"system:masters"\n')
    port = free_port()
    target = Target(f"https://127.0.0.1:{port}", TOKEN, directory)
    if prepare is not None:
        prepare(directory / "state.db")
    command = [
        *KYBERN,
        "apiserver",
        f"--store=sqlite://{directory}/state.db",
        f"--secure-port={port}",
        f"--cert-dir={directory}",
        f"--token-auth-file={tokens}",
    ]
    with (directory / "log").open("wb") as log:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait(lambda: answers(target, "/readyz") or process.poll(), 30, "the API server", 0.005)
        if process.poll():
            raise SystemExit(f"the API server ended: {(directory / 'log').read_text()}")
        target.took = time.perf_counter() - began
        target.pids = {"apiserver": process.pid}
        yield target
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        shutil.rmtree(directory)


class Sender:
    """Requests over a few connections that are kept."""

    def __init__(self, connection, server, connections):
        self.connection, self.server, self.connections = connection, server, connections

    async def send(self, method, path, accept=(), **body):
        async with self.connection.request(method, self.server + path, **body) as answer:
            if answer.status >= 300 and answer.status not in accept:
                raise SystemExit(f"{method} {path}: {answer.status} {await answer.text()}")
            return await answer.json()

    async def times(self, count, one):
        """Run `one(i)` for each i below `count`, as many at a time as there are connections."""
        left = iter(range(count))

        async def work():
            for i in left:
                await one(i)

        async with asyncio.TaskGroup() as group:
            for _ in range(self.connections):
                group.create_task(work())


@contextlib.asynccontextmanager
async def session(target, connections):
    """Open a Sender."""
    import aiohttp

    connector = aiohttp.TCPConnector(limit=connections, ssl=False)
    headers = {"Authorization": f"Bearer {target.token}"}
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(
        connector=connector, headers=headers, timeout=timeout
    ) as connection:
        yield Sender(connection, target.server, connections)


def for_ever():
    """Return the timeout of what is meant to last, such as a watch."""
    import aiohttp

    return aiohttp.ClientTimeout(total=None)


def answers(target, path):
    try:
        return target.request("GET", path)[0] == 200
    except OSError:
        return False


def wait(condition, seconds, what, interval=0.02):
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"gave up waiting for {what} after {seconds:.0f} s")
        time.sleep(interval)


def free_port():
    """Return a port that nobody uses, below those from which outgoing connections take theirs."""
    return slots.free_port(random.randint(10_000, 29_000), datagrams=True)


def memory(pid):
    """Return the resident megabytes of a process."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_seconds(pid):
    """Return the CPU time of a process and of those of its children that have ended."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in after_name[11:15]) / os.sysconf("SC_CLK_TCK")


def cost(target):
    """Return the CPU seconds that the processes behind an API server have used, if we know them."""
    return sum(map(cpu_seconds, target.pids.values()))


def children(pid):
    """Return the processes below a process."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *children(int(child))]
    return found
