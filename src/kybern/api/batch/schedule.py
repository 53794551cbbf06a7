"""Schedules of CronJobs: five fields, or a word such as `@daily`.

In:   the text of a schedule.
Out:  a `Schedule`, or ScheduleError with the sentence that upstream's parser has for it.
By:   validation; the CronJob controller.

Facts: the parser upstream uses, robfig/cron v3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from kybern.api.decimals import integer

MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
DAYS: Final = {
    name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))
}
WORDS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY: Final = re.compile(r"@every ((?:[0-9.]+(?:h|ms|m|us|ns|s))+)").fullmatch
_PART: Final = re.compile(r"([0-9.]+)(h|ms|m|us|ns|s)")
_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


class ScheduleError(ValueError):
    """The text is no schedule; the message is upstream's."""


@dataclass(frozen=True, slots=True)
class Field:
    """One of the five fields: the numbers it stands for.

    Attributes:
        values: when it matches.
        any: whether it was `*` or `?`, which counts when days of month and of week are combined.
    """

    values: frozenset[int]
    any: bool


@dataclass(frozen=True, slots=True)
class Schedule:
    """When something is to run: at these minutes, or every so many seconds."""

    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field
    every: int = 0


_BOUNDS: Final[tuple[tuple[int, int, dict[str, int]], ...]] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, MONTHS),
    (0, 6, DAYS),
)
_ALL: Final = Field(frozenset(), any=True)


@lru_cache(256)
def parse(text: str) -> Schedule:
    """Read a schedule.

    Raises:
        ScheduleError: when it is none.
    """
    if not text:
        raise ScheduleError("empty spec string")
    if text.startswith("@"):
        return _parse_word(text)
    fields = text.split()
    if len(fields) != len(_BOUNDS):
        shown = " ".join(fields)
        raise ScheduleError(f"expected exactly 5 fields, found {len(fields)}: [{shown}]")
    parts = [_parse_field(f, *b) for f, b in zip(fields, _BOUNDS, strict=True)]
    minute, hour, day, month, weekday = parts
    return Schedule(minute, hour, day, month, weekday)


def _parse_word(text: str) -> Schedule:
    if text in WORDS:
        return parse(WORDS[text])
    every = _EVERY(text)
    if every is None:
        raise ScheduleError(f"unrecognized descriptor: {text}")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(every[1]))
    return Schedule(_ALL, _ALL, _ALL, _ALL, _ALL, every=max(int(seconds), 1))


def _parse_field(text: str, low: int, high: int, words: dict[str, int]) -> Field:
    values: set[int] = set()
    whole = False
    for part in text.split(","):
        found, is_any = _parse_range(part, low, high, words)
        values |= found
        whole = whole or is_any
    return Field(frozenset(values), whole)


def _parse_range(text: str, low: int, high: int, words: dict[str, int]) -> tuple[set[int], bool]:
    span, *steps = text.split("/")
    ends = span.split("-")
    whole = ends[0] in ("*", "?")
    if whole:
        start, end = low, high
    else:
        start = _number(ends[0], words)
        end = _number(ends[1], words) if len(ends) == 2 else start
        if len(ends) > 2:
            raise ScheduleError(f"too many hyphens: {text}")
    step = 1
    if len(steps) == 1:
        step = _number(steps[0], {})
        if not whole and len(ends) == 1:
            end = high
        whole = whole and step == 1
    elif steps:
        raise ScheduleError(f"too many slashes: {text}")
    if start < low:
        raise ScheduleError(f"beginning of range ({start}) below minimum ({low}): {text}")
    if end > high:
        raise ScheduleError(f"end of range ({end}) above maximum ({high}): {text}")
    if start > end:
        raise ScheduleError(f"beginning of range ({start}) beyond end of range ({end}): {text}")
    if step == 0:
        raise ScheduleError(f"step of range should be a positive number: {text}")
    return set(range(start, end + 1, step)), whole


def _number(text: str, words: dict[str, int]) -> int:
    known = words.get(text.lower())
    if known is not None:
        return known
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        told = f'strconv.Atoi: parsing "{text}": invalid syntax'
        raise ScheduleError(f"failed to parse int from {text}: {told}")
    if text.startswith("-"):
        raise ScheduleError(f"negative number ({text}) not allowed: {text}")
    number = integer(text)
    if number is None:
        told = f'strconv.Atoi: parsing "{text}": value out of range'
        raise ScheduleError(f"failed to parse int from {text}: {told}")
    return number
