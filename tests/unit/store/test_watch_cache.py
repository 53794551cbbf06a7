"""What a collection remembers, and what its watchers share."""

from __future__ import annotations

import asyncio

from kybern.store.interface import ADDED, Entry, Event
from kybern.store.kv.memory import MemoryEngine
from kybern.store.objects import Store
from kybern.store.watch_cache import Collection, Window, within
from kybern.store.watcher import Watcher

PREFIX = "/registry/pods/"


def collection(**window):
    return Collection(PREFIX, 1, Window(**window), None)


def publish(pods, revisions, now=0.0, namespace="a"):
    pods.pending = [
        Event(ADDED, Entry(f"{PREFIX}{namespace}/{r}", r, r, b'{"metadata":{}}'), None)
        for r in revisions
    ]
    batch = pods.pending
    pods.publish(now)
    return batch


def revisions(events):
    return [event.revision for event in events]


def watcher(pods, scope=PREFIX, since=1):
    made = Watcher(since, lambda: 0, lambda w: pods.leave(w, scope))
    pods.join(made, scope)
    return made


def test_the_past_is_bounded_by_number():
    pods = collection(most=10, age=1e9, least=0)
    for first in range(2, 42, 4):
        publish(pods, range(first, first + 4))
    assert pods.statistics()["events"] <= 12
    assert pods.floor == 29
    assert revisions(pods.since(29, PREFIX)) == list(range(30, 42))


def test_the_past_is_bounded_by_age_but_for_the_last_few():
    pods = collection(most=1000, age=10.0, least=3)
    for revision in range(2, 12):
        publish(pods, [revision], now=float(revision))
    assert pods.floor == 1
    pods.trim(now=15.0)
    assert revisions(pods.since(pods.floor, PREFIX)) == [5, 6, 7, 8, 9, 10, 11]
    pods.trim(now=1000.0)
    assert revisions(pods.since(pods.floor, PREFIX)) == [9, 10, 11]


def test_the_past_of_all_collections_is_bounded_by_weight():
    one = collection(weight=100, most=1000, age=1e9, least=100)
    other = Collection("/registry/other/", 1, Window(), None, one._budget)
    for revision in range(2, 12):
        publish(one, [revision])  # 15 bytes each
    assert one.statistics()["events"] == 6
    assert one._budget.used == 90
    publish(other, range(12, 20))
    assert other.statistics()["events"] == 8, "what is latest stays"
    publish(one, [20])
    assert one.statistics()["events"] == 1
    assert one.floor == 11
    other.forget(20)
    assert one._budget.used == 15


def test_the_past_since_a_revision_within_a_batch():
    pods = collection()
    publish(pods, [2, 3])
    publish(pods, [5, 6, 8])
    publish(pods, [9], namespace="b")
    assert revisions(pods.since(5, PREFIX)) == [6, 8, 9]
    assert revisions(pods.since(4, f"{PREFIX}a/")) == [5, 6, 8]
    assert revisions(pods.since(1, f"{PREFIX}b/9")) == [9]
    assert pods.since(9, PREFIX) == []


def test_watchers_of_everything_share_one_list():
    pods = collection()
    one, two = watcher(pods), watcher(pods)
    batch = publish(pods, [2, 3])
    assert one.take() is batch
    assert two.take() is batch
    assert one.take() == ()


def test_watchers_of_one_namespace_share_one_list():
    pods = collection()
    one, two, other = (watcher(pods, f"{PREFIX}{ns}/") for ns in "aab")
    publish(pods, [2, 3])
    batch = one.take()
    assert revisions(batch) == [2, 3]
    assert two.take() is batch
    assert other.take() == ()


def test_frames_are_kept_only_while_they_are_shared():
    pods = collection(frames=4)
    watcher(pods)
    batches = [publish(pods, [revision, revision + 1]) for revision in range(2, 20, 2)]
    for batch in batches:
        for event in batch:
            assert event.frame
    publish(pods, [30, 31])
    publish(pods, [32, 33])
    assert [event.framed is None for event in batches[-1]] == [True, True]
    assert [event.framed is None for event in batches[-3]] == [False, False]


def test_who_left_gets_nothing():
    pods = collection()
    one, two = watcher(pods), watcher(pods, f"{PREFIX}a/")
    one.close()
    two.close()
    one.close()
    publish(pods, [2])
    assert one.take() == two.take() == ()
    assert pods.statistics() == {"events": 1, "watchers": 0}


def test_scopes():
    assert within("/registry/pods/a/x", "/registry/pods/a/")
    assert within("/registry/pods/a/x", "/registry/pods/a/x")
    assert not within("/registry/pods/a/xy", "/registry/pods/a/x")
    assert not within("/registry/pods/ab/x", "/registry/pods/a/")


def test_a_collection_knows_since_when_nothing_has_changed():
    async def story():
        store = Store(MemoryEngine())
        store.collection("/registry/pods/")
        store.collection("/registry/nodes/")
        await store.create("/registry/pods/a/b", b'{"metadata":{}}')
        before = store.changed("/registry/pods/")
        await store.create("/registry/nodes/n", b'{"metadata":{}}')
        assert store.changed("/registry/pods/") == before
        assert store.changed("/registry/nodes/") == store.revision
        assert store.changed("/registry/unheard-of/") == store.revision
        await store.close()

    asyncio.run(story())
