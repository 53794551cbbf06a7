"""An APIService for every group version that is served here: `kubectl get apiservices`.

In:   the kinds that are served.
Out:  APIServices with upstream's priorities.
By:   bootstrap.start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.apiregistration.v1 import APIService, APIServiceSpec
from kybern.api.meta.v1 import ObjectMeta

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kybern.api.scheme import Kind

AUTOMATIC = {"kube-aggregator.kubernetes.io/automanaged": "onstart"}
OURSELVES = "apiregistration.k8s.io"

# group: how early clients look there; versions all have 15 but for the newest of several
PRIORITIES = {
    "": 18000, "apps": 17800, "events.k8s.io": 17750, "authentication.k8s.io": 17700,
    "authorization.k8s.io": 17600, "autoscaling": 17500, "batch": 17400,
    "certificates.k8s.io": 17300, "networking.k8s.io": 17200, "policy": 17100,
    "rbac.authorization.k8s.io": 17000, "storage.k8s.io": 16800, "apiextensions.k8s.io": 16700,
    "admissionregistration.k8s.io": 16700, "scheduling.k8s.io": 16600,
    "coordination.k8s.io": 16500, "node.k8s.io": 16300, "discovery.k8s.io": 16200,
    "flowcontrol.apiserver.k8s.io": 16100, "resource.k8s.io": 16050,
    "snapshot.storage.k8s.io": 1000,
}  # fmt: skip
VERSIONS = {("", "v1"): 1, ("autoscaling", "v2"): 30, ("flowcontrol.apiserver.k8s.io", "v1"): 21}
ANY_GROUP, ANY_VERSION = 2000, 15


def objects(kinds: Iterable[Kind]) -> Iterator[APIService]:
    """Return the APIService of each group version."""
    served = dict.fromkeys((kind.group, kind.version) for kind in kinds)
    for group, version in served:
        if group == OURSELVES:
            continue  # whoever reads APIServices has found this one already
        yield APIService(
            metadata=ObjectMeta(name=f"{version}.{group}", labels=dict(AUTOMATIC)),
            spec=APIServiceSpec(
                group=group,
                version=version,
                groupPriorityMinimum=PRIORITIES.get(group, ANY_GROUP),
                versionPriority=VERSIONS.get((group, version), ANY_VERSION),
            ),
        )
