"""Announcements: at once when there is time, later in a rush, and none is lost."""

from __future__ import annotations

from tests.unit.scheduler.objects import a_pod

from kybern.lib.clock import VirtualClock
from kybern.lib.tasks import Tasks
from kybern.scheduler.announce import Announcer


class Recorder:
    """Remembers events, and says how many it has still to send."""

    def __init__(self):
        self.events = []
        self.waiting = 0

    def event(self, pod, kind, reason, message):
        self.events.append(message)

    def statistics(self):
        return {"waiting": self.waiting}


def run(virtual, story):
    async def main():
        recorder, clock, rush = Recorder(), VirtualClock(), []
        async with Tasks(clock=clock) as tasks:
            announcer = Announcer(recorder, clock, tasks, lambda: bool(rush))
            await story(recorder, clock, rush, announcer)

    virtual(main())


def test_at_once_when_there_is_time(virtual):
    async def story(recorder, clock, rush, announcer):
        announcer.announce(a_pod("web"), "n1")
        assert recorder.events == ["Successfully assigned default/web to n1"]

    run(virtual, story)


def test_in_a_rush_they_trickle_and_afterwards_follow_in_order(virtual):
    async def story(recorder, clock, rush, announcer):
        rush.append(True)
        for i in range(500):
            announcer.announce(a_pod(f"p{i}"), "n1")
        assert not recorder.events
        await clock.sleep(1)
        assert 0 < len(recorder.events) < 100
        rush.clear()
        announcer.announce(a_pod("last"), "n1")
        await clock.sleep(1)
        assert len(recorder.events) == 501
        assert recorder.events[-1] == "Successfully assigned default/last to n1"
        assert len(announcer) == 0

    run(virtual, story)


def test_a_recorder_that_is_behind_is_not_given_more(virtual):
    async def story(recorder, clock, rush, announcer):
        rush.append(True)
        announcer.announce(a_pod("web"), "n1")
        rush.clear()
        recorder.waiting = 900
        await clock.sleep(1)
        assert not recorder.events
        recorder.waiting = 0
        await clock.sleep(1)
        assert len(recorder.events) == 1

    run(virtual, story)
