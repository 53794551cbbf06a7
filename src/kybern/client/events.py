"""Telling users what happened to their objects.

In:   an object, a type (`Normal`, `Warning`), a reason and a sentence.
Out:  Event objects: the first of its kind is created, repetitions raise its count.
By:   controllers, scheduler, kubelet.

`Recorder.event` never waits and never fails: news wait in a bounded channel, and the newest is
dropped when it is full. `Recorder.run` sends them; the owner runs it in a task. What is created and
what is counted is decided by `Correlator`, which is pure.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

from kybern.api import errors
from kybern.api.core.v1 import Event, EventSource, ObjectReference
from kybern.api.meta.v1 import ObjectMeta
from kybern.api.scheme import SCHEME
from kybern.client.metadata import Partial
from kybern.client.transport import Unreachable
from kybern.lib import logs
from kybern.lib.backoff import Backoff
from kybern.lib.channels import Channel, Overflow
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.client.rest import Client

log = logs.get("client.events")

WAITING = 1000  # events queued for sending
REMEMBERED = 4096  # distinct events whose count can still be raised
SIMILAR = 10  # so many messages of one reason about one object, then they are combined …
SIMILAR_WITHIN = 600.0  # … when they came within ten minutes
BURST = 25  # so many events about one object at once, then …
REFILL = 1 / 300  # … one more every five minutes
COMBINED = "(combined from similar events): "
RETRY = Backoff(initial=0.5, factor=2.0, cap=10.0)
ATTEMPTS = 6


class News(NamedTuple):
    """Something happened; `what` it is makes two of them the same event."""

    about: ObjectReference
    type: str
    reason: str
    message: str

    @property
    def subject(self) -> tuple[str | None, ...]:
        """What it is about, as a key."""
        about = self.about
        return (about.kind, about.namespace, about.name, about.uid, about.fieldPath)


class Seen(NamedTuple):
    """An event that exists on the server."""

    name: str
    times: int


class Group:
    """Messages of one reason about one object."""

    __slots__ = ("last", "messages")

    def __init__(self) -> None:
        self.messages: set[str] = set()
        self.last = 0.0


class Bucket:
    """Tokens for events about one object."""

    __slots__ = ("at", "tokens")

    def __init__(self, at: float) -> None:
        self.tokens = float(BURST)
        self.at = at

    def take(self, now: float) -> bool:
        """Take a token if there is one."""
        self.tokens = min(float(BURST), self.tokens + (now - self.at) * REFILL)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Correlator:
    """Decides whether news is dropped, combined with others, counted, or an event of its own."""

    def __init__(self) -> None:
        self._groups: OrderedDict[tuple[Any, ...], Group] = OrderedDict()
        self._buckets: OrderedDict[tuple[Any, ...], Bucket] = OrderedDict()
        self._seen: OrderedDict[tuple[Any, ...], Seen] = OrderedDict()

    def correlate(self, news: News, now: float) -> tuple[News, tuple[Any, ...], Seen | None] | None:
        """Return what to report, its key, and the event to count up; None to drop it."""
        key: tuple[Any, ...] = (news.subject, news.type, news.reason)
        group = _recent(self._groups, key) or Group()
        if now - group.last > SIMILAR_WITHIN:
            group.messages.clear()
        group.last = now
        _remember(self._groups, key, group)
        if news.message not in group.messages:
            if len(group.messages) >= SIMILAR - 1:
                news = news._replace(message=COMBINED + news.message)
            else:
                group.messages.add(news.message)
                key = (*key, news.message)
        else:
            key = (*key, news.message)
        bucket = _recent(self._buckets, news.subject) or Bucket(now)
        _remember(self._buckets, news.subject, bucket)
        if not bucket.take(now):
            return None
        return news, key, _recent(self._seen, key)

    def reported(self, key: tuple[Any, ...], seen: Seen) -> None:
        """Note that an event exists with this count."""
        _remember(self._seen, key, seen)

    def forget(self, key: tuple[Any, ...]) -> None:
        """Note that an event no longer exists."""
        self._seen.pop(key, None)


class Recorder:
    """Records events under one component's name."""

    def __init__(self, client: Client, component: str, host: str = "") -> None:
        self._client = client
        self._clock = client.clock
        self._component = component
        self._host = host
        self._correlator = Correlator()
        self._waiting: Channel[tuple[News, float]] = Channel(WAITING, Overflow.DROP_NEWEST)
        self._names = 0

    def event(self, obj: Any, type: str, reason: str, message: str) -> None:  # noqa: A002
        """Report something about an object, or about what an ObjectReference points to."""
        about = obj if isinstance(obj, ObjectReference) else reference(obj)
        self._waiting.try_send((News(about, type, reason, message), self._clock.now()))

    async def run(self) -> None:
        """Send what is reported, for ever."""
        while True:
            news, at = await self._waiting.recv()
            found = self._correlator.correlate(news, at)
            if found is not None:
                await self._persist(*found, at)

    def statistics(self) -> dict[str, int]:
        """Return how many events wait and how many were dropped because too many did."""
        return {"waiting": len(self._waiting), "dropped": self._waiting.dropped}

    async def _persist(
        self, news: News, key: tuple[Any, ...], seen: Seen | None, at: float
    ) -> None:
        for attempt in range(ATTEMPTS):
            try:
                if seen is None or not await self._count(news, key, seen, at):
                    await self._create(news, key, at)
            except Unreachable:
                await self._clock.sleep(RETRY.delay(attempt))
            except errors.ApiError as error:
                # A namespace that is going away takes no events; nobody can be told but the log.
                log.debug("event refused", reason=news.reason, why=error.message)
                return
            else:
                return
        log.warning("event lost: no API server", reason=news.reason)

    async def _count(self, news: News, key: tuple[Any, ...], seen: Seen, at: float) -> bool:
        body = {"count": seen.times + 1, "lastTimestamp": rfc3339(at), "message": news.message}
        namespace = news.about.namespace or "default"
        try:
            await self._client.patch(Event, seen.name, namespace, body, type="strategic")
        except errors.NotFound:
            self._correlator.forget(key)
            return False
        self._correlator.reported(key, seen._replace(times=seen.times + 1))
        return True

    async def _create(self, news: News, key: tuple[Any, ...], at: float) -> None:
        # As upstream: the name of the object and the moment, here made unique by a counter.
        self._names = (self._names + 1) % 1_000_000
        name = f"{news.about.name}.{int(at * 1_000_000) * 1000 + self._names:x}"
        namespace = news.about.namespace or "default"
        stamp = rfc3339(at)
        await self._client.create(
            Event(
                metadata=ObjectMeta(name=name, namespace=namespace),
                involvedObject=news.about,
                reason=news.reason,
                message=news.message,
                source=EventSource(component=self._component, host=self._host or None),
                firstTimestamp=stamp,
                lastTimestamp=stamp,
                count=1,
                type=news.type,
                reportingComponent=self._component,
                reportingInstance=self._host or None,
            ),
            into=Partial,
        )
        self._correlator.reported(key, Seen(name, 1))


def reference(obj: Any, field_path: str | None = None) -> ObjectReference:
    """Return a reference to an API object, as events carry it."""
    kind = SCHEME.of(obj)
    metadata = obj.metadata
    return ObjectReference(
        kind=kind.kind,
        apiVersion=kind.api_version,
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        resourceVersion=metadata.resourceVersion,
        fieldPath=field_path,
    )


def _recent(table: OrderedDict[Any, Any], key: Any) -> Any:
    value = table.get(key)
    if value is not None:
        table.move_to_end(key)
    return value


def _remember(table: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    table[key] = value
    table.move_to_end(key)
    if len(table) > REMEMBERED:
        table.popitem(last=False)
