"""What a DNS server shows on the metrics page of its process.

In:   a server's own counts, which cost nothing to keep.
Out:  gauges and counters, set when the page is read.
By:   server. Of several servers in one process the last to run is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kybern.lib.metrics import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Mapping

RESPONSES = REGISTRY.gauge(
    "kybern_dns_responses_total", "Answers given, by response code.", ("rcode",)
)
FORWARDS = REGISTRY.gauge(
    "kybern_dns_forwards_total", "Questions to upstream servers, by outcome.", ("outcome",)
)
NAMES = REGISTRY.gauge("kybern_dns_names", "Names in the zone.")
for each in (RESPONSES, FORWARDS):
    each.kind = "counter"


class Shown(Protocol):
    """A server that knows its counts."""

    def statistics(self) -> Mapping[str, int]:
        """Return what is known and what was asked."""


_shown: list[Shown] = []


def watch(server: Shown) -> None:
    """Show a server's counts from now on."""
    if not _shown:
        REGISTRY.on_expose(_collect)
    _shown[:] = [server]


def _collect() -> None:
    counts = _shown[0].statistics()
    NAMES.set(counts["names"])
    FORWARDS.labels("asked").set(counts["forwarded"])
    FORWARDS.labels("failed").set(counts["forward_failures"])
    FORWARDS.labels("remembered").set(counts["forward_cache_hits"])
    for key, count in counts.items():
        if key.startswith("answered_") and count:
            RESPONSES.labels(key.removeprefix("answered_")).set(count)
