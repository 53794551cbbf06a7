"""Show the node of `kybern up` as the control plane's, which it is.

In:   Node objects.
Out:  the label `node-role.kubernetes.io/control-plane` on our own: ROLES in `kubectl get nodes`.
By:   the control plane. A kubelet may not label itself so (NodeRestriction), as upstream has it;
      there kubeadm does it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.core.v1 import Node
from kybern.api.errors import NotFound

if TYPE_CHECKING:
    from kybern.client.informer import Informers
    from kybern.client.rest import Client
    from kybern.lib.tasks import Tasks

LABEL = "node-role.kubernetes.io/control-plane"


def keep(client: Client, informers: Informers, tasks: Tasks, name: str) -> None:
    """Label the node of this name whenever it appears without the label."""

    def look(node: Node) -> None:
        if node.metadata.name == name and LABEL not in (node.metadata.labels or {}):
            tasks.spawn(_label(client, name), name=f"label node {name}")

    informers.of(Node).on(add=look, update=lambda _, node: look(node))


async def _label(client: Client, name: str) -> None:
    try:
        await client.patch(Node, name, "", {"metadata": {"labels": {LABEL: ""}}})
    except NotFound:
        return  # it was deleted in between
