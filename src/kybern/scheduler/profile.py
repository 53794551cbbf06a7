"""Which plugins decide, in which order, with which weight.

In:   the list of plugins.
Out:  a `Profile` for one scheduler name.
By:   loop makes one, cycle asks its plugins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kybern.scheduler.plugins.all import FILTERS, SCORERS

if TYPE_CHECKING:
    from kybern.scheduler.framework import Filter, Scorer


@dataclass(frozen=True, slots=True)
class Profile:
    """The plugins of one scheduler.

    Attributes:
        filters: asked in this order; the first no counts.
        scorers: each with the weight of its score.
    """

    filters: tuple[Filter, ...]
    scorers: tuple[tuple[Scorer, int], ...]


def default_profile() -> Profile:
    """Return upstream's default: every plugin there is."""
    return Profile(
        tuple(plugin() for plugin in FILTERS),
        tuple((plugin(), weight) for plugin, weight in SCORERS),
    )
