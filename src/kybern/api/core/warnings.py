"""What is accepted of core kinds, but unwise.

In:   a new object, and the old one when it is an update.
Out:  sentences in upstream's words; the table `WARNINGS`.
By:   `api.warnings`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api.bad_value import quote
from kybern.api.core.pod_warnings import name_warnings, spec_warnings, template_warnings

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.core.v1 import Pod, PodTemplate, ReplicationController, Service

EXTERNAL: Final = "ExternalName"
TOPOLOGY_HINTS: Final = "service.kubernetes.io/topology-aware-hints"
TOPOLOGY_MODE: Final = "service.kubernetes.io/topology-mode"


def warn_of_pod(new: Pod, old: Pod | None) -> list[str]:
    """A new pod; updates come from programs, which do not read."""
    if old is not None:
        return []
    return host_name_warnings(new) + spec_warnings(new.spec, new.metadata)


def host_name_warnings(pod: Pod) -> list[str]:
    """A pod whose name will not do as its host's."""
    return name_warnings(pod.metadata.name or "", "the Pod's hostname")


def warn_of_pod_template(new: PodTemplate, old: PodTemplate | None) -> list[str]:
    """A PodTemplate whose template is new."""
    if old is not None and new.metadata.generation == old.metadata.generation:
        return []
    return template_warnings(new.template, "template.") if new.template is not None else []


def warn_of_replication_controller(
    new: ReplicationController, old: ReplicationController | None
) -> list[str]:
    """A ReplicationController whose template is new."""
    if new.spec.template is None:
        return []
    if old is not None and new.metadata.generation == old.metadata.generation:
        return []
    return template_warnings(new.spec.template, "spec.template.")


def warn_of_service(new: Service, old: Service | None) -> list[str]:
    """A Service with fields which its type ignores."""
    del old
    spec, out = new.spec, []
    headless = spec.type == "ClusterIP" and spec.clusterIP == "None"
    if TOPOLOGY_HINTS in (new.metadata.annotations or ()):
        out.append(f"annotation {TOPOLOGY_HINTS} is deprecated, please use {TOPOLOGY_MODE} instead")
    if headless and spec.loadBalancerIP:
        out.append("spec.loadBalancerIP is ignored for headless services")
    if headless and spec.externalIPs:
        out.append("spec.externalIPs is ignored for headless services")
    if headless and spec.sessionAffinity != "None":
        out.append("spec.SessionAffinity is ignored for headless services")
    if spec.externalIPs and not headless and spec.type != EXTERNAL:
        out.append(
            "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
        )
    if spec.type == EXTERNAL and spec.externalIPs:
        out.append(f'spec.externalIPs is ignored when spec.type is "{EXTERNAL}"')
    if spec.type != EXTERNAL and spec.externalName:
        out.append(f'spec.externalName is ignored when spec.type is not "{EXTERNAL}"')
    if spec.trafficDistribution == "PreferClose":
        old_name, new_name = quote("PreferClose"), quote("PreferSameZone")
        out.append(f"spec.trafficDistribution: {old_name} is deprecated; use {new_name}")
    return out


WARNINGS: Final[dict[str, Callable[[Any, Any | None], list[str]]]] = {
    "Pod": warn_of_pod,
    "PodTemplate": warn_of_pod_template,
    "ReplicationController": warn_of_replication_controller,
    "Service": warn_of_service,
}
