"""What is due, and what may be forgotten."""

from __future__ import annotations

from kybern.store.interface import Entry
from kybern.store.retention import Deadlines, Due, Forgetting


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
        forgetting.wrote(20, 0)
        assert forgetting.tick() == 10
        forgetting.wrote(30, 0)
        assert forgetting.tick() == 20
        assert forgetting.tick() == 30

    def test_when_there_is_too_much_the_older_half_goes(self):
        forgetting = Forgetting(1, keep_bytes=1000)
        assert not forgetting.wrote(100, 490)
        assert not forgetting.wrote(200, 990)
        assert forgetting.wrote(201, 1010)
        assert forgetting.too_much() == 100
        assert not forgetting.wrote(202, 530)
        assert forgetting.wrote(300, 1001)
        assert forgetting.too_much() == 201
