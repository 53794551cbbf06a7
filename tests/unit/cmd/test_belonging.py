"""A control plane does not serve what belongs to another cluster."""

import pytest

from kybern.api import codec
from kybern.cmd import belonging
from kybern.cmd.cluster_info import cluster_info
from kybern.cmd.process import Fatal
from kybern.lib import pki
from kybern.lib.clock import VirtualClock, run_virtual
from kybern.store.kv.memory import MemoryEngine
from kybern.store.objects import Store

OURS, THEIRS = (pki.make_ca("kubernetes", now=1.8e9).certificate for _ in range(2))


def check(authority, *, shared=True, text=None):
    async def story():
        store = Store(MemoryEngine(), VirtualClock())
        type(store).shared = property(lambda _: shared)
        belonging.check(store, OURS)  # it is empty
        info = cluster_info("https://10.0.0.1:6443", authority)
        if text is not None:
            info.data = {"kubeconfig": text}
        await store.create(belonging.KEY, codec.encode(info))
        belonging.check(store, OURS)

    run_virtual(story())


@pytest.fixture(autouse=True)
def store_as_it_was(monkeypatch):
    monkeypatch.setattr(Store, "shared", Store.shared)


def test_the_store_of_another_cluster_is_refused():
    check(OURS)
    with pytest.raises(Fatal, match="`kybern server --join`"):
        check(THEIRS)


def test_what_cannot_be_told_and_what_is_nobody_elses_is_served():
    check(THEIRS, text="rubbish")
    check(THEIRS, shared=False)
