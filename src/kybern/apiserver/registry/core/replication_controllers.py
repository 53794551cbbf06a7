"""ReplicationControllers: their pods are kept when nobody says what becomes of them.

In:   nothing special.
Out:  that one fact.
By:   registry.special.
"""

from __future__ import annotations

from kybern.apiserver.registry.strategy import Strategy


class ReplicationControllerStrategy(Strategy):
    """ReplicationControllers."""

    orphans = True
