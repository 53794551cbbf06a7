"""What the proxy counts, under upstream's names.

In:   numbers from sync.py.
Out:  series of the process' registry.
By:   sync.py; the page is served by cmd/.
"""

from __future__ import annotations

from kybern.lib.metrics import REGISTRY

SYNC = REGISTRY.histogram(
    "kubeproxy_sync_proxy_rules_duration_seconds", "How long a transaction took, in seconds."
).labels()
LAST_SYNC = REGISTRY.gauge(
    "kubeproxy_sync_proxy_rules_last_timestamp_seconds", "When the last one came into force."
).labels()
FAILURES = REGISTRY.counter(
    "kubeproxy_sync_proxy_rules_nftables_sync_failures_total", "Transactions that were refused."
).labels()
SERVICES = REGISTRY.gauge("kubeproxy_services", "Services in the kernel.").labels()
