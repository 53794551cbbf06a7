"""What the proxy counts, under upstream's names.

In:   numbers from sync.py, one series for each family of addresses.
Out:  series of the process' registry.
By:   sync.py; the page is served by cmd/.
"""

from __future__ import annotations

from kybern.lib.metrics import REGISTRY

LABELS = ("ip_family",)
RULES = "kubeproxy_sync_proxy_rules"
SYNC = REGISTRY.histogram(
    f"{RULES}_duration_seconds", "How long a transaction took, in seconds.", LABELS
)
LAST_SYNC = REGISTRY.gauge(
    f"{RULES}_last_timestamp_seconds", "When the last one came into force.", LABELS
)
FAILURES = REGISTRY.counter(
    f"{RULES}_nftables_sync_failures_total", "Transactions that were refused.", LABELS
)
SERVICES = REGISTRY.gauge("kubeproxy_services", "Services in the kernel.", LABELS)
