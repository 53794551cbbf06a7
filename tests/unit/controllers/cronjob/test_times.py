"""When schedules come round."""

from __future__ import annotations

import itertools
from datetime import datetime

import pytest

from kybern.api.batch.schedule import parse
from kybern.controllers.cronjob.times import next_after, zone


def coming(text, since, name=None, count=1):
    where = zone(name)
    moment = datetime.fromisoformat(since).replace(tzinfo=where).timestamp()
    found = []
    for _ in itertools.repeat(None, count):
        moment = next_after(parse(text), moment, where)
        found.append(moment and datetime.fromtimestamp(moment, where).strftime("%m-%d %H:%M %Z"))
    return found


@pytest.mark.parametrize(
    ("text", "since", "expected"),
    [
        ("* * * * *", "2026-01-01 10:00:00", "01-01 10:01 UTC"),
        ("* * * * *", "2026-01-01 10:00:59", "01-01 10:01 UTC"),
        ("*/15 * * * *", "2026-01-01 10:45:00", "01-01 11:00 UTC"),
        ("30 4 * * *", "2026-12-31 05:00:00", "01-01 04:30 UTC"),
        ("0 0 1 * *", "2026-01-15 00:00:00", "02-01 00:00 UTC"),
        ("0 0 31 * *", "2026-04-01 00:00:00", "05-31 00:00 UTC"),
        ("0 9 * * mon", "2026-01-01 00:00:00", "01-05 09:00 UTC"),
        ("0 9 13 * fri", "2026-01-01 00:00:00", "01-02 09:00 UTC"),  # the 13th or a Friday
        ("0 9 */2 * fri", "2026-01-03 00:00:00", "01-03 09:00 UTC"),
        ("0 0 29 2 *", "2026-03-01 00:00:00", "02-29 00:00 UTC"),
        ("0 0 30 2 *", "2026-03-01 00:00:00", None),
        ("@every 90s", "2026-01-01 10:00:00", "01-01 10:01 UTC"),
        ("@hourly", "2026-01-01 10:20:00", "01-01 11:00 UTC"),
    ],
)
def test_in_utc(text, since, expected):
    assert coming(text, since) == [expected]


def test_what_the_clock_skips_does_not_come_round():
    assert coming("30 2 * * *", "2026-03-28 00:00:00", "Europe/Berlin", 3) == [
        "03-28 02:30 CET", "03-30 02:30 CEST", "03-31 02:30 CEST",
    ]  # fmt: skip


def test_what_comes_twice_does_so():
    assert coming("30 2 * * *", "2026-10-24 12:00:00", "Europe/Berlin", 3) == [
        "10-25 02:30 CEST", "10-25 02:30 CET", "10-26 02:30 CET",
    ]  # fmt: skip


def test_every_hour_is_every_hour():
    hours = coming("0 * * * *", "2026-03-29 00:30:00", "Europe/Berlin", 3)
    assert hours == ["03-29 01:00 CET", "03-29 03:00 CEST", "03-29 04:00 CEST"]


def test_a_day_may_begin_at_one():
    # Havana puts its clocks forward at midnight
    assert coming("30 1 * * *", "2026-03-07 12:00:00", "America/Havana", 1) == ["03-08 01:30 CDT"]


def test_half_hours_between_zones():
    assert coming("0 6 * * *", "2026-01-01 07:00:00", "Asia/Kolkata", 1) == ["01-02 06:00 IST"]


def test_there_are_zones_which_are_not():
    with pytest.raises(KeyError):
        zone("Middle/Earth")
