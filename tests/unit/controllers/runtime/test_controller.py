"""Keys are reconciled, again when it failed, later when that was asked for."""

from __future__ import annotations

import asyncio

import pytest

from kybern.api import errors
from kybern.api.core.v1 import Pod
from kybern.api.meta.v1 import ObjectMeta
from kybern.client.indexer import Indexer
from kybern.client.transport import Unreachable
from kybern.controllers.all import ALL, names
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.expectations import Expectations
from kybern.controllers.runtime.host import ControllersConfig
from kybern.controllers.runtime.reconcile import DONE, After, Key, Terminal
from kybern.lib.clock import run_virtual

KEY = Key("ns", "a")


def run(reconcile, seconds=60.0):
    async def main():
        loop = Loop("test", reconcile)
        task = asyncio.create_task(loop.run())
        loop.add(KEY)
        await asyncio.sleep(seconds)
        task.cancel()
        return loop.statistics()

    return run_virtual(main())


def test_once_is_enough():
    calls = []

    async def reconcile(key):
        calls.append(key)
        return DONE

    assert run(reconcile)["done"] == 1
    assert calls == [KEY]


def test_later():
    times = []

    async def reconcile(_):
        times.append(asyncio.get_running_loop().time())
        return After(10.0) if len(times) < 3 else DONE

    run(reconcile)
    assert times == [0, 10, 20]


@pytest.mark.parametrize(
    "error",
    [
        errors.Conflict("x"),
        errors.InternalError("x"),
        Unreachable("x"),
        ExceptionGroup("x", [errors.NotFound("x")]),
        ValueError("a bug"),
        ExceptionGroup("x", [errors.NotFound("x"), ValueError("a bug")]),
    ],
)
def test_failures_come_again_after_a_while(error, caplog):
    times = []

    async def reconcile(_):
        times.append(asyncio.get_running_loop().time())
        if len(times) < 5:
            raise error
        return DONE

    statistics = run(reconcile)
    assert len(times) == 5
    assert times[4] < 1
    assert statistics["failing"] == 0
    assert ("Traceback" in caplog.text) == ("bug" in repr(error))


def test_terminal_does_not_come_again():
    calls = []

    async def reconcile(_):
        calls.append(1)
        raise Terminal("no")

    assert run(reconcile)["failing"] == 0
    assert len(calls) == 1


class FakeInformer:
    """As much of an informer as expectations look at."""

    def __init__(self):
        self.index = Indexer()
        self.revision = "5"

    def get(self, namespace, name):
        return self.index.get((namespace, name))


def pod(name, uid="1", revision="5", deleting=False):
    return Pod(
        metadata=ObjectMeta(
            name=name,
            namespace="ns",
            uid=uid,
            resourceVersion=revision,
            deletionTimestamp="now" if deleting else None,
        )
    )


def test_what_was_written_is_waited_for():
    informer = FakeInformer()
    expectations = Expectations(informer)
    assert expectations.satisfied(KEY)
    expectations.wrote(KEY, pod("a", revision="7"))
    expectations.wrote(KEY, pod("b", revision="6"))
    assert not expectations.satisfied(KEY)
    assert expectations.satisfied(Key("ns", "other"))
    informer.revision = "7"
    assert expectations.satisfied(KEY)
    informer.revision = "6"
    assert expectations.satisfied(KEY)  # once seen it is over


@pytest.mark.parametrize("after", [None, pod("a", uid="2"), pod("a", deleting=True)])
def test_what_was_deleted_is_waited_for(after):
    informer = FakeInformer()
    informer.index.put(pod("a"))
    expectations = Expectations(informer)
    expectations.deleted(KEY, pod("a"))
    assert not expectations.satisfied(KEY)
    informer.index.remove(("ns", "a"))
    if after is not None:
        informer.index.put(after)
    assert expectations.satisfied(KEY)


def test_forgetting():
    informer = FakeInformer()
    informer.index.put(pod("a"))
    expectations = Expectations(informer)
    expectations.deleted(KEY, pod("a"))
    expectations.wrote(KEY, pod("b", revision="9"))
    expectations.forget(KEY)
    assert expectations.satisfied(KEY)


def test_which_controllers_are_enabled():
    one = next(d for d in ALL if d.name == "deployment-controller")
    assert one.enabled(("*",))
    assert one.enabled(("deployment",))
    assert not one.enabled(("replicaset",))
    assert not one.enabled(("*", "-deployment"))
    assert not one.enabled(("*", "-deployment-controller"))
    assert one.enabled(("-deployment", "deployment"))


def test_configurations_are_checked():
    assert ControllersConfig().check(names()) == []
    bad = ControllersConfig(
        controllers=("*", "-nonsense"), max_endpoints_per_slice=0, node_monitor_period=0
    )
    assert len(bad.check(names())) == 3


def test_names_are_unique():
    assert len(set(names())) == len(names())


def test_what_is_large_is_not_looked_at_again_at_once():
    async def main():
        times = []

        async def reconcile(key):
            times.append(asyncio.get_running_loop().time())
            loop.looked(key, 10_000)
            return DONE

        loop = Loop("test", reconcile)
        task = asyncio.create_task(loop.run())
        for _ in range(50):
            loop.add(KEY)
            await asyncio.sleep(0.001)
        await asyncio.sleep(1)
        loop.add(KEY)
        await asyncio.sleep(0.001)
        loop.hurry(KEY)
        await asyncio.sleep(0)
        task.cancel()
        return times

    times = run_virtual(main())
    assert times == pytest.approx([0, 0.2, 1.05, 1.051])
