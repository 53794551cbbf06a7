"""When a schedule comes round, on the clock of a place.

In:   a schedule, a time zone, a moment.
Out:  the next moment.
By:   cronjob.plan. Pure.

Where clocks are put forward, times that do not exist do not come round; where they are put back,
those that come twice do so here too. That is what upstream's parser does.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from datetime import tzinfo

    from kybern.api.batch.schedule import Schedule

MINUTE, HOUR = 60, 3600
YEARS: Final = 5
"""For how long to look: 30 February never comes."""


def zone(name: str | None) -> tzinfo:
    """Return a time zone; UTC when none is named.

    Raises:
        KeyError: there is no such zone.
    """
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError) as error:
        raise KeyError(name) from error


def next_after(schedule: Schedule, moment: float, where: tzinfo) -> float | None:
    """Return the first time after a moment at which a schedule comes round."""
    if schedule.every:
        return float(int(moment) + schedule.every)
    now = (int(moment) // MINUTE + 1) * MINUTE
    last = datetime.fromtimestamp(now, where).year + YEARS
    while True:
        local = datetime.fromtimestamp(now, where)
        if local.year > last:
            return None
        if local.month not in schedule.month.values:
            now = _midnight(local.replace(day=1) + timedelta(days=32), where, first=True)
        elif not _is_day(schedule, local):
            now = _midnight(local + timedelta(days=1), where)
        elif local.hour not in schedule.hour.values:
            now += HOUR - (local.minute * MINUTE + local.second)
        elif local.minute not in schedule.minute.values:
            now += MINUTE
        else:
            return float(now)


def _is_day(schedule: Schedule, local: datetime) -> bool:
    """A day of the month or one of the week will do, where both are given."""
    by_month = local.day in schedule.day.values
    by_week = local.isoweekday() % 7 in schedule.weekday.values
    if schedule.day.any or schedule.weekday.any:
        return by_month and by_week
    return by_month or by_week


def _midnight(day: datetime, where: tzinfo, *, first: bool = False) -> int:
    start = datetime(day.year, day.month, 1 if first else day.day, tzinfo=where)
    return int(start.timestamp())
