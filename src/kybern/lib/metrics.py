"""Counters, gauges and histograms, and their exposition in Prometheus' text format.

In:   `REGISTRY.counter(name, help, label_names)` at import, `.labels(...)` and `.inc()` later.
Out:  `REGISTRY.expose()`: the bytes of a `/metrics` page.
By:   every component; each serves its own page.

A series (one set of label values) is made once and kept by whoever counts often: counting is
then one addition.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


class CounterSeries:
    """A number that only grows."""

    __slots__ = ("value",)
    kind = "counter"

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        """Add."""
        self.value += amount

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """Write the sample."""
        yield f"{name}{_braces(labels)} {_number(self.value)}"


class GaugeSeries:
    """A number that goes up and down."""

    __slots__ = ("function", "value")
    kind = "gauge"

    def __init__(self) -> None:
        self.value = 0.0
        self.function: Callable[[], float] | None = None  # asked at exposition instead

    def set(self, value: float) -> None:
        """Set."""
        self.value = value

    def inc(self, amount: float = 1.0) -> None:
        """Add."""
        self.value += amount

    def dec(self, amount: float = 1.0) -> None:
        """Subtract."""
        self.value -= amount

    def ask(self, function: Callable[[], float]) -> None:
        """Ask this function for the value whenever the page is read."""
        self.function = function

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """Write the sample."""
        value = self.value if self.function is None else self.function()
        yield f"{name}{_braces(labels)} {_number(value)}"


class HistogramSeries:
    """How many observations fell below each of some bounds, and their sum."""

    __slots__ = ("bounds", "counts", "sum")
    kind = "histogram"

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Take one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """Write the samples."""
        separator = "," if labels else ""
        totals = list(accumulate(self.counts))
        for bound, total in zip((*self.bounds, float("inf")), totals, strict=True):
            yield f'{name}_bucket{{{labels}{separator}le="{_number(bound)}"}} {total}'
        yield f"{name}_sum{_braces(labels)} {_number(self.sum)}"
        yield f"{name}_count{_braces(labels)} {totals[-1]}"


S = TypeVar("S", CounterSeries, GaugeSeries, HistogramSeries)


class Metric(Generic[S]):
    """A family of series with one name, told apart by the values of their labels."""

    __slots__ = ("_make", "_series", "help", "kind", "label_names", "name")

    def __init__(
        self, name: str, help_: str, label_names: Sequence[str], kind: str, make: Callable[[], S]
    ) -> None:
        if not _NAME.fullmatch(name) or not all(_NAME.fullmatch(label) for label in label_names):
            raise ValueError(f"not the name of a metric, or of a label: {name} {label_names}")
        self.name = name
        self.help = help_
        self.kind = kind
        self.label_names = tuple(label_names)
        self._make: Callable[[], S] = make
        self._series: dict[tuple[str, ...], S] = {}
        if not self.label_names:
            self.labels()

    def labels(self, *values: object) -> S:
        """Return the series of these label values, in the order of the names; made if new."""
        key = tuple(map(str, values))
        series = self._series.get(key)
        if series is None:
            if len(key) != len(self.label_names):
                raise ValueError(f"{self.name} has the labels {self.label_names}")
            series = self._series[key] = self._make()
        return series

    def remove(self, *values: object) -> None:
        """Forget a series, if there is one."""
        self._series.pop(tuple(map(str, values)), None)

    def clear(self) -> None:
        """Forget every series."""
        self._series.clear()

    def lines(self) -> Iterator[str]:
        """Write the family."""
        if not self._series:
            return
        yield f"# HELP {self.name} {_escape(self.help, quote=False)}"
        yield f"# TYPE {self.name} {self.kind}"
        for values, series in list(self._series.items()):
            labels = ",".join(
                f'{label}="{_escape(value)}"'
                for label, value in zip(self.label_names, values, strict=True)
            )
            yield from series.lines(self.name, labels)


class Counter(Metric[CounterSeries]):
    """Counters of one name."""

    def inc(self, amount: float = 1.0) -> None:
        """Add to the only series of a counter without labels."""
        self.labels().inc(amount)


class Gauge(Metric[GaugeSeries]):
    """Gauges of one name."""

    def set(self, value: float) -> None:
        """Set the only series of a gauge without labels."""
        self.labels().set(value)

    def inc(self, amount: float = 1.0) -> None:
        """Add to the only series of a gauge without labels."""
        self.labels().inc(amount)

    def dec(self, amount: float = 1.0) -> None:
        """Subtract from the only series of a gauge without labels."""
        self.labels().dec(amount)


class Histogram(Metric[HistogramSeries]):
    """Histograms of one name."""

    def observe(self, value: float) -> None:
        """Take an observation for the only series of a histogram without labels."""
        self.labels().observe(value)


M = TypeVar("M", Counter, Gauge, Histogram)


class Registry:
    """The metrics of one page."""

    def __init__(self) -> None:
        self._metrics: dict[str, Metric[Any]] = {}
        self._collectors: list[Callable[[], None]] = []

    def counter(self, name: str, help_: str = "", label_names: Sequence[str] = ()) -> Counter:
        """Make a counter; the same name gives the same counter."""
        return self._add(Counter(name, help_, label_names, "counter", CounterSeries))

    def gauge(self, name: str, help_: str = "", label_names: Sequence[str] = ()) -> Gauge:
        """Make a gauge; the same name gives the same gauge."""
        return self._add(Gauge(name, help_, label_names, "gauge", GaugeSeries))

    def histogram(
        self,
        name: str,
        help_: str = "",
        label_names: Sequence[str] = (),
        buckets: Sequence[float] = SECONDS,
    ) -> Histogram:
        """Make a histogram with these upper bounds; the same name gives the same histogram."""
        bounds = tuple(float(bound) for bound in sorted(buckets))
        return self._add(
            Histogram(name, help_, label_names, "histogram", lambda: HistogramSeries(bounds))
        )

    def on_expose(self, collect: Callable[[], None]) -> None:
        """Call this function, which sets what it knows, whenever the page is read."""
        self._collectors.append(collect)

    def expose(self) -> bytes:
        """Write the page, for `CONTENT_TYPE`."""
        for collect in self._collectors:
            collect()
        lines = [line for metric in self._metrics.values() for line in metric.lines()]
        return ("\n".join(lines) + "\n").encode() if lines else b""

    def _add(self, metric: M) -> M:
        known = self._metrics.setdefault(metric.name, metric)
        if type(known) is not type(metric) or known.label_names != metric.label_names:
            raise ValueError(f"{metric.name} exists already, and is something else")
        return known


REGISTRY = Registry()
"""The page of this process."""


def watch_process(registry: Registry = REGISTRY) -> None:
    """Add what the kernel says about this process: memory, processor time, open files."""
    memory = registry.gauge("process_resident_memory_bytes", "Resident memory size in bytes.")
    virtual = registry.gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.")
    seconds = registry.gauge("process_cpu_seconds_total", "User and system time in seconds.")
    seconds.kind = "counter"
    files = registry.gauge("process_open_fds", "Number of open file descriptors.")
    page = os.sysconf("SC_PAGE_SIZE")

    def collect() -> None:
        with open("/proc/self/statm", encoding="ascii") as file:
            total, resident = file.read().split()[:2]
        virtual.set(int(total) * page)
        memory.set(int(resident) * page)
        times = os.times()
        seconds.set(times.user + times.system)
        files.set(len(os.listdir("/proc/self/fd")))

    registry.on_expose(collect)


def _braces(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def _number(value: float) -> str:
    if value != value:  # this is how NaN is told
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def _escape(text: str, *, quote: bool = True) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quote else text
