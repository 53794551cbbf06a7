"""The loop: what an earlier run left holds until it is replaced, as a whole."""

import asyncio

import pytest

from kybern.api import codec
from kybern.api.core.v1 import Namespace, Pod
from kybern.api.networking.v1 import NetworkPolicy
from kybern.network import nft
from kybern.network.policy import enforcer
from kybern.network.policy.enforcer import Enforcer

DENY = {"metadata": {"namespace": "n", "name": "deny"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}  # fmt: skip
POD = {
    "metadata": {"namespace": "n", "name": "p"},
    "spec": {"nodeName": "one", "containers": [{"name": "c"}]},
    "status": {"phase": "Running", "podIP": "10.244.1.1", "podIPs": [{"ip": "10.244.1.1"}]},
}


class Informer:
    """Tells of what there is, a moment after it was asked."""

    def __init__(self, objects):
        self.objects = objects

    def on(self, *, add, update, delete):
        self.add, self.delete = add, delete
        return self

    async def wait_synced(self):
        await asyncio.sleep(1)
        for each in self.objects:
            self.add(each)


@pytest.fixture
def node(monkeypatch):
    """An enforcer, what it handed to nft, and its informers."""
    transactions = []

    async def apply(_program, script):
        transactions.extend(filter(None, [script]))

    monkeypatch.setattr(nft, "apply", apply)
    monkeypatch.setattr(enforcer, "_see_bridged", lambda *_: None)

    def make(*policies):
        informers = {
            NetworkPolicy: Informer([codec.from_tree(p, NetworkPolicy) for p in policies]),
            Namespace: Informer([codec.from_tree({"metadata": {"name": "n"}}, Namespace)]),
            Pod: Informer([codec.from_tree(POD, Pod)]),
        }

        class Informers:
            of = staticmethod(informers.get)

        return Enforcer("policy", "one", "nft", Informers), transactions, informers

    return make


def test_policies_hold_while_the_program_starts_again(node, virtual):
    made, transactions, informers = node(DENY)

    async def story():
        task = asyncio.get_running_loop().create_task(made.run())
        await asyncio.sleep(10)
        (script,) = transactions  # one: nothing was taken away before
        assert script.startswith("add table inet policy\ndelete table inet policy\n")
        assert "10.244.1.1 : jump" in script
        informers[NetworkPolicy].delete(codec.from_tree(DENY, NetworkPolicy))
        await asyncio.sleep(1)
        assert transactions[1] == "add table inet policy\ndelete table inet policy\n"
        task.cancel()

    virtual(story())


def test_without_a_policy_what_an_earlier_run_left_goes(node, virtual):
    made, transactions, _ = node()

    async def story():
        task = asyncio.get_running_loop().create_task(made.run())
        await asyncio.sleep(10)
        assert transactions == ["add table inet policy\ndelete table inet policy\n"]
        task.cancel()

    virtual(story())
