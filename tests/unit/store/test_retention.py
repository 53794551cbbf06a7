"""What is due, and what may be forgotten."""

from __future__ import annotations

from kybern.store.interface import Entry
from kybern.store.retention import KEEP_LEAST, KEEP_MOST, KEEP_SHARE, Deadlines, Due, Forgetting


class TestDeadlines:
    def test_the_earliest_come_first(self):
        entries = [Entry(str(at), at, at, b"", float(at)) for at in (30, 10, 0, 20)]
        deadlines = Deadlines(entries)
        assert deadlines.next() == 10
        deadlines.add(Entry("5", 40, 40, b"", 5.0))
        assert deadlines.take(20.0, limit=2) == [Due(5.0, "5", 40), Due(10.0, "10", 10)]
        assert deadlines.take(20.0, limit=2) == [Due(20.0, "20", 20)]
        assert deadlines.take(20.0, limit=2) == []
        assert deadlines.next() == 30

    def test_no_deadline(self):
        assert Deadlines().next() is None


class TestForgetting:
    def test_what_is_a_tick_old_goes(self):
        forgetting = Forgetting(10)
        forgetting.wrote(20, 0, 0)
        assert forgetting.tick() == 10
        forgetting.wrote(30, 0, 0)
        assert forgetting.tick() == 20
        assert forgetting.tick() == 30

    def test_when_there_is_much_more_than_is_current_the_older_half_goes(self):
        live = 20 << 20
        keep = int(live * KEEP_SHARE)
        forgetting = Forgetting(1)
        assert not forgetting.wrote(100, keep // 2 - 1, live)
        assert not forgetting.wrote(200, keep - 1, live)
        assert forgetting.wrote(201, keep + 1, live)
        assert forgetting.too_much() == 100
        assert not forgetting.wrote(202, keep // 2 + 1, live)
        assert forgetting.wrote(300, keep + 1, live)
        assert forgetting.too_much() == 201

    def test_never_too_little_and_never_too_much(self):
        assert not Forgetting(1).wrote(2, KEEP_LEAST, 10)
        assert Forgetting(1).wrote(2, KEEP_LEAST + 1, 10)
        assert not Forgetting(1).wrote(2, KEEP_MOST, 1 << 40)
        assert Forgetting(1).wrote(2, KEEP_MOST + 1, 1 << 40)
