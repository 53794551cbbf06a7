"""Whole numbers in what clients send."""

from __future__ import annotations

import pytest

from kybern.api import decimals, selectors
from kybern.api.batch import schedule
from kybern.api.patch import go_format

HUGE = "9" * 5000


@pytest.mark.parametrize(
    ("text", "signed", "plain"),
    [
        ("0", 0, 0),
        ("007", 7, 7),
        ("-5", -5, None),
        ("+5", 5, None),
        ("9223372036854775807", 2**63 - 1, 2**63 - 1),
        ("9223372036854775808", None, None),
        ("-9223372036854775808", -(2**63), None),
        (HUGE, None, None),
        ("0" * 5000, 0, 0),
        ("", None, None),
        ("²", None, None),
        ("٣", None, None),
        ("1_0", None, None),
        (" 1", None, None),
    ],
)
def test_numbers(text: str, signed: int | None, plain: int | None) -> None:
    assert (decimals.integer(text), decimals.natural(text)) == (signed, plain)


def test_huge_numbers_are_refused_where_they_are_compared() -> None:
    with pytest.raises(selectors.SelectorError):
        selectors.parse(f"a>{HUGE}")
    assert not selectors.parse("a>1").matches({"a": HUGE})
    with pytest.raises(schedule.ScheduleError):
        schedule.parse(f"{HUGE} * * * *")


def test_infinity_is_shown() -> None:
    assert go_format.number(float("inf")) == "+Inf"
    assert go_format.number(float("-inf")) == "-Inf"
