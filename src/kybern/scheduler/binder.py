"""DefaultBinder: tells the API where a pod goes, many at a time.

In:   pods and their nodes, already assumed.
Out:  POSTs to pods/binding; the outcome of each to the one that asked.
By:   loop.

The number under way is bounded. Scheduling goes on meanwhile, up to as many again waiting; then it
waits too, since deciding faster than the API takes decisions only makes them older.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol

from kybern.api.core.v1 import Binding, ObjectReference, Pod
from kybern.api.errors import ApiError
from kybern.api.meta.v1 import ObjectMeta
from kybern.client.transport import Unreachable
from kybern.scheduler.claim_binder import Unbound

if TYPE_CHECKING:
    from kybern.client.rest import Client
    from kybern.lib.tasks import Tasks
    from kybern.scheduler.claim_binder import ClaimBinder
    from kybern.scheduler.queue import Waiting


class Outcome(Protocol):
    """Whoever wants to know how bindings end."""

    def bound(self, waiting: Waiting, node: str) -> None:
        """Hear that the API has accepted."""

    def not_bound(self, waiting: Waiting, node: str, error: Exception) -> None:
        """Hear that it has not, and why."""


class Binder:
    """Binds pods."""

    def __init__(
        self, client: Client, tasks: Tasks, outcome: Outcome, limit: int, claims: ClaimBinder
    ) -> None:
        self._client = client
        self._claims = claims
        self._tasks = tasks
        self._outcome = outcome
        self._limit = limit
        self._pending: deque[tuple[Waiting, str]] = deque()
        self._workers = 0
        self._room: asyncio.Future[None] | None = None

    @property
    def under_way(self) -> int:
        """How many pods are being bound or wait for it."""
        return self._workers + len(self._pending)

    @property
    def full(self) -> bool:
        """Whether no more should be asked for now."""
        return len(self._pending) >= self._limit

    def bind(self, waiting: Waiting, node: str) -> None:
        """Bind a pod, some time soon; one that waits for volumes keeps nobody else waiting."""
        if waiting.info.pod.spec.volumes and self._claims.needed(waiting.info.pod):
            self._tasks.spawn(self._after_volumes(waiting, node), name="scheduler volumes")
        else:
            self._start(waiting, node)

    async def _after_volumes(self, waiting: Waiting, node: str) -> None:
        try:
            await self._claims.bind(waiting.info.pod, node)
        except (ApiError, Unreachable, Unbound) as error:
            self._outcome.not_bound(waiting, node, error)
        else:
            self._start(waiting, node)

    def _start(self, waiting: Waiting, node: str) -> None:
        self._pending.append((waiting, node))
        if self._workers < self._limit:
            self._workers += 1
            self._tasks.spawn(self._work(), name="scheduler bind")

    async def wait_room(self) -> None:
        """Wait until more may be asked for."""
        while self.full:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def statistics(self) -> dict[str, int]:
        """Return how much is under way."""
        return {"binding": self._workers, "waiting_to_bind": len(self._pending)}

    async def _work(self) -> None:
        try:
            while self._pending:
                waiting, node = self._pending.popleft()
                if self._room is not None and not self.full:
                    if not self._room.done():
                        self._room.set_result(None)
                    self._room = None
                await self._bind(waiting, node)
        finally:
            self._workers -= 1

    async def _bind(self, waiting: Waiting, node: str) -> None:
        namespace, name = waiting.info.key
        binding = Binding(
            metadata=ObjectMeta(name=name, namespace=namespace, uid=waiting.info.uid),
            target=ObjectReference(kind="Node", name=node),
        )
        try:
            await self._client.create_subresource(Pod, name, namespace, "binding", binding)
        except (ApiError, Unreachable) as error:
            self._outcome.not_bound(waiting, node, error)
        else:
            self._outcome.bound(waiting, node)
