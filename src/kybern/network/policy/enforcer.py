"""Keeps a node's packet filter as the NetworkPolicies want it.

In:   policies, and when there are any, pods and namespaces: through informers.
Out:  transactions to nft.
By:   cmd.node.

Events only mark what changed; a moment later everything that came together is applied at once.
While there is no policy, nothing is followed but policies, and there is no table.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.api.core.v1 import Namespace, Pod
from kybern.api.networking.v1 import NetworkPolicy
from kybern.lib import forwarding, logs
from kybern.network import nft
from kybern.network.policy.peers import Peers, facts_of
from kybern.network.policy.plan import Ruleset, peers_of, plan
from kybern.network.policy.script import changes, empty_table
from kybern.network.rules import no_table

if TYPE_CHECKING:
    from kybern.client.informer import Informer, Informers
    from kybern.network.policy.peers import Key

log = logs.get("network.policy")

TOGETHER = 0.02  # seconds in which changes are gathered
AGAIN = 5.0  # seconds after which what nft refused is tried anew


class Enforcer:
    """Enforces policies for the pods of one node."""

    def __init__(
        self,
        table: str,
        node: str,
        program: str | None,
        informers: Informers,
        *,
        ipv6: bool = False,
    ) -> None:
        """Take the table's name, the node's, where nft is, and how to follow the cluster.

        With `ipv6` pods have addresses of both families.
        """
        self._ipv6 = ipv6
        self._table = table
        self._node = node
        self._program = program
        self._informers = informers
        self._policies: dict[Key, NetworkPolicy] = {}
        self._peers = Peers()
        self._followed: tuple[Informer[Namespace], Informer[Pod]] | None = None
        self._changed = asyncio.Event()
        self._applied: Ruleset | None = None

    async def run(self) -> None:
        """Enforce for ever."""
        policies = self._informers.of(NetworkPolicy)
        policies.on(
            add=self._policy_seen, update=lambda _, new: self._policy_seen(new),
            delete=self._policy_gone,
        )  # fmt: skip
        await policies.wait_synced()
        if self._program and not self._policies:  # else what an earlier run left holds until then
            await nft.apply(self._program, no_table("inet", self._table))
        while True:
            await self._changed.wait()
            self._changed.clear()
            await asyncio.sleep(TOGETHER)
            await self._apply()

    def statistics(self) -> dict[str, int]:
        """Return how much there is."""
        ruleset = self._applied or Ruleset()
        return {
            "policies": len(self._policies),
            "judged_pods": len({a for judges in ruleset.judges.values() for a in judges}),
            "chains": len(ruleset.chains),
            "sets": len(ruleset.addresses) + len(ruleset.ports),
        }

    async def _apply(self) -> None:
        if not self._policies:
            if self._applied is not None and self._program:
                await nft.apply(self._program, no_table("inet", self._table))
            self._applied = None
            return
        if not self._program:
            log.error("nft is missing: no NetworkPolicy is enforced, install the package nftables")
            return
        await self._follow()
        self._peers.keep(peers_of(self._policies.values()))
        wanted = plan(self._policies, self._peers, self._node, ipv6=self._ipv6)
        try:
            await nft.apply(self._program, self._script(wanted))
        except nft.FilterError as error:
            log.error("nft refused the policies' rules; they are made anew", reason=str(error))
            self._applied = None
            asyncio.get_running_loop().call_later(AGAIN, self._changed.set)
            return
        self._applied = wanted

    def _script(self, wanted: Ruleset) -> str:
        if self._applied is None:
            made = empty_table(self._table, ipv6=self._ipv6)
            return made + changes(self._table, Ruleset(), wanted)
        return changes(self._table, self._applied, wanted)

    async def _follow(self) -> None:
        """Follow pods and namespaces from the first policy on."""
        if self._followed is not None:
            return
        for version in (4, 6) if self._ipv6 else (4,):
            _see_bridged(version)
        namespaces, pods = self._informers.of(Namespace), self._informers.of(Pod)
        self._followed = namespaces, pods
        namespaces.on(
            add=self._namespace_seen, update=lambda _, new: self._namespace_seen(new),
            delete=lambda one: self._note(self._peers.put_namespace(one.metadata.name or "", None)),
        )  # fmt: skip
        pods.on(
            add=self._pod_seen, update=lambda _, new: self._pod_seen(new),
            delete=lambda pod: self._note(self._peers.put_pod(_key(pod), None)),
        )  # fmt: skip
        await namespaces.wait_synced()
        await pods.wait_synced()

    # --- what happens -------------------------------------------------------------------------

    def _policy_seen(self, policy: NetworkPolicy) -> None:
        self._policies[_key(policy)] = policy
        self._changed.set()

    def _policy_gone(self, policy: NetworkPolicy) -> None:
        self._note(self._policies.pop(_key(policy), None) is not None)

    def _namespace_seen(self, namespace: Namespace) -> None:
        meta = namespace.metadata
        self._note(self._peers.put_namespace(meta.name or "", meta.labels or {}))

    def _pod_seen(self, pod: Pod) -> None:
        self._note(self._peers.put_pod(_key(pod), facts_of(pod)))

    def _note(self, changed: bool) -> None:
        if changed:
            self._changed.set()


def _key(obj: NetworkPolicy | Pod) -> Key:
    return (obj.metadata.namespace or "", obj.metadata.name or "")


def _see_bridged(version: int) -> None:
    """Let the packet filter see what goes from pod to pod over the bridge of this node."""
    try:
        forwarding.see_bridged(version)
    except OSError as error:
        log.warning(
            "pods of one node cannot be kept from each other: load the module br_netfilter",
            reason=str(error),
        )
