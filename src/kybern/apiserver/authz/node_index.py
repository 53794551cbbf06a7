"""Which objects the pods of each node use.

In:   the pods, as the store has them; `follow` keeps up with their changes.
Out:  `uses`: whether a pod on a node refers to a secret, config map, claim or account.
By:   authz.node.

Pods are decoded only when a kubelet first asks after they changed: a pod that nobody asks about
costs a look at its node's name.
"""

# msgspec resolves the annotations of Structs: they are not postponed in this file.

from typing import Any

import msgspec

from kybern.api import codec
from kybern.api.core.pod_references import references_of
from kybern.api.core.pods import is_mirror
from kybern.api.core.v1 import Pod

PODS = "/registry/pods/"


class _Placed(msgspec.Struct, gc=False):
    nodeName: str = ""  # noqa: N815


class _PlacedPod(msgspec.Struct, gc=False):
    spec: _Placed = msgspec.field(default_factory=_Placed)


_node_of = msgspec.json.Decoder(_PlacedPod).decode


class NodeIndex:
    """Pods by node, and what they refer to."""

    def __init__(self) -> None:
        self._pods: dict[str, dict[str, Any]] = {}
        self._nodes: dict[str, str] = {}
        self._used: dict[str, dict[str, set[tuple[str, str, str]]]] = {}

    def uses(self, node: str, plural: str, namespace: str, name: str) -> bool:
        """Say whether a pod on the node refers to the object."""
        wanted = (plural, namespace, name)
        used = self._used.setdefault(node, {})
        for key, entry in self._pods.get(node, {}).items():
            references = used.get(key)
            if references is None:
                references = used[key] = _opened_by(codec.decode(entry.held, Pod))
            if wanted in references:
                return True
        return False

    def used(self, node: str, plural: str) -> set[tuple[str, str]]:
        """Return namespace and name of all objects of a kind that pods on the node refer to."""
        self.uses(node, "", "", "")  # no such thing: all pods are looked at
        every = self._used.get(node, {}).values()
        return {(ns, name) for refs in every for kind, ns, name in refs if kind == plural}

    def runs(self, node: str, namespace: str, name: str) -> bool:
        """Say whether a pod is on the node."""
        return self._nodes.get(f"{PODS}{namespace}/{name}") == node

    def set(self, entry: Any) -> None:
        """Take in a pod as it is now."""
        node = _node_of(entry.held).spec.nodeName
        known = self._nodes.get(entry.key)
        if known is not None and known != node:
            self.remove(entry)
        if not node:
            return
        self._nodes[entry.key] = node
        self._pods.setdefault(node, {})[entry.key] = entry
        used = self._used.get(node)
        if used is not None:
            used.pop(entry.key, None)

    def remove(self, entry: Any) -> None:
        """Forget a pod."""
        node = self._nodes.pop(entry.key, None)
        if node is None:
            return
        pods = self._pods.get(node, {})
        pods.pop(entry.key, None)
        self._used.get(node, {}).pop(entry.key, None)
        if not pods:
            self._pods.pop(node, None)
            self._used.pop(node, None)

    async def follow(self, store: Any) -> None:
        """Read all pods and keep up with them; ends only with an error."""
        listing, watcher = store.snapshot_and_watch(PODS)
        try:
            self._pods.clear()
            self._nodes.clear()
            self._used.clear()
            for entry in listing.entries:
                self.set(entry)
            async for batch in watcher:
                for event in batch:
                    if event.type == "DELETED":
                        self.remove(event.entry)
                    else:
                        self.set(event.entry)
        finally:
            watcher.close()


def _opened_by(pod: Pod) -> set[tuple[str, str, str]]:
    # Kubelets write mirror pods themselves: those must not open anything to them.
    return set() if is_mirror(pod) else references_of(pod)
