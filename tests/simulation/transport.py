"""Requests that get lost, answers that never come, watches that break: a network, as it is.

Each component has a `Wire` of its own into the API server. What may go wrong on it is drawn for
every request; once the world is `calm`, only the delays are left.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from kybern.api import codec, errors
from kybern.client.in_process import InProcessTransport, StreamedResponse, WholeResponse
from kybern.client.transport import Unreachable
from kybern.lib.http.messages import Response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from random import Random

    from kybern.client.transport import Identity
    from kybern.lib.http.stream import Stream
    from tests.simulation.world import World

WRITER: ContextVar[str] = ContextVar("writer", default="")
"""Whose request is being carried out."""
LONGEST_STALL = 30.0
EVENTS = "/events"


class Wire:
    """A `Transport` on which things go wrong."""

    in_process = True

    def __init__(self, world: World, identity: Identity) -> None:
        self._world = world
        self._inner = InProcessTransport(world.server.app, identity)
        self._rng: Random = world.rng
        self._name = identity.name.rpartition(":")[2]
        self.cut = False
        """Whether its owner is dead: nothing gets through any more."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Any:
        """Send a request, perhaps."""
        profile = self._world.profile
        if not profile.events and method == "POST" and path.endswith(EVENTS):
            return _answer(201, body or b"{}")
        await self._travel()
        writes = method != "GET"
        if not self._world.calm and (refusal := self._refusal(method, writes)):
            return refusal
        token = WRITER.set(self._name)
        try:
            answer = await self._inner.request(
                method, path, query=query, headers=headers, body=body
            )
        finally:
            WRITER.reset(token)
        if isinstance(answer, StreamedResponse):
            return Pieces(self, answer)
        if writes and answer.status < 400 and self._happens(profile.lost):
            self._world.lost(method, path, await answer.read())
            raise Unreachable("the answer was lost")
        await self._travel()
        return answer

    async def upgrade(self, path: str, protocol: str, **more: Any) -> Stream:
        """Nobody asks for that here."""
        raise NotImplementedError(path)

    async def close(self) -> None:
        """Close it."""
        await self._inner.close()

    def happens(self, share: float) -> bool:
        """Draw whether something with this probability happens now."""
        return self._happens(share)

    def _happens(self, share: float) -> bool:
        return share > 0 and not self._world.calm and self._rng.random() < share

    async def _travel(self) -> None:
        if self.cut:
            raise Unreachable("the connection is cut")
        if latency := self._world.profile.latency:
            await self._world.clock.sleep(self._rng.random() * 2 * latency)
            if self.cut:
                raise Unreachable("the connection is cut")

    def _refusal(self, method: str, writes: bool) -> WholeResponse | None:
        profile = self._world.profile
        if self._happens(profile.refused):
            raise Unreachable("the connection was refused")
        if self._happens(profile.unavailable):
            return _failure(errors.ServiceUnavailable("the server is not itself"))
        if writes and method in ("PUT", "PATCH") and self._happens(profile.conflicts):
            return _failure(errors.Conflict("the object has been modified"))
        return None


class Pieces:
    """A watch that may stall, and break with any piece."""

    def __init__(self, wire: Wire, answer: StreamedResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self._wire = wire
        self._answer = answer

    async def read(self) -> bytes:
        """Return the whole body."""
        return b"".join([piece async for piece in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        wire = self._wire
        world = wire._world
        profile = world.profile
        async for piece in self._answer:
            if wire.happens(profile.stalls):
                await world.clock.sleep(world.rng.random() * LONGEST_STALL)
            else:
                await wire._travel()
            if wire.cut or wire.happens(profile.drops):
                await self.close()
                raise Unreachable("the connection broke")
            yield piece

    async def close(self) -> None:
        """Give it up."""
        await self._answer.close()


def _answer(status: int, body: bytes) -> WholeResponse:
    return WholeResponse(Response(status, body, "application/json"))


def _failure(error: errors.ApiError) -> WholeResponse:
    return _answer(error.code, codec.encode(error.status()))
