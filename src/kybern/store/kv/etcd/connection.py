"""Calls to one etcd that has several members.

In:   methods and requests.
Out:  answers; or why there is none.
By:   everything in this package. grpc is imported here only, when a store is opened: it is large.

All calls go to one member until it fails; then to the next one. What is tried again, and for how
long, is decided here; what an error means, in `failures`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Any

from kybern.lib import logs
from kybern.lib.backoff import Backoff
from kybern.store.interface import StoreError, StoreFailed
from kybern.store.kv.etcd.failures import Refused, Verdict, explain, judge

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from types import ModuleType

    from kybern.lib.clock import Clock
    from kybern.store.kv.etcd.address import Address
    from kybern.store.kv.etcd.messages import Method

log = logs.get("store.etcd")

# Read when grpc is imported: its threads are no business of our short-lived children.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what goes wrong, we say ourselves

CALL_SECONDS = 10.0
"""A member that takes longer is no good; etcd itself gives up after seven."""
PATIENCE = 12.0
"""How long a member that can do it is looked for."""
AGAIN = Backoff(initial=0.02, factor=2.0, cap=0.5)
# A member without a leader, as one in a minority, says so at once instead of letting us wait.
_METADATA = (("hasleader", "true"),)
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 10_000),  # etcd allows one each 5 s
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)


class Connection:
    """Channels to the members; opened as they are needed."""

    def __init__(self, address: Address, clock: Clock) -> None:
        """Read the certificates.

        Raises:
            StoreFailed: a file cannot be read.
        """
        import grpc.aio

        self._grpc: ModuleType = grpc
        self._address = address
        self._clock = clock
        self._credentials = _credentials(grpc, address) if address.tls else None
        self._channels: dict[int, Any] = {}
        self._calls: dict[str, Any] = {}
        self._streams: dict[Any, int] = {}
        self.member = 0
        """The number of the member where calls go at the moment."""
        self.moves = 0

    @property
    def where(self) -> str:
        """Its address."""
        return self._address.members[self.member]

    async def close(self) -> None:
        """Close all channels; calls under way fail."""
        channels, self._channels = self._channels, {}
        self._calls.clear()
        for channel in channels.values():
            await channel.close()

    async def call(self, method: Method, request: Any, *, once: bool = False) -> Any:
        """Return the answer.

        With `once` a call that may have happened is not repeated.

        Raises:
            Refused: the request cannot be answered, for one of the reasons.
            StoreFailed: no member answers, or etcd says no. With `once` it may have happened.
        """
        data = method.encode(request)
        began, attempt = self._clock.monotonic(), 0
        while True:
            member = self.member
            try:
                call = self._calls.get(method.path) or self._prepare(method)
                return method.decode(await call(data, timeout=CALL_SECONDS, metadata=_METADATA))
            except self._grpc.aio.AioRpcError as error:
                code, details = error.code().name, error.details() or ""
                verdict = judge(code, details)
                if verdict is not Verdict.REFUSED:
                    self.leave(member)
                late = self._clock.monotonic() - began > PATIENCE
                if late or verdict is Verdict.REFUSED or (once and verdict is Verdict.UNKNOWN):
                    raise self._explain(code, details, member) from None
            await self._clock.sleep(AGAIN.delay(attempt))
            attempt += 1

    async def stream(self, method: Method, request: Any) -> AsyncGenerator[Any, None]:
        """Yield the answers to one request, without end where the method has none.

        Raises:
            Refused, StoreFailed: as `call`; nothing is repeated.
        """
        member = self.member
        stream = self._channel().stream_stream(method.path)(metadata=_METADATA)
        self._streams[stream] = member
        try:
            await self._write(stream, method.encode(request))
            while (data := await stream.read()) is not self._grpc.aio.EOF:
                yield method.decode(data)
            code, details = await stream.code(), await stream.details()
            if code is not self._grpc.StatusCode.OK:
                raise self._explain(code.name, details or "", member)
        except self._grpc.aio.AioRpcError as error:
            raise self._explain(error.code().name, error.details() or "", member) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if stream in self._streams or (task is not None and task.cancelling()):
                raise
            raise self._explain("", "nothing any more", member) from None  # it was left
        finally:
            self._streams.pop(stream, None)
            stream.cancel()

    async def _write(self, stream: Any, data: bytes) -> None:
        """Send what there is to send, or nothing if the stream ends; reading then says why.

        grpc's own `write` waits for ever when the connection breaks before the headers are sent.
        """

        async def write() -> None:
            with contextlib.suppress(self._grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await stream.write(data)

        async with asyncio.TaskGroup() as group:
            writing = group.create_task(write())
            stream.add_done_callback(lambda _: writing.cancel())

    def leave(self, member: int) -> None:
        """Let the next member have the calls, unless that has happened since `member` failed.

        Streams of the one that is left end: it may be silent without the connection being lost.
        """
        count = len(self._address.members)
        if count > 1 and member == self.member:
            failed, self.member = self.where, (member + 1) % count
            self._calls.clear()
            for stream in [s for s, where in self._streams.items() if where == member]:
                del self._streams[stream]
                stream.cancel()
            self.moves += 1
            log.warning("a member of etcd does not answer", member=failed, next=self.where)

    def _prepare(self, method: Method) -> Any:
        call = self._calls[method.path] = self._channel().unary_unary(method.path)
        return call

    def _channel(self) -> Any:
        channel = self._channels.get(self.member)
        if channel is None:
            aio = self._grpc.aio
            if self._credentials is None:
                channel = aio.insecure_channel(self.where, options=_OPTIONS)
            else:
                channel = aio.secure_channel(self.where, self._credentials, options=_OPTIONS)
            self._channels[self.member] = channel
        return channel

    def _explain(self, code: str, details: str, member: int) -> StoreError | Refused:
        return explain(code, details, self._address.members[member])


def _credentials(grpc: ModuleType, address: Address) -> Any:
    def read(name: str) -> bytes | None:
        path = getattr(address, name)
        return None if path is None else path.read_bytes()

    try:
        return grpc.ssl_channel_credentials(read("cafile"), read("keyfile"), read("certfile"))
    except OSError as error:
        raise StoreFailed(f"cannot read {error.filename}: {error.strerror}") from None
