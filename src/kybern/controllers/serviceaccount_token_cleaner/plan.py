"""What becomes of a Secret with a service account's token that nobody uses.

In:   the Secret, its account, the Secrets that pods refer to, the time.
Out:  `Verdict`; whether uses were noted for long enough to know.
By:   serviceaccount_token_cleaner.controller. Pure.

Only Secrets that upstream's servers once made by themselves are judged: their accounts refer to
them. What somebody made by hand stays.
"""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING

from kybern.api.core import account_tokens as tokens
from kybern.lib.clock import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Collection

    from kybern.api.core.v1 import Secret, ServiceAccount

DAY = 86400.0
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Verdict(enum.Enum):
    """What to do."""

    KEEP = enum.auto()
    MARK = enum.auto()
    """Say that the token is no longer good; taking the label away makes it good again."""
    DELETE = enum.auto()


def tracked_long_enough(since: str, now: float, period: float) -> bool:
    """Say whether uses were noted through the whole period, from the day after `since` on.

    Raises:
        ValueError: `since` is no date.
    """
    return now >= _start(since) + DAY + period


def judge(
    secret: Secret,
    account: ServiceAccount | None,
    mounted: Collection[str],
    now: float,
    period: float,
) -> Verdict:
    """Return what becomes of one Secret."""
    meta, labels = secret.metadata, secret.metadata.labels or {}
    made = meta.creationTimestamp
    if meta.deletionTimestamp is not None or not made or parse_rfc3339(made) >= now - period:
        return Verdict.KEEP
    threshold = tokens.day(now - period)
    used = labels.get(tokens.LAST_USED)
    if used is not None and (not _is_date(used) or used >= threshold):
        return Verdict.KEEP
    if account is None or not tokens.belongs(secret, account):
        return Verdict.KEEP
    if all(reference.name != meta.name for reference in account.secrets or ()):
        return Verdict.KEEP
    if meta.name in mounted:
        return Verdict.KEEP
    marked = labels.get(tokens.INVALID_SINCE, "")
    if not _is_date(marked):
        return Verdict.MARK
    return Verdict.KEEP if marked >= threshold else Verdict.DELETE


def _start(date: str) -> float:
    if not _DATE.fullmatch(date):
        raise ValueError(f"not a date: {date!r}")
    return parse_rfc3339(f"{date}T00:00:00Z")


def _is_date(text: str) -> bool:
    try:
        _start(text)
    except ValueError:
        return False
    return True
