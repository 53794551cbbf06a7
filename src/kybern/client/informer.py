"""A local copy of what the server has, always on its way to being up to date.

In:   a watch that begins with the current state, and goes on.
Out:  objects by key, namespace and index; handlers are told of every change.
By:   everything that reacts to the cluster.

The promises:

* Handlers see, for each object, a gap-free story: add, updates, delete, then perhaps add again.
  Intermediate states may be missing, the last one never is.
* The index is changed before handlers are called, so they see themselves in it.
* After `wait_synced`, the copy was complete at some moment after `run` began, and the handlers
  that were registered have been told of it. One registered later is told of what is there.
* The copy lags behind the server, and behind the caller's own writes.
* Objects are borrowed: read them, never change them (`codec.clone` makes one of your own). They
  come without managedFields, which nobody here reads and which would be a third of the memory.
* A watch that breaks is resumed from the last revision seen. When the server no longer has that
  revision, everything is read again and handlers are told the difference.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from kybern.api import errors
from kybern.api.scheme import SCHEME, Kind
from kybern.client.indexer import Indexer, IndexFunction, ObjectKey, key_of
from kybern.client.metadata import Partial
from kybern.client.transport import Unreachable
from kybern.client.watch import ADDED, BOOKMARK, DELETED, INITIAL_EVENTS_END, MODIFIED, WatchEvent
from kybern.lib import logs
from kybern.lib.backoff import Backoff

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Iterable, Mapping

    from kybern.client.mutations import MutationDetector
    from kybern.client.rest import Client
    from kybern.client.watch import Watch
    from kybern.lib.tasks import Tasks

T = TypeVar("T")

log = logs.get("client.informer")

RETRY = Backoff(initial=0.2, factor=2.0, cap=30.0, jitter=1.0)
PAGE = 500  # how many objects a LIST asks for at a time, where the server has no watch-list
SLICE = 128  # how many events are handled before other tasks get a turn
SHORTEST, LONGEST = 300, 600  # seconds; a watch is renewed at a random moment in between
GRACE = 30.0  # a server silent this long after the watch should have ended is gone


class Handler(NamedTuple, Generic[T]):
    """What to call on a change."""

    add: Callable[[T], None] | None
    update: Callable[[T, T], None] | None
    delete: Callable[[T], None] | None


class Registration:
    """Undoes an `Informer.on`."""

    def __init__(self, handlers: list[Handler[Any]], handler: Handler[Any]) -> None:
        self._handlers = handlers
        self._handler = handler

    def remove(self) -> None:
        """Stop calling the handler."""
        if self._handler in self._handlers:
            self._handlers.remove(self._handler)


class Informer(Generic[T]):
    """One collection, mirrored. Run `run` in a task of its own; `Informers` does."""

    def __init__(
        self,
        client: Client,
        what: type[T] | Kind,
        namespace: str = "",
        field_selector: str = "",
        label_selector: str = "",
        indexers: Mapping[str, IndexFunction[T]] | None = None,
        *,
        into: type[T] | None = None,
        rng: random.Random | None = None,
        detector: MutationDetector | None = None,
    ) -> None:
        self.kind = what if isinstance(what, Kind) else SCHEME.of(what)
        self.index: Indexer[T] = Indexer(indexers)
        self.revision = ""
        self._client = client
        self._clock = client.clock
        self._what = what
        self._into = into
        # Only what is decoded whole would keep them: for the others, cutting is wasted.
        self._with_owners = into is Partial or not isinstance(what, type)
        self._scope: dict[str, Any] = {
            "namespace": namespace,
            "field_selector": field_selector,
            "label_selector": label_selector,
        }
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._detector = detector
        self._handlers: list[Handler[T]] = []
        self._synced = asyncio.Event()
        self._watch_list = True
        self._progress = False
        self._relists = 0

    # --- reading ---------------------------------------------------------------------------

    def get(self, namespace: str, name: str) -> T | None:
        """Return an object, or None."""
        return self.index.get((namespace, name))

    def list(self, namespace: str | None = None) -> builtins.list[T]:
        """Return all objects, or those of one namespace."""
        return self.index.list(namespace)

    def by_index(self, name: str, value: str) -> builtins.list[T]:
        """Return the objects under a value of an index."""
        return self.index.by_index(name, value)

    @property
    def is_whole(self) -> bool:
        """Whether it mirrors all there is, and not a selection or a reduced form of it."""
        return isinstance(self._what, type) and not (self._into or any(self._scope.values()))

    @property
    def synced(self) -> bool:
        """Whether the copy has been complete once."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Wait until the copy has been complete once and the handlers have been told."""
        await self._synced.wait()

    def statistics(self) -> dict[str, int]:
        """Return how many objects and handlers there are and how often all was read anew."""
        return {
            "objects": len(self.index),
            "handlers": len(self._handlers),
            "relists": self._relists,
        }

    # --- handlers --------------------------------------------------------------------------

    def on(
        self,
        *,
        add: Callable[[T], None] | None = None,
        update: Callable[[T, T], None] | None = None,
        delete: Callable[[T], None] | None = None,
    ) -> Registration:
        """Call these on changes; what is already there is told as added at once."""
        handler = Handler(add, update, delete)
        self._handlers.append(handler)
        if add is not None:
            for obj in self.index.list():
                self._tell(add, obj)
        return Registration(self._handlers, handler)

    def on_change(self, changed: Callable[[T], None]) -> Registration:
        """Call this with the newest state (the last one, when deleted) on every change."""
        return self.on(add=changed, update=lambda _old, new: changed(new), delete=changed)

    def add_indexers(self, indexers: Mapping[str, IndexFunction[T]]) -> None:
        """Add indexes; a name that is there already is taken to mean the same."""
        for name, function in indexers.items():
            self.index.add_index(name, function)

    # --- following the server ----------------------------------------------------------------

    async def run(self) -> None:
        """Follow the server for ever."""
        failures = 0
        while True:
            self._progress = False
            ended_well = await self._attempt()
            if self._progress:
                failures = 0
            if ended_well and self._progress:
                continue
            await self._clock.sleep(RETRY.delay(failures, self._rng))
            failures += 1

    async def _attempt(self) -> bool:
        """Follow until the watch ends; say whether it ended as watches do."""
        resource = self.kind.group_resource
        try:
            await self._follow()
        except errors.ApiError as error:
            if error.code == 410 or _from_the_future(error):
                log.info("reading everything again", resource=resource, reason=error.message)
                self.revision = ""
                self._relists += 1
                return True
            if not self.revision and self._watch_list and error.code in (400, 405, 422):
                log.info("the server has no watch-list, listing instead", resource=resource)
                self._watch_list = False
                self._progress = True
                return True
            log.warning("watch refused", resource=resource, code=error.code, reason=error.message)
            return False
        except (Unreachable, TimeoutError) as error:
            log.debug("watch broke", resource=resource, reason=str(error))
            return False
        return True

    async def _follow(self) -> None:
        if not self.revision and not self._watch_list:
            await self._list()
        timeout = self._rng.randint(SHORTEST, LONGEST)
        watch: Watch[T] = self._client.watch(
            self._what,
            resource_version=self.revision,
            initial_events=not self.revision,
            timeout=timeout,
            into=self._into,
            **self._scope,
        )
        beginning = not self.revision
        fresh: dict[ObjectKey, T] | None = {} if len(self.index) else None
        async with asyncio.timeout(timeout + GRACE), watch:
            handled = 0
            async for batch in watch.lines():
                for line in batch:
                    event = watch.decode(line, owners=self._with_owners)
                    if not beginning:
                        self._apply(event)
                    elif self._begin(event, fresh):
                        await self._complete(fresh, event.object)
                        beginning = False
                    handled += 1
                    if handled % SLICE == 0:
                        await self._clock.sleep(0)

    async def _list(self) -> None:
        items, revision = await self._client.list(
            self._what, page=PAGE, into=self._into, **self._scope
        )
        fresh = {}
        for item in items:
            _strip(item)
            fresh[key_of(item)] = item
        await self._replace(fresh)
        self._is_complete(revision)

    def _begin(self, event: WatchEvent[T], fresh: dict[ObjectKey, T] | None) -> bool:
        """Take an event of the beginning; say whether it was the last of those.

        Where there was nothing yet, nothing can be missing from what comes, so it is kept at once;
        else it is gathered in `fresh`.
        """
        obj: Any = event.object
        if event.type == BOOKMARK:
            return INITIAL_EVENTS_END in (obj.metadata.annotations or ())
        key = key_of(obj)
        if event.type == DELETED:
            if fresh is None:
                self._removed(key, obj)
            else:
                fresh.pop(key, None)
        else:
            _strip(obj)
            if fresh is None:
                self._stored(key, obj)
            else:
                fresh[key] = obj
        return False

    async def _complete(self, fresh: dict[ObjectKey, T] | None, mark: Any) -> None:
        if fresh is not None:
            await self._replace(fresh)
        self._is_complete(mark.metadata.resourceVersion)

    async def _replace(self, fresh: dict[ObjectKey, T]) -> None:
        for key in [key for key in self.index.keys() if key not in fresh]:  # noqa: SIM118
            self._removed(key, None)
        for number, (key, obj) in enumerate(fresh.items(), 1):
            self._stored(key, obj)
            if number % SLICE == 0:
                await self._clock.sleep(0)

    def _is_complete(self, revision: str) -> None:
        self.revision = revision
        self._progress = True
        self._synced.set()

    def _apply(self, event: WatchEvent[T]) -> None:
        obj: Any = event.object
        self._progress = True
        self.revision = obj.metadata.resourceVersion
        if event.type in (ADDED, MODIFIED):
            _strip(obj)
            self._stored(key_of(obj), obj)
        elif event.type == DELETED:
            _strip(obj)
            self._removed(key_of(obj), obj)

    def _stored(self, key: ObjectKey, obj: Any) -> None:
        old: Any = self.index.get(key)
        if old is not None and old.metadata.resourceVersion == obj.metadata.resourceVersion:
            return
        if old is not None and old.metadata.uid != obj.metadata.uid:
            # Deleted and created again while nobody was looking: handlers keep sets by uid.
            self._removed(key, None)
            old = None
        if self._detector is not None:
            self._detector.replaced(old, obj)
        self.index.put(obj, key)
        for handler in self._handlers.copy():
            if old is None:
                if handler.add is not None:
                    self._tell(handler.add, obj)
            elif handler.update is not None:
                self._tell(handler.update, old, obj)

    def _removed(self, key: ObjectKey, last: T | None) -> None:
        old = self.index.remove(key)
        if old is None:
            return
        if self._detector is not None:
            self._detector.replaced(old, None)
        for handler in self._handlers.copy():
            if handler.delete is not None:
                self._tell(handler.delete, old if last is None else last)

    def _tell(self, callback: Callable[..., None], *objects: T) -> None:
        try:
            callback(*objects)
        except Exception as error:
            log.exception("event handler failed", error=error, resource=self.kind.group_resource)


class Informers:
    """One informer per collection, shared by everyone in the process, running in `tasks`."""

    def __init__(
        self, client: Client, tasks: Tasks, *, detector: MutationDetector | None = None
    ) -> None:
        self.client = client
        self._tasks = tasks
        self._detector = detector
        self._shared: dict[tuple[Any, ...], tuple[Informer[Any], Any]] = {}

    def of(
        self,
        what: type[T] | Kind,
        *,
        namespace: str = "",
        field_selector: str = "",
        label_selector: str = "",
        indexers: Mapping[str, IndexFunction[T]] | None = None,
        into: type[T] | None = None,
    ) -> Informer[T]:
        """Return the informer of a collection, started with the first who asks for it."""
        kind = what if isinstance(what, Kind) else SCHEME.of(what)
        type_ = into or (None if isinstance(what, Kind) else what)
        resource = (kind.group, kind.version, kind.plural)
        key = (*resource, type_, namespace, field_selector, label_selector)
        if key not in self._shared:
            informer = Informer(
                self.client, what, namespace, field_selector, label_selector,
                into=into, detector=self._detector,
            )  # fmt: skip
            task = self._tasks.spawn_forever(informer.run, f"informer {kind.group_resource}")
            self._shared[key] = (informer, task)
        informer = self._shared[key][0]
        if indexers:
            informer.add_indexers(indexers)
        return informer

    def shared(self, kind: Kind) -> Informer[Any] | None:
        """Return the informer of a whole collection with typed objects, if somebody has one."""
        for informer, _ in self._shared.values():
            same = (informer.kind.group, informer.kind.version, informer.kind.plural)
            if same == (kind.group, kind.version, kind.plural) and informer.is_whole:
                return informer
        return None

    def drop(self, informer: Informer[Any]) -> None:
        """Stop an informer whose kind is no longer served."""
        for key, (candidate, task) in list(self._shared.items()):
            if candidate is informer:
                task.cancel()
                del self._shared[key]

    def running(self) -> Iterable[Informer[Any]]:
        """Return the informers there are."""
        return [informer for informer, _ in self._shared.values()]

    async def wait_synced(self) -> None:
        """Wait until every informer asked for so far is complete."""
        for informer in self.running():
            await informer.wait_synced()


def _from_the_future(error: errors.ApiError) -> bool:
    """Whether the server has not come as far as we have: it lost its data, or is another one."""
    return any(cause.get("reason") == "ResourceVersionTooLarge" for cause in error.causes)


def _strip(obj: Any) -> None:
    metadata = obj.metadata
    if isinstance(obj, Partial):
        metadata.annotations = None
    elif metadata.managedFields is not None:
        metadata.managedFields = None
