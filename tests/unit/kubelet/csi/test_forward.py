"""Calls of controllers to a driver of this node."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from kybern.csi.client import LONG, CsiError
from kybern.kubelet.csi.drivers import Driver, Drivers
from kybern.kubelet.csi.forward import Forwarding
from kybern.kubelet.csi.places import Places

if TYPE_CHECKING:
    from pathlib import Path

NAME = "d.example.com"


class Echo:
    """Answers with the request, turned round."""

    def __init__(self, path: str = "") -> None:
        self.path = path
        self.calls: list[tuple[str, float]] = []
        self.closed = False

    async def call(self, method: str, request: bytes, seconds: float) -> bytes:
        self.calls.append((method, seconds))
        if request == b"fail":
            raise CsiError("ABORTED", "busy")
        return self.path.encode() or request[::-1]

    async def close(self) -> None:
        self.closed = True


class Asked:
    """A request."""

    def __init__(self, body: bytes = b"", method: str = "POST", timeout: str = "") -> None:
        self.method = method
        self._body = body
        self._timeout = timeout

    def param(self, name: str) -> str:
        return self._timeout if name == "timeout" else ""

    async def body(self, limit: int) -> bytes:
        return self._body


def ask(forwarding: Forwarding, request: Asked, *words: str) -> tuple[int, str, bytes]:
    answer: Any = asyncio.run(forwarding.answer(request, *words))  # type: ignore[arg-type]
    return answer.status, dict(answer.headers).get("grpc-status", "OK"), answer.body


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def forwarding(tmp_path: Path, echo: Echo) -> Forwarding:
    drivers = Drivers(Echo)
    asyncio.run(drivers.add(Driver(NAME, "/csi.sock", echo)))
    return Forwarding(drivers, Places(tmp_path))


def test_a_call_and_its_answer(forwarding: Forwarding, echo: Echo) -> None:
    where = (NAME, "csi.v1.Controller", "CreateVolume")
    assert ask(forwarding, Asked(b"abc"), *where) == (200, "OK", b"cba")
    assert ask(forwarding, Asked(b"fail", timeout="2.5s"), *where) == (200, "ABORTED", b"busy")
    method = "/csi.v1.Controller/CreateVolume"
    assert echo.calls == [(method, LONG), (method, 2.5)]
    assert not echo.closed
    assert ask(forwarding, Asked(method="GET"), *where)[0] == 405


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ((NAME, "csi.v1.Node", "NodeStageVolume"), "UNIMPLEMENTED"),
        ((NAME, "csi.v1.Controller", "../x"), "UNIMPLEMENTED"),
        (("../../etc", "csi.v1.Identity", "Probe"), "UNIMPLEMENTED"),
        (("other.example.com", "csi.v1.Identity", "Probe"), "UNAVAILABLE"),
    ],
)
def test_what_is_not_passed_on(
    forwarding: Forwarding, echo: Echo, where: tuple[str, str, str], code: str
) -> None:
    assert ask(forwarding, Asked(), *where)[:2] == (200, code)
    assert echo.calls == []


def test_a_controller_with_a_socket_of_its_own(
    forwarding: Forwarding, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    directory = tmp_path / "plugins" / NAME
    directory.mkdir(parents=True)
    monkeypatch.chdir(directory)  # a socket's path has at most 107 characters
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("controller.sock")
        found = ask(forwarding, Asked(), NAME, "csi.v1.Controller", "CreateVolume")
    assert found == (200, "OK", str(directory / "controller.sock").encode())
