"""Calls of a driver, and how their failures are told."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from kybern.csi import messages as m
from kybern.csi.client import Csi, CsiError
from kybern.lib.protobuf import Codec


class Recording:
    """Answers what it is told to."""

    def __init__(self, answer: bytes = b"") -> None:
        self.answer = answer
        self.calls: list[tuple[str, bytes, float]] = []

    async def call(self, method: str, request: bytes, seconds: float) -> bytes:
        self.calls.append((method, request, seconds))
        return self.answer

    async def close(self) -> None:
        pass


def test_every_call_has_the_name_of_its_method() -> None:
    transport = Recording()
    csi = Csi(transport)
    methods = {
        name: method
        for name, method in inspect.getmembers(csi, inspect.iscoroutinefunction)
        if not name.startswith("_") and name != "close"
    }
    for method in methods.values():
        takes = list(inspect.signature(method, eval_str=True).parameters.values())
        asyncio.run(method(takes[0].annotation()) if takes[0].name == "request" else method())
    for name, (called, _, _) in zip(methods, transport.calls, strict=True):
        service, _, short = called.strip("/").partition("/")
        assert short == "".join(part.capitalize() for part in name.split("_"))
        assert service in ("csi.v1.Identity", "csi.v1.Controller", "csi.v1.Node")
        assert (service == "csi.v1.Node") is name.startswith("node_")


def test_answers() -> None:
    rpcs = [
        m.ServiceCapability(m.RpcType(1)),
        m.ServiceCapability(),
        m.ServiceCapability(m.RpcType(3)),
    ]
    encoded = Codec(m.GetCapabilitiesResponse).encode(m.GetCapabilitiesResponse(rpcs))
    assert asyncio.run(Csi(Recording(encoded)).node_get_capabilities()) == {1, 3}
    assert asyncio.run(Csi(Recording()).probe()) is True
    assert asyncio.run(Csi(Recording(b"\x0a\x00")).probe()) is False


def test_an_answer_that_is_none() -> None:
    with pytest.raises(CsiError, match="code = Internal") as caught:
        asyncio.run(Csi(Recording(b"\xff")).get_plugin_info())
    assert caught.value.final


@pytest.mark.parametrize(
    ("code", "said", "final"),
    [
        ("NOT_FOUND", "rpc error: code = NotFound desc = gone", True),
        ("FAILED_PRECONDITION", "rpc error: code = FailedPrecondition desc = gone", True),
        ("INTERNAL", "rpc error: code = Internal desc = gone", True),
        ("CANCELLED", "rpc error: code = Canceled desc = gone", False),
        ("DEADLINE_EXCEEDED", "rpc error: code = DeadlineExceeded desc = gone", False),
        ("UNAVAILABLE", "rpc error: code = Unavailable desc = gone", False),
        ("RESOURCE_EXHAUSTED", "rpc error: code = ResourceExhausted desc = gone", False),
        ("ABORTED", "rpc error: code = Aborted desc = gone", False),
    ],
)
def test_failures(code: str, said: str, final: bool) -> None:
    error = CsiError(code, "gone")
    assert str(error) == said
    assert error.final is final
