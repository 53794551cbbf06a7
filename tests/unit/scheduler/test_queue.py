"""The queue, step by step with a clock of plain numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scheduler.objects import a_pod, info

from kybern.lib.backoff import Backoff
from kybern.scheduler.framework import News
from kybern.scheduler.pod_info import PodInfo
from kybern.scheduler.queue import Place, SchedulingQueue

BACKOFF = Backoff(initial=1.0, factor=2.0, cap=10.0)


def a_queue(*pods, now=0.0):
    queue = SchedulingQueue(BACKOFF)
    for pod in pods:
        queue.add(pod, now)
    return queue


def order(queue, now=0.0):
    names = []
    while waiting := queue.pop(now):
        names.append(waiting.info.key[1])
    return names


def test_higher_priority_first_then_longest_waiting():
    queue = SchedulingQueue(BACKOFF)
    queue.add(info("late"), 2.0)
    queue.add(info("early"), 1.0)
    queue.add(info("also-early"), 1.0)
    queue.add(info("important", priority=10), 3.0)
    assert order(queue, 5.0) == ["important", "early", "also-early", "late"]


def test_a_pod_that_did_not_fit_waits_for_its_news():
    queue = a_queue(info("a"))
    queue.park(queue.pop(0), News.NODE_ADDED, 0)
    assert queue.pop(100) is None
    assert queue.tell(News.POD_GONE, 100) == 0
    assert queue.tell(News.NODE_ADDED, 100) == 1
    assert order(queue, 100) == ["a"]


def test_news_before_the_back_off_is_over_lets_it_run_out():
    queue = a_queue(info("a"))
    queue.park(queue.pop(0), News.NODE_ADDED, 0)
    queue.tell(News.NODE_ADDED, 0.4)
    assert queue.statistics()["backoff"] == 1
    assert queue.next_due(0.4) == 1.0
    assert queue.pop(0.9) is None
    assert queue.pop(1.0).info.key == ("default", "a")


def test_the_back_off_doubles_up_to_its_cap():
    queue, now, waited = a_queue(info("a")), 0.0, []
    for _ in range(7):
        queue.park(queue.pop(now), News.NODE_ADDED, now)
        queue.tell(News.NODE_ADDED, now)
        waited.append(queue.next_due(now) - now)
        now = queue.next_due(now)
    assert waited == [1, 2, 4, 8, 10, 10, 10]


def test_news_while_a_pod_is_tried_is_not_lost():
    queue = a_queue(info("a"), info("b"))
    first, second = queue.pop(0), queue.pop(0)
    queue.tell(News.NODE_ADDED, 0)
    queue.park(first, News.NODE_ADDED, 0)
    queue.park(second, News.POD_GONE, 0)
    assert first.place is Place.BACKOFF
    assert second.place is Place.PARKED


def test_news_of_one_node_wakes_only_who_fits_there():
    queue = a_queue(info("small", cpu="1"), info("small-too", cpu="1"), info("big", cpu="9"))
    asked = []

    def fits(pod):
        asked.append(pod.key[1])
        return pod.fit.milli_cpu < 2000

    for _ in range(3):
        queue.park(queue.pop(0), News.POD_GONE, 0)
    assert queue.tell(News.POD_GONE, 50, fits) == 2
    assert sorted(asked) == ["big", "small"]
    assert order(queue, 50) == ["small", "small-too"]


def test_pods_that_look_at_pods_elsewhere_are_woken_without_that_question():
    queue = a_queue(info("a"))
    queue.park(queue.pop(0), News.POD_GONE | News.POD_ADDED, 0)
    assert queue.tell(News.POD_GONE, 50, lambda pod: False) == 1


def test_a_node_that_says_no_for_reasons_of_its_own_is_heard_of_again():
    queue = a_queue(info("a"))
    queue.park(queue.pop(0), News.NODE_ADDED, 0)
    assert queue.tell(News.NODE_TAINTS, 50, lambda pod: True) == 0
    assert queue.tell(News.NODE_ADDED, 50, lambda pod: False) == 0
    assert queue.tell(News.NODE_TAINTS, 50, lambda pod: True) == 1


def test_a_gated_pod_is_not_tried_until_its_gates_are_gone():
    queue = a_queue(info("a", uid="u", gates=["wait"]))
    assert queue.pop(0) is None
    assert queue.next_due(0) is None
    assert queue.tell(News.EVERYTHING, 0) == 0
    queue.update(info("a", uid="u"), 5)
    assert queue.pop(5).info.key == ("default", "a")


def test_a_changed_pod_is_tried_again():
    queue = a_queue(info("a", uid="u", cpu="9"))
    queue.park(queue.pop(0), News.NODE_ADDED, 0)
    queue.update(info("a", uid="u", cpu="1"), 60)
    waiting = queue.pop(60)
    assert waiting.info.fit.milli_cpu == 1000
    queue.update(info("a", uid="u", cpu="2"), 60)
    queue.park(waiting, News.NODE_ADDED, 60)
    assert waiting.place is Place.BACKOFF


def test_a_change_of_status_changes_nothing_but_the_pod():
    queue = a_queue(info("a", uid="u"))
    queue.park(queue.pop(0), News.NODE_ADDED, 0)
    pod = a_pod("a", uid="u", phase="Pending")
    queue.refresh(pod)
    assert queue.get(("default", "a")).info.pod is pod
    assert queue.statistics()["parked"] == 1
    queue.refresh(a_pod("a", uid="another"))
    assert queue.get(("default", "a")).info.pod is pod


def test_a_pod_made_again_under_the_same_name_starts_anew():
    queue = a_queue(info("a", uid="1"))
    old = queue.pop(0)
    queue.add(info("a", uid="2"), 1)
    queue.park(old, News.NODE_ADDED, 1)
    queue.retry(old, 1)
    new = queue.pop(1)
    assert (new.info.uid, new.attempts) == ("2", 1)
    assert len(queue) == 1


def test_an_error_is_tried_again_without_news():
    queue = a_queue(info("a"))
    waiting = queue.pop(0)
    queue.retry(waiting, 0)
    assert queue.next_due(0) == 1.0
    assert queue.pop(1.0) is waiting
    queue.retry(waiting, 1)
    assert queue.next_due(1) == 3.0


def test_forgetting():
    queue = a_queue(info("a"), info("b"), info("c"), info("d", gates=["x"]))
    queue.park(queue.pop(0), News.NODE_ADDED, 0)
    queue.retry(queue.pop(0), 0)
    for name in "abcd":
        queue.forget(("default", name))
        queue.forget(("default", name))
    assert (len(queue), queue.pop(99), queue.next_due(99)) == (0, None, None)
    assert set(queue.statistics().values()) == {0}


def test_nobody_waits_for_ever():
    queue = a_queue(info("a"), info("b"))
    queue.park(queue.pop(0), News.NODE_ADDED, 0)
    queue.park(queue.pop(0), News.NODE_ADDED, 10)
    assert queue.next_due(20) == 300
    assert queue.flush(299) == 0
    assert queue.flush(300) == 1
    assert order(queue, 300) == ["a"]


@given(st.floats(0, 1e9))
def test_what_is_due_is_woken(now):
    queue = a_queue(info("a"))
    queue.park(queue.pop(now), News.NODE_ADDED, now)
    due = queue.next_due(now)
    assert queue.flush(due) == 1


steps = st.lists(
    st.tuples(st.sampled_from(["add", "gate", "pop", "park", "retry", "tell", "forget", "flush"]),
              st.integers(0, 4)),
    max_size=40,
)  # fmt: skip


@given(steps)
def test_every_pod_is_in_one_place_and_none_is_lost(steps):
    queue, now, tried, expected = SchedulingQueue(BACKOFF), 0.0, [], set()
    for step, number in steps:
        now += number
        key = ("default", f"p{number}")
        if step in ("add", "gate"):
            gates = ["g"] if step == "gate" else []
            queue.add(PodInfo(a_pod(key[1], uid=f"u{number}", gates=gates)), now)
            expected.add(key)
        elif step == "forget":
            queue.forget(key)
            expected.discard(key)
        elif step == "pop":
            if waiting := queue.pop(now):
                tried.append(waiting)
        elif step in ("park", "retry") and tried:
            waiting = tried.pop()
            if waiting.place is Place.TRIED:
                act = queue.park if step == "park" else queue.retry
                act(waiting, *([number] if step == "park" else []), now)
        elif step == "tell":
            queue.tell(number, now)
        elif step == "flush":
            queue.flush(now)
        assert sum(queue.statistics().values()) == len(queue) == len(expected)
        assert set(queue._parked) == {key for each in queue._sorts.values() for key in each}
        assert len(queue._tried) == queue.statistics()["tried"]
    for waiting in list(queue._tried.values()):
        queue.retry(waiting, now)
    queue.tell(News.EVERYTHING, now)
    now += 1000
    queue.flush(now)
    left = {("default", name) for name in order(queue, now)}
    gated = {key for key in expected if queue.get(key).place is Place.GATED}
    parked_for_nothing = set(queue._parked)
    assert left | gated | parked_for_nothing == expected
