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
                references = used[key] = references_of(codec.decode(entry.held, Pod))
            if wanted in references:
                return True
        return False

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


def references_of(pod: Pod) -> set[tuple[str, str, str]]:
    """Return what a pod refers to, as (plural, namespace, name)."""
    namespace = pod.metadata.namespace or ""
    found: set[tuple[str, str]] = {("serviceaccounts", pod.spec.serviceAccountName or "default")}
    found |= {("secrets", r.name or "") for r in pod.spec.imagePullSecrets or ()}
    spec = pod.spec
    for container in [
        *(spec.containers or ()), *(spec.initContainers or ()), *(spec.ephemeralContainers or ())
    ]:  # fmt: skip
        found |= _of_environment(container)
    for volume in pod.spec.volumes or ():
        found |= _of_volume(volume)
    for status in pod.status.resourceClaimStatuses or ():
        found.add(("resourceclaims", status.resourceClaimName or ""))
    return {(plural, namespace, name) for plural, name in found if name}


def _of_environment(container: Any) -> set[tuple[str, str]]:
    found = set()
    for source in container.envFrom or ():
        if source.secretRef is not None:
            found.add(("secrets", source.secretRef.name or ""))
        if source.configMapRef is not None:
            found.add(("configmaps", source.configMapRef.name or ""))
    for variable in container.env or ():
        source = variable.valueFrom
        if source is None:
            continue
        if source.secretKeyRef is not None:
            found.add(("secrets", source.secretKeyRef.name or ""))
        if source.configMapKeyRef is not None:
            found.add(("configmaps", source.configMapKeyRef.name or ""))
    return found


def _of_volume(volume: Any) -> set[tuple[str, str]]:
    found = set()
    if volume.secret is not None:
        found.add(("secrets", volume.secret.secretName or ""))
    if volume.configMap is not None:
        found.add(("configmaps", volume.configMap.name or ""))
    if volume.persistentVolumeClaim is not None:
        found.add(("persistentvolumeclaims", volume.persistentVolumeClaim.claimName))
    if volume.csi is not None and volume.csi.nodePublishSecretRef is not None:
        found.add(("secrets", volume.csi.nodePublishSecretRef.name or ""))
    for source in (volume.projected.sources or ()) if volume.projected is not None else ():
        if source.secret is not None:
            found.add(("secrets", source.secret.name or ""))
        if source.configMap is not None:
            found.add(("configmaps", source.configMap.name or ""))
    return found
