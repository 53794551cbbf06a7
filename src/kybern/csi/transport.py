"""How the bytes of a call reach a driver.

In:   the name of a method, an encoded request, and how long to wait.
Out:  the encoded answer, or CsiError.
By:   client.py. `grpc` is imported when the first call is made: it is large.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import grpc.aio

# Read when grpc is imported: its threads are no business of our short-lived children.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

MESSAGE_LIMIT = 16 << 20
OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
    ("grpc.max_send_message_length", MESSAGE_LIMIT),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_retries", 0),
    ("grpc.default_authority", "localhost"),
)

# After these the driver may still be at work, or not even have heard of the call. After any other
# it has either done nothing or failed for good.
UNDECIDED = frozenset(
    ("CANCELLED", "DEADLINE_EXCEEDED", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED")
)


class CsiError(Exception):
    """A call that failed; `code` is gRPC's name of the kind, `message` what the driver said."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"rpc error: code = {_go_name(code)} desc = {message}")
        self.code = code
        self.message = message

    @property
    def final(self) -> bool:
        """Whether the driver is certainly not at work any more."""
        return self.code not in UNDECIDED


class Transport(Protocol):
    """Carries calls to one driver."""

    async def call(self, method: str, request: bytes, seconds: float) -> bytes:
        """Return the answer of `/csi.v1.SERVICE/METHOD`.

        Raises:
            CsiError: the driver refused, or was not reached (UNAVAILABLE), or took too long
                (DEADLINE_EXCEEDED).
        """
        ...

    async def close(self) -> None:
        """Let go of the connection; calls under way fail."""
        ...


class SocketTransport:
    """Carries calls to a socket on this machine; the connection opens at the first."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._channel: grpc.aio.Channel | None = None
        self._calls: dict[str, Any] = {}

    async def call(self, method: str, request: bytes, seconds: float) -> bytes:
        """Return the answer; see Transport."""
        import grpc

        call = self._calls.get(method)
        if call is None:
            call = self._calls[method] = self._open().unary_unary(method)
        try:
            answer: bytes = await call(request, timeout=seconds)
        except grpc.aio.AioRpcError as error:
            raise CsiError(error.code().name, error.details() or "") from None
        return answer

    async def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None
            self._calls.clear()

    def _open(self) -> grpc.aio.Channel:
        if self._channel is None:
            import grpc.aio

            self._channel = grpc.aio.insecure_channel(f"unix:{self.path}", options=OPTIONS)
        return self._channel


def _go_name(code: str) -> str:
    """Spell a code as Go's gRPC does, and so every message people search the web for."""
    if code == "CANCELLED":
        return "Canceled"
    return "OK" if code == "OK" else "".join(part.capitalize() for part in code.split("_"))
