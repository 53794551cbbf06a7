"""What the networking kinds get that their author did not say.

In:   an object as decoded.
Out:  the same object with defaults filled in, in place.
By:   `api.defaults`. Facts: upstream's `pkg/apis/networking/v1/defaults.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api.networking import v1

if TYPE_CHECKING:
    from collections.abc import Callable


def default_network_policy(obj: v1.NetworkPolicy) -> None:
    """The protocol of ports; which directions it is about."""
    spec = obj.spec
    for rule in (*(spec.ingress or ()), *(spec.egress or ())):
        for port in rule.ports or ():
            if port.protocol is None:
                port.protocol = "TCP"
    if not spec.policyTypes:
        spec.policyTypes = ["Ingress", "Egress"] if spec.egress else ["Ingress"]


def default_ingress(obj: v1.Ingress) -> None:
    """The empty status which is always written."""
    if obj.status.loadBalancer is None:
        obj.status.loadBalancer = v1.IngressLoadBalancerStatus()


def default_ingress_class(obj: v1.IngressClass) -> None:
    """Parameters are those of the cluster."""
    parameters = obj.spec.parameters
    if parameters is not None and not parameters.scope:
        parameters.scope = "Cluster"


DEFAULTERS: Final[dict[str, Callable[[Any], None]]] = {
    "Ingress": default_ingress,
    "IngressClass": default_ingress_class,
    "NetworkPolicy": default_network_policy,
}
