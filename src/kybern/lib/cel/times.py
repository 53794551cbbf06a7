"""Points in time and lengths of it.

In:   texts, seconds, nanoseconds.
Out:  Timestamp, Duration, and their parts.
By:   standard. Nothing here reads a clock: an expression cannot know what time it is.
"""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, Any

from kybern.lib.cel.values import SECOND, Duration, EvalError, Timestamp

if TYPE_CHECKING:
    from collections.abc import Callable

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
UNITS = {
    "getHours": 3600 * SECOND, "getMinutes": 60 * SECOND, "getSeconds": SECOND,
    "getMilliseconds": SECOND // 1000,
}  # fmt: skip
LONGEST = 100
"""Digits in a part of a duration; no more make one that fits."""
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)"
)
_OFFSET = re.compile(r"([+-]?)(\d\d):(\d\d)")
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_NS = {
    "ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 1_000_000, "s": SECOND, "m": 60 * SECOND,
    "h": 3600 * SECOND,
}  # fmt: skip


def parse(text: str) -> Timestamp:
    """`timestamp("2026-01-02T03:04:05Z")`."""
    match = _RFC3339.fullmatch(text)
    try:
        if match is None:
            raise ValueError(text)
        year, month, day, hour, minute, second = (int(each) for each in match.groups()[:6])
        zone = _zone_offset(match[8])
        at = datetime.datetime(year, month, day, hour, minute, second, tzinfo=zone)
        seconds = (at - EPOCH) // datetime.timedelta(seconds=1)
    except (ValueError, OverflowError):
        told = f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse "{text}"'
        raise EvalError(told) from None
    return Timestamp(seconds * SECOND + int((match[7] or "0").ljust(9, "0")))


def of_seconds(seconds: int) -> Timestamp:
    """`timestamp(0)`."""
    return Timestamp(seconds * SECOND)


def of_ns(ns: int) -> Duration:
    """`duration(1000)`."""
    return Duration(ns)


def shown(value: Timestamp) -> str:
    """`string(timestamp(...))`."""
    text = _moment(value).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    part = value.ns % SECOND
    return text + (f".{part:09d}".rstrip("0") if part else "") + "Z"


def parse_duration(text: str) -> Duration:
    """`duration("1h30m")`, as Go reads it."""
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return Duration(0)
    total, at = 0, 0
    while at < len(rest):
        match = _PART.match(rest, at)
        if match is None or len(match[1]) > LONGEST:
            break
        whole, _, fraction = match[1].partition(".")
        unit = _NS[match[2]]
        total += int(whole or "0") * unit + (
            int(fraction) * unit // 10 ** len(fraction) if fraction else 0
        )
        at = match.end()
    if not rest or at < len(rest):
        raise EvalError(f'time: invalid duration "{text}"')
    return Duration(sign * total)


def whole(ns: int) -> Callable[[Duration], int]:
    """Return a function that counts whole units in a duration, towards zero."""

    def count(value: Duration) -> int:
        units = abs(value.ns) // ns
        return units if value.ns >= 0 else -units

    return count


def _zone_offset(text: str) -> datetime.tzinfo:
    if text == "Z":
        return datetime.UTC
    match = _OFFSET.fullmatch(text)
    if match is None:
        raise ValueError(text)
    minutes = int(match[2]) * 60 + int(match[3])
    return datetime.timezone(datetime.timedelta(minutes=-minutes if match[1] == "-" else minutes))


def _zone(text: str) -> datetime.tzinfo:
    if _OFFSET.fullmatch(text):
        return _zone_offset(text)
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise EvalError(f"unknown time zone {text}") from None


def _moment(value: Timestamp) -> datetime.datetime:
    return EPOCH + datetime.timedelta(seconds=value.ns // SECOND)


def _part(get: Callable[[datetime.datetime], int]) -> Callable[..., Any]:
    def part(value: Timestamp, zone: str = "") -> int:
        moment = _moment(value)
        try:
            return get(moment.astimezone(_zone(zone)) if zone else moment)
        except OverflowError:
            raise EvalError("timestamp overflow") from None

    return part


def _milliseconds(value: Timestamp, zone: str = "") -> int:
    del zone
    return value.ns % SECOND // 1_000_000


PARTS: dict[str, Callable[..., Any]] = {
    "getFullYear": _part(lambda at: at.year),
    "getMonth": _part(lambda at: at.month - 1),
    "getDate": _part(lambda at: at.day),
    "getDayOfMonth": _part(lambda at: at.day - 1),
    "getDayOfWeek": _part(lambda at: at.isoweekday() % 7),
    "getDayOfYear": _part(lambda at: at.timetuple().tm_yday - 1),
    "getHours": _part(lambda at: at.hour),
    "getMinutes": _part(lambda at: at.minute),
    "getSeconds": _part(lambda at: at.second),
    "getMilliseconds": _milliseconds,
}
