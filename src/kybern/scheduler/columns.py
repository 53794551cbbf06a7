"""All nodes as columns: one array per fact, one row per node.

In:   nodes and their changes; requests of the pods on them.
Out:  arrays the plugins compute with, over all rows at once.
By:   cache keeps it current; plugins read it. Pure state, no I/O.

Rows are reused, never moved, so a row number stays a node's for the node's life. Every change to
a row raises its version: who has computed something for all rows need only compute it anew for
the rows whose version is higher than then.

Strings never meet the arrays: label values and sets of taints are interned, and the columns hold
their numbers. A label has a column only once a plugin asked for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from kybern.api.quantity import to_milli, to_value
from kybern.scheduler import volumes
from kybern.scheduler.framework import News
from kybern.scheduler.pod_index import PodIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kybern.api.core.pods import HostPort
    from kybern.api.core.v1 import Node, PersistentVolume, Taint
    from kybern.scheduler.framework import Bools
    from kybern.scheduler.pod_info import PodInfo

CPU: Final = 0
MEMORY: Final = 1
STORAGE: Final = 2
PODS: Final = 3
FIXED: Final = ("cpu", "memory", "ephemeral-storage", "pods")
ABSENT: Final = -1

T = TypeVar("T", bound=np.generic)
TaintSet = tuple[tuple[str, str, str], ...]


class LabelColumn:
    """One label of all nodes: the number of its value, or `ABSENT`."""

    __slots__ = ("ids", "numbers", "values")

    def __init__(self, capacity: int) -> None:
        self.ids: NDArray[np.int32] = np.full(capacity, ABSENT, np.int32)
        self.numbers: dict[str, int] = {}
        self.values: list[str] = []

    def put(self, row: int, value: str | None) -> None:
        """Note a node's value."""
        if value is None:
            self.ids[row] = ABSENT
            return
        number = self.numbers.get(value)
        if number is None:
            number = self.numbers[value] = len(self.values)
            self.values.append(value)
        self.ids[row] = number


class Nodes:
    """The nodes. `size` rows are in use or were; `valid` says which are."""

    def __init__(self, capacity: int = 16) -> None:
        self.size = 0
        self.count = 0
        self.version = 0
        self.index: dict[str, int] = {}
        self.objects: list[Node | None] = []  # by row
        self.resources: dict[str, int] = {name: row for row, name in enumerate(FIXED)}
        self.taint_sets: list[tuple[Taint, ...]] = [()]
        self.images: dict[str, dict[int, int]] = {}
        # What prepared plugins rely on: raised when a row is added, a new set of taints or a new
        # resource appears, or images come and go.
        self.layout = 0
        self.ports: dict[tuple[str, int], dict[tuple[str, int], int]] = {}
        self.valid: Bools = np.zeros(capacity, np.bool_)
        self.unschedulable: Bools = np.zeros(capacity, np.bool_)
        self.taint_set: NDArray[np.int32] = np.zeros(capacity, np.int32)
        self.row_version: NDArray[np.int64] = np.zeros(capacity, np.int64)
        self.allocatable: NDArray[np.int64] = np.zeros((len(FIXED), capacity), np.int64)
        self.requested: NDArray[np.int64] = np.zeros((len(FIXED), capacity), np.int64)
        self.free: NDArray[np.int64] = np.zeros((len(FIXED), capacity), np.int64)
        # For scores, CPU and memory only, in the type they are computed with; exact below 2**53.
        self.nonzero: NDArray[np.float64] = np.zeros((2, capacity), np.float64)
        self.capacity: NDArray[np.float64] = np.zeros((2, capacity), np.float64)
        self.divisor: NDArray[np.float64] = np.ones((2, capacity), np.float64)
        self.incomplete: set[int] = set()
        self.pods = PodIndex(capacity)
        self.volumes = volumes.NOTHING
        self._labels: dict[str, LabelColumn] = {}
        self._taint_numbers: dict[TaintSet, int] = {(): 0}
        self._free: list[int] = []
        self._image_names: dict[int, tuple[tuple[str, int], ...]] = {}

    def reaches(self, volume: PersistentVolume, node: str) -> bool:
        """Say whether a node can use a volume."""
        terms, row = volumes.node_terms(volume), self.index.get(node)
        if terms is None or row is None:
            return terms is None
        from kybern.scheduler import node_selectors

        return bool(node_selectors.matches_any(terms, self, slice(row, row + 1))[0])

    def name(self, row: int) -> str:
        """Return the name of the node in a row."""
        node = self.objects[row]
        assert node is not None
        return node.metadata.name or ""

    def rows(self) -> NDArray[np.intp]:
        """Return the rows in use."""
        return np.flatnonzero(self.valid[: self.size])

    def changed_since(self, version: int) -> NDArray[np.intp]:
        """Return the rows that changed after the columns had this version."""
        return np.flatnonzero(self.row_version[: self.size] > version)

    def label(self, key: str) -> LabelColumn:
        """Return the column of a label, made when first asked for."""
        column = self._labels.get(key)
        if column is None:
            column = self._labels[key] = LabelColumn(len(self.valid))
            for row, node in enumerate(self.objects):
                if node is not None:
                    column.put(row, (node.metadata.labels or {}).get(key))
        return column

    # --- nodes come, change and go -------------------------------------------------------------

    def put(self, node: Node) -> int:
        """Take in a node's newest state; return the `News`."""
        name = node.metadata.name or ""
        row = self.index.get(name)
        if row is None:
            row = self._new_row(name)
            news: int = News.NODE_ADDED
        else:
            news = _difference(self.objects[row], node)
        old = self.objects[row]
        self.objects[row] = node
        if old is None or news:
            self._fill(row, node)
            self.touch(row)
        if old is None or old.status.images != node.status.images:
            self._put_images(row, node)
        return news

    def remove(self, name: str) -> None:
        """Forget a node; pods that are still said to run there keep their requests with them."""
        row = self.index.pop(name, None)
        if row is None:
            return
        self.objects[row] = None
        self.valid[row] = False
        self.count -= 1
        self.allocatable[:, row] = self.requested[:, row] = self.free[:, row] = 0
        self.nonzero[:, row] = self.capacity[:, row] = 0
        self.divisor[:, row] = 1
        self.incomplete.discard(row)
        for column in self._labels.values():
            column.ids[row] = ABSENT
        for users in self.ports.values():
            for user in [each for each in users if each[1] == row]:
                del users[user]
        self._drop_images(row)
        self.pods.clear(row)
        self._free.append(row)
        self.touch(row)

    def touch(self, row: int) -> None:
        """Note that a row changed."""
        self.version += 1
        self.row_version[row] = self.version

    def _new_row(self, name: str) -> int:
        if self._free:
            row = self._free.pop()
        else:
            row = self.size
            if row == len(self.valid):
                self._grow()
            self.size += 1
            self.layout += 1
            self.objects.append(None)
        self.index[name] = row
        self.valid[row] = True
        self.count += 1
        return row

    def _grow(self) -> None:
        capacity = len(self.valid) * 2
        self.valid = _longer(self.valid, capacity)
        self.unschedulable = _longer(self.unschedulable, capacity)
        self.taint_set = _longer(self.taint_set, capacity)
        self.row_version = _longer(self.row_version, capacity)
        self.allocatable = _longer(self.allocatable, capacity)
        self.requested = _longer(self.requested, capacity)
        self.free = _longer(self.free, capacity)
        self.nonzero = _longer(self.nonzero, capacity)
        self.capacity = _longer(self.capacity, capacity)
        self.divisor = _longer(self.divisor, capacity)
        for column in self._labels.values():
            column.ids = _longer(column.ids, capacity)
            column.ids[self.size :] = ABSENT
        self.pods.grow(capacity)

    def _fill(self, row: int, node: Node) -> None:
        self.unschedulable[row] = bool(node.spec.unschedulable)
        self.taint_set[row] = self._intern_taints(node)
        self.allocatable[:, row] = 0
        for name, text in (node.status.allocatable or {}).items():
            number = self.resource(name)
            self.allocatable[number, row] = to_milli(text) if number == CPU else to_value(text)
        self.free[:, row] = self.allocatable[:, row] - self.requested[:, row]
        self.capacity[:, row] = self.allocatable[:2, row]
        self.divisor[:, row] = np.maximum(self.capacity[:, row], 1)
        if self.capacity[:, row].all():
            self.incomplete.discard(row)
        else:
            self.incomplete.add(row)
        labels = node.metadata.labels or {}
        for key, column in self._labels.items():
            column.put(row, labels.get(key))

    def _intern_taints(self, node: Node) -> int:
        taints = tuple(node.spec.taints or ())
        key = tuple((taint.key, taint.value or "", taint.effect) for taint in taints)
        number = self._taint_numbers.get(key)
        if number is None:
            number = self._taint_numbers[key] = len(self.taint_sets)
            self.taint_sets.append(taints)
            self.layout += 1
        return number

    def resource(self, name: str) -> int:
        """Return the number of a resource's column, made when first asked for."""
        number = self.resources.get(name)
        if number is None:
            number = self.resources[name] = len(self.resources)
            self.layout += 1
            more = np.zeros((1, len(self.valid)), np.int64)
            self.allocatable = np.concatenate((self.allocatable, more))
            self.requested = np.concatenate((self.requested, more))
            self.free = np.concatenate((self.free, more))
        return number

    # --- pods come and go ----------------------------------------------------------------------

    def take(self, row: int, pod: PodInfo, sign: int = 1) -> None:
        """Take what a pod requests from a node; with `sign` -1, give it back."""
        self.try_taking(row, pod, sign)
        self.touch(row)

    def try_taking(self, row: int, pod: PodInfo, sign: int = 1) -> None:
        """As `take`, without saying so: for whoever puts everything back before anyone looks."""
        fit = pod.fit
        self._shift(CPU, row, sign * fit.milli_cpu)
        self._shift(MEMORY, row, sign * fit.memory)
        self._shift(PODS, row, sign)
        if fit.ephemeral_storage:
            self._shift(STORAGE, row, sign * fit.ephemeral_storage)
        for name, amount in fit.others.items():
            self._shift(self.resource(name), row, sign * amount)
        self.nonzero[CPU, row] += sign * pod.nonzero[0]
        self.nonzero[MEMORY, row] += sign * pod.nonzero[1]
        for port in pod.ports:
            self._take_port(row, port, sign)
        self.pods.shift(row, pod, sign)

    def _shift(self, column: int, row: int, amount: int) -> None:
        self.requested[column, row] += amount
        self.free[column, row] -= amount

    def _take_port(self, row: int, port: HostPort, sign: int) -> None:
        users = self.ports.setdefault((port.protocol, port.port), {})
        count = users.get((port.ip, row), 0) + sign
        if count:
            users[port.ip, row] = count
        else:
            del users[port.ip, row]

    # --- images --------------------------------------------------------------------------------

    def _put_images(self, row: int, node: Node) -> None:
        had = row in self._image_names
        self._drop_images(row)
        found = tuple(
            (name, image.sizeBytes or 0)
            for image in node.status.images or ()
            for name in image.names or ()
        )
        for name, size in found:
            self.images.setdefault(name, {})[row] = size
        if found:
            self._image_names[row] = found
        if found or had:
            self.layout += 1

    def _drop_images(self, row: int) -> None:
        for name, _ in self._image_names.pop(row, ()):
            rows = self.images[name]
            rows.pop(row, None)
            if not rows:
                del self.images[name]


def _difference(old: Node | None, new: Node) -> int:
    if old is None:
        return News.NODE_ADDED
    news: int = News.NOTHING
    if old.status.allocatable != new.status.allocatable:
        news |= News.NODE_ALLOCATABLE
    if old.metadata.labels != new.metadata.labels:
        news |= News.NODE_LABELS
    if old.spec.taints != new.spec.taints:
        news |= News.NODE_TAINTS
    if old.spec.unschedulable != new.spec.unschedulable:
        news |= News.NODE_UNSCHEDULABLE
    return news


def _longer(array: NDArray[T], capacity: int) -> NDArray[T]:
    longer = np.zeros((*array.shape[:-1], capacity), array.dtype)
    longer[..., : array.shape[-1]] = array
    return longer
