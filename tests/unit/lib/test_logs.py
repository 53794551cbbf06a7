from __future__ import annotations

import io
import json
import logging

import pytest

from kybern.lib import logs


class Fixed:
    def now(self):
        return 1_763_805_600.123


@pytest.fixture
def lines():
    root, ours = logging.getLogger(), logging.getLogger("kybern")
    before = list(root.handlers), root.level, ours.level
    stream = io.StringIO()

    def configure(**options):
        logs.configure(stream=stream, clock=Fixed(), **options)
        return lambda: stream.getvalue().splitlines()

    yield configure
    root.handlers[:], root.level = before[0], before[1]
    root.setLevel(before[1])
    ours.setLevel(before[2])


def test_human_line(lines):
    read = lines()
    logs.get("store").info("opened", path="/var/lib/x", count=3, what="two words", empty="")
    assert read() == [
        "2025-11-22T10:00:00.123Z INFO store opened "
        'path=/var/lib/x count=3 what="two words" empty=""'
    ]


def test_one_record_is_one_line(lines):
    read = lines()
    logs.get("x").warning("odd", text="a\nb")
    assert read() == ['2025-11-22T10:00:00.123Z WARNING x odd text="a\\nb"']


def test_levels_and_bind(lines):
    read = lines(level="warning")
    log = logs.get("x").bind(node="n1")
    log.info("hidden")
    log.error("seen", pod="p")
    assert not log.enabled(logs.INFO)
    assert [line[25:] for line in read()] == ["ERROR x seen node=n1 pod=p"]


def test_exception_has_a_traceback(lines):
    read = lines()
    try:
        int("boom")
    except ValueError:
        logs.get("x").exception("failed")
    assert read()[0].endswith("ERROR x failed")
    assert read()[-1].startswith("ValueError: ")


def test_json(lines):
    read = lines(style="json")
    logs.get("x").info("done", count=1)
    logging.getLogger("other").warning("theirs %s", 5)
    assert [json.loads(line) for line in read()] == [
        {
            "time": "2025-11-22T10:00:00.123Z",
            "level": "info",
            "component": "x",
            "message": "done",
            "count": 1,
        },
        {
            "time": "2025-11-22T10:00:00.123Z",
            "level": "warning",
            "component": "other",
            "message": "theirs 5",
        },
    ]


def test_unknown_style():
    with pytest.raises(ValueError, match="no such log style"):
        logs.configure(style="yaml")
