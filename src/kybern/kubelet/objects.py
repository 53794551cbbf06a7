"""The ConfigMaps, Secrets and claims that pods on this node use, and word of their changes.

In:   which pod uses which objects.
Out:  the objects; a callback with the pods to look at when one changes.
By:   volumes and environments, through pods/act.py.

One watch per object, shared by all pods that use it: a node may read the objects of its own pods
and no others. The first read does not wait for the watch.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from kybern.api.core.v1 import ConfigMap, PersistentVolumeClaim, Secret
from kybern.api.errors import ApiError, Forbidden, NotFound
from kybern.client.informer import Informer
from kybern.client.transport import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kybern.client.rest import Client
    from kybern.kubelet.pods.environment import Reference
    from kybern.lib.tasks import Tasks

Object = ConfigMap | Secret | PersistentVolumeClaim
TYPES: dict[str, type[Object]] = {
    "ConfigMap": ConfigMap,
    "Secret": Secret,
    "PersistentVolumeClaim": PersistentVolumeClaim,
}


class Key(NamedTuple):
    """One object."""

    kind: str
    namespace: str
    name: str


class Watched:
    """One object that is being watched, and by whom it is used."""

    __slots__ = ("informer", "task", "users", "version")

    def __init__(self, informer: Informer[Object], task: asyncio.Task[None]) -> None:
        self.informer = informer
        self.task = task
        self.users: set[str] = set()
        self.version = ""  # the resourceVersion last handed out


class WatchedObjects:
    """Objects by name, watched as long as a pod uses them."""

    def __init__(
        self, client: Client, tasks: Tasks, changed: Callable[[frozenset[str]], None]
    ) -> None:
        """`changed` is called with the uids of the pods which use a changed object."""
        self._client = client
        self._tasks = tasks
        self._changed = changed
        self._watched: dict[Key, Watched] = {}
        self._reading: dict[Key, asyncio.Future[Object | Exception | None]] = {}

    async def read(
        self, namespace: str, references: Iterable[Reference]
    ) -> dict[Reference, Object | None]:
        """Return objects; None for each that does not exist or may not be read."""
        wanted = list(dict.fromkeys(references))
        async with asyncio.TaskGroup() as group:
            reads = [group.create_task(self._read(Key(r.kind, namespace, r.name))) for r in wanted]
        return dict(zip(wanted, (read.result() for read in reads), strict=True))

    def use(self, uid: str, namespace: str, references: Iterable[Reference]) -> None:
        """Watch exactly these objects on behalf of a pod."""
        wanted = {Key(r.kind, namespace, r.name) for r in references}
        for key in wanted:
            self._watch(key).users.add(uid)
        for key in [k for k, w in self._watched.items() if uid in w.users and k not in wanted]:
            self._drop(key, uid)

    def release(self, uid: str) -> None:
        """Forget a pod."""
        self.use(uid, "", ())

    def statistics(self) -> dict[str, int]:
        """Return how many objects are watched."""
        return {"watched": len(self._watched)}

    async def _read(self, key: Key) -> Object | None:
        watched = self._watched.get(key)
        if watched is not None and watched.informer.synced:
            found = watched.informer.get(key.namespace, key.name)
        else:
            found = await self._get_once(key)
            watched = self._watched.get(key)
        if watched is not None:
            watched.version = _version(found)
        return found

    async def _get_once(self, key: Key) -> Object | None:
        """Get an object; whoever asks while the answer is on its way shares it."""
        reading = self._reading.get(key)
        if reading is None:
            reading = self._reading[key] = self._tasks.spawn(
                self._get(key), name=f"read {key.kind} {key.namespace}/{key.name}"
            )
            reading.add_done_callback(lambda _: self._reading.pop(key, None))
        found = await asyncio.shield(reading)
        if isinstance(found, Exception):
            raise found
        return found

    async def _get(self, key: Key) -> Object | Exception | None:
        """Get an object; a failure is returned: it is for those who asked, not for this task."""
        try:
            return await self._client.get(TYPES[key.kind], key.name, key.namespace)
        except (NotFound, Forbidden):
            return None
        except (ApiError, Unreachable) as error:
            return error

    def _watch(self, key: Key) -> Watched:
        watched = self._watched.get(key)
        if watched is None:
            informer: Informer[Object] = Informer(
                self._client,
                TYPES[key.kind],
                key.namespace,
                field_selector=f"metadata.name={key.name}",
            )
            informer.on_change(lambda obj: self._heard(key, obj))
            task = self._tasks.spawn_forever(
                informer.run, f"watch {key.kind} {key.namespace}/{key.name}"
            )
            watched = self._watched[key] = Watched(informer, task)
        return watched

    def _drop(self, key: Key, uid: str) -> None:
        watched = self._watched[key]
        watched.users.discard(uid)
        if not watched.users:
            watched.task.cancel()
            del self._watched[key]

    def _heard(self, key: Key, obj: Object) -> None:
        watched = self._watched.get(key)
        # The watch begins by telling what the first read told already.
        if watched is not None and _version(obj) != watched.version:
            self._changed(frozenset(watched.users))


def _version(obj: Object | None) -> str:
    return (obj.metadata.resourceVersion if obj is not None else None) or ""
