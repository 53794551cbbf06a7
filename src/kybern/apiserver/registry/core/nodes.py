"""Nodes: kubelets say their status when they register.

In:   nodes to be created or changed.
Out:  the same; a node's taints and addresses are judged by admission and validation.
By:   registry.special.
"""

from __future__ import annotations

from kybern.apiserver.registry.strategy import Strategy


class NodeStrategy(Strategy):
    """Nodes."""

    keeps_status = True
