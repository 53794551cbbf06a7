"""An API server in a process of its own, and clients of it whose operations are recorded.

In:   where the data is.
Out:  operations on ConfigMaps, as `history` knows them.
By:   the tests that kill, or fill, what is below the API.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
from tests.faults.history import ABSENT, PADDING, UNSEEN, Operation, Outcome
from tests.ports import free_port

from kybern.lib.http.client import HttpClient

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from tests.faults.history import Recorder

MAPS = "/api/v1/namespaces/default/configmaps"
TOKEN = "a-token-for-faults"
FULL = "no space left"  # a promise that nothing was written


class ApiServer:
    """`kybern apiserver` alone; killed and started again it is the same one."""

    def __init__(self, directory: Path, store: str) -> None:
        self._directory = directory
        directory.mkdir(exist_ok=True)
        (directory / "tokens.csv").write_text(f'{TOKEN},faults,1,"system:masters"\n')
        self.port = free_port()
        self._store = store
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> list[str]:
        """What is run."""
        return [
            sys.executable,
            "-m",
            "kybern.cmd.main",
            "apiserver",
            f"--store={self._store}",
            f"--secure-port={self.port}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={self._directory}",
            f"--token-auth-file={self._directory}/tokens.csv",
        ]

    def client(self) -> HttpClient:
        """Return a client that may do everything; it connects when it is used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        return HttpClient(f"https://127.0.0.1:{self.port}", ssl=context, headers=headers)

    async def start(self) -> None:
        """Run it, unless it runs, until it says that it is ready."""
        if self._process is not None and self._process.poll() is None:
            return
        with (self._directory / "apiserver.log").open("ab") as log:
            self._process = subprocess.Popen(self.command, stdout=log, stderr=log)
        async with asyncio.timeout(60), self.client() as http:
            while True:
                assert self._process.poll() is None, self.log()
                with contextlib.suppress(OSError):
                    if (await (await http.request("GET", "/readyz")).read()) == b"ok":
                        return
                await asyncio.sleep(0.02)

    def kill(self) -> None:
        """End it as the kernel does when there is no memory left."""
        assert self._process is not None
        self._process.kill()
        assert self._process.wait() == -9, self.log()

    def stop(self) -> None:
        """End it in order, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(30)

    def log(self) -> str:
        """Return what it had to say."""
        return (self._directory / "apiserver.log").read_text()


class Unanswered(Exception):
    """The outcome is open: the connection broke, or the server failed."""


class ApiClient:
    """A caller of the API; update and delete expect what this caller saw last."""

    def __init__(self, name: str, http: HttpClient, recorder: Recorder, rng: random.Random) -> None:
        self._name, self._http, self._recorder, self._rng = name, http, recorder, rng
        self._number = 0
        self._seen: dict[str, tuple[str, str]] = {}  # name of the value, resourceVersion

    def known(self, key: str) -> bool:
        return key in self._seen

    async def read(self, key: str) -> None:
        operation = self._call(key, "read")
        status, tree = await self._ask("GET", f"{MAPS}/{key}")
        if status == 404:
            self._seen.pop(key, None)
            self._recorder.answered(operation, Outcome.DONE)
            return
        _expect(status, tree, 200)
        revision = self._remember(key, tree)
        self._recorder.answered(operation, Outcome.DONE, tree["data"]["name"], revision)

    async def create(self, key: str) -> None:
        operation = self._call(key, "create", new=True)
        await self._write(operation, "POST", MAPS, self._config_map(operation))

    async def update(self, key: str) -> None:
        expected, version = self._seen[key]
        operation = self._call(key, "update", new=True, expected=expected)
        body = self._config_map(operation)
        body["metadata"]["resourceVersion"] = version
        await self._write(operation, "PUT", f"{MAPS}/{key}", body)

    async def delete(self, key: str) -> None:
        expected, version = self._seen[key]
        operation = self._call(key, "delete", expected=expected)
        body = {"preconditions": {"resourceVersion": version}}
        await self._write(operation, "DELETE", f"{MAPS}/{key}", body)

    async def _write(self, operation: Operation, method: str, path: str, body: Any) -> None:
        key = operation.key
        known = self._seen.pop(key, None)
        status, tree = await self._ask(method, path, msgspec.json.encode(body))
        if status == 404:
            self._recorder.answered(operation, Outcome.REFUSED, ABSENT)
        elif status == 409:  # something is in the way; the answer does not say what
            self._recorder.answered(operation, Outcome.REFUSED, UNSEEN)
            if operation.verb == "create" or known is None or self._rng.random() < 0.5:
                await self.read(key)
            else:
                self._seen[key] = known  # so that stubborn clients, too, are among them
        else:
            if status == 500 and FULL in tree["message"]:
                self._recorder.answered(operation, Outcome.NEVER)
            _expect(status, tree, 201 if method == "POST" else 200)
            revision = 0 if method == "DELETE" else self._remember(key, tree)
            self._recorder.answered(operation, Outcome.DONE, revision=revision)

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        try:
            answer = await self._http.request(method, path, body=body)
            return answer.status, msgspec.json.decode(await answer.read())
        except OSError as error:
            raise Unanswered(str(error)) from error

    def _config_map(self, operation: Operation) -> dict[str, Any]:
        data = {"name": operation.wrote, "more": PADDING[: self._rng.randrange(len(PADDING))]}
        return {"metadata": {"name": operation.key}, "data": data}

    def _remember(self, key: str, tree: Any) -> int:
        version = tree["metadata"]["resourceVersion"]
        self._seen[key] = tree["data"]["name"], version
        return int(version)

    def _call(self, key: str, verb: Any, *, new: bool = False, expected: str = ABSENT) -> Operation:
        self._number += 1
        wrote = f"{self._name}.{self._number}" if new else ABSENT
        return self._recorder.called(
            Operation(self._name, self._number, key, verb, wrote, expected)
        )


def _expect(status: int, tree: Any, wanted: int) -> None:
    if status >= 500:
        raise Unanswered(f"{status} {tree['message']}")
    assert status == wanted, (status, tree)
