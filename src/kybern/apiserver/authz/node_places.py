"""Which node, or which claim, an object that a kubelet asks for belongs to.

In:   the store; a name.
Out:  what the object itself says.
By:   authz.node.
"""

# msgspec resolves the annotations of Structs: they are not postponed in this file.

from typing import TYPE_CHECKING

import msgspec

from kybern.store import keys

if TYPE_CHECKING:
    from kybern.store.objects import Store


class _Claim(msgspec.Struct, gc=False):
    namespace: str = ""
    name: str = ""


class _Secret(msgspec.Struct, gc=False):
    namespace: str = ""
    name: str = ""


class _Driver(msgspec.Struct, gc=False):
    """What of a driver's volume the node has to know; the controllers' secrets are theirs."""

    nodeStageSecretRef: _Secret | None = None  # noqa: N815
    nodePublishSecretRef: _Secret | None = None  # noqa: N815
    nodeExpandSecretRef: _Secret | None = None  # noqa: N815


class _Spec(msgspec.Struct, gc=False):
    nodeName: str | None = None  # noqa: N815
    claimRef: _Claim | None = None  # noqa: N815
    volumeName: str | None = None  # noqa: N815
    csi: _Driver | None = None


class _Object(msgspec.Struct, gc=False):
    spec: _Spec = msgspec.field(default_factory=_Spec)


_read = msgspec.json.Decoder(_Object).decode


class Places:
    """Reads what objects say about where they belong."""

    def __init__(self, store: "Store") -> None:
        self._store = store

    def node_of(self, group: str, plural: str, name: str) -> str:
        """Return the node that an object names; "" when there is none."""
        return self._spec(group, plural, name).nodeName or ""

    def claim_of(self, volume: str) -> tuple[str, str] | None:
        """Return namespace and name of the claim that a volume is bound to."""
        claim = self._spec("", "persistentvolumes", volume).claimRef
        return None if claim is None else (claim.namespace, claim.name)

    def secrets_of(self, namespace: str, claim: str) -> set[tuple[str, str]]:
        """Return namespace and name of the secrets with which a node uses a claim's volume."""
        volume = self._spec("", "persistentvolumeclaims", f"{namespace}/{claim}").volumeName
        spec = self._spec("", "persistentvolumes", volume) if volume else _Spec()
        bound = spec.claimRef
        # What a claim says is its user's word: the volume has to say so too.
        if spec.csi is None or bound is None or (bound.namespace, bound.name) != (namespace, claim):
            return set()
        csi = spec.csi
        secrets = (csi.nodeStageSecretRef, csi.nodePublishSecretRef, csi.nodeExpandSecretRef)
        return {(each.namespace, each.name) for each in secrets if each is not None}

    def _spec(self, group: str, plural: str, name: str) -> _Spec:
        entry = self._store.get(keys.collection(group, plural) + name)
        return _Spec() if entry is None else _read(entry.held).spec
