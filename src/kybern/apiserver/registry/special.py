"""What is not generic: strategies of their own, and subresources beside `status`.

In:   nothing; these are tables.
Out:  STRATEGIES, STATUS, SUBRESOURCES, ANSWERS, CONVERTED.
By:   registry.all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api.scheme import SCHEME, Kind
from kybern.apiserver.registry.apiextensions.definitions import DefinitionStrategy
from kybern.apiserver.registry.apiregistration import services as api_services
from kybern.apiserver.registry.apps.daemon_sets import DaemonSetStrategy
from kybern.apiserver.registry.apps.deployments import DeploymentStrategy
from kybern.apiserver.registry.authentication import reviews as who
from kybern.apiserver.registry.authentication.token_request import issue
from kybern.apiserver.registry.authorization import reviews as may
from kybern.apiserver.registry.autoscaling import versions
from kybern.apiserver.registry.batch.jobs import JobStrategy
from kybern.apiserver.registry.certificates.requests import (
    ApprovalStrategy,
    RequestStrategy,
    SigningStrategy,
)
from kybern.apiserver.registry.core import events
from kybern.apiserver.registry.core.binding import bind
from kybern.apiserver.registry.core.namespaces import (
    FinalizeStrategy,
    NamespaceStatusStrategy,
    NamespaceStrategy,
)
from kybern.apiserver.registry.core.nodes import NodeStrategy
from kybern.apiserver.registry.core.pods import (
    EphemeralContainersStrategy,
    PodStatusStrategy,
    PodStrategy,
    ResizeStrategy,
)
from kybern.apiserver.registry.core.replication_controllers import (
    ReplicationControllerStrategy,
)
from kybern.apiserver.registry.core.services import ServiceStrategy
from kybern.apiserver.registry.core.volumes import ClaimStrategy, VolumeStrategy
from kybern.apiserver.registry.policy.eviction import evict
from kybern.apiserver.registry.rbac.granting import BindingStrategy, RoleStrategy
from kybern.apiserver.registry.resource import Subresource
from kybern.apiserver.registry.scale import ScaleView
from kybern.apiserver.registry.strategy import StatusStrategy, Strategy

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.apiserver.registry.rules import Rules

    Make = Callable[[Strategy], Subresource]

_RBAC, _CERTIFICATES = "rbac.authorization.k8s.io", "certificates.k8s.io"
_AUTHN, _AUTHZ = "authentication.k8s.io", "authorization.k8s.io"

STRATEGIES: dict[tuple[str, str], Callable[[Kind, Rules], Strategy]] = {
    ("", "Event"): events.EventStrategy,
    ("", "Namespace"): NamespaceStrategy,
    ("", "Node"): NodeStrategy,
    ("", "PersistentVolume"): VolumeStrategy,
    ("", "PersistentVolumeClaim"): ClaimStrategy,
    ("", "Pod"): PodStrategy,
    ("", "ReplicationController"): ReplicationControllerStrategy,
    ("", "Service"): ServiceStrategy,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): DefinitionStrategy,
    ("apiregistration.k8s.io", "APIService"): api_services.ServiceStrategy,
    ("apps", "DaemonSet"): DaemonSetStrategy,
    ("apps", "Deployment"): DeploymentStrategy,
    ("batch", "Job"): JobStrategy,
    ("events.k8s.io", "Event"): events.EventStrategy,
    (_CERTIFICATES, "CertificateSigningRequest"): RequestStrategy,
    (_RBAC, "ClusterRole"): RoleStrategy,
    (_RBAC, "ClusterRoleBinding"): BindingStrategy,
    (_RBAC, "Role"): RoleStrategy,
    (_RBAC, "RoleBinding"): BindingStrategy,
}

STATUS: dict[tuple[str, str], Callable[[Strategy], Strategy]] = {
    ("", "Namespace"): NamespaceStatusStrategy,
    ("", "Pod"): PodStatusStrategy,
    (_CERTIFICATES, "CertificateSigningRequest"): SigningStrategy,
}
"""Strategies of `status` where it is not the usual one."""


def _scale(main: Strategy) -> Subresource:
    return Subresource("scale", strategy=main, view=ScaleView())


def _connects(name: str) -> Make:
    def make(main: Strategy) -> Subresource:
        del main
        return Subresource(name, connects=True)

    return make


def _does(name: str, api_version: str, kind: str, action: Any) -> Make:
    def make(main: Strategy) -> Subresource:
        del main
        return Subresource(name, make=action, kind=SCHEME.by_kind(api_version, kind))

    return make


def _changes(name: str, strategy: Callable[..., Strategy], verbs: tuple[str, ...] = ()) -> Make:
    def make(main: Strategy) -> Subresource:
        if issubclass(strategy, StatusStrategy):  # type: ignore[arg-type]
            return Subresource(name, strategy=strategy(main), verbs=verbs)
        return Subresource(name, strategy=strategy(main.kind, main.rules), verbs=verbs)

    return make


SUBRESOURCES: dict[tuple[str, str], tuple[Make, ...]] = {
    ("", "Namespace"): (_changes("finalize", FinalizeStrategy, ("update",)),),
    ("", "Node"): (_connects("proxy"),),
    ("", "Pod"): (
        _connects("attach"),
        _does("binding", "v1", "Binding", bind),
        _changes("ephemeralcontainers", EphemeralContainersStrategy),
        _does("eviction", "policy/v1", "Eviction", evict),
        _connects("exec"),
        _connects("log"),
        _connects("portforward"),
        _connects("proxy"),
        _changes("resize", ResizeStrategy),
    ),
    ("", "ReplicationController"): (_scale,),
    ("", "Service"): (_connects("proxy"),),
    ("", "ServiceAccount"): (_does("token", "authentication.k8s.io/v1", "TokenRequest", issue),),
    ("apps", "Deployment"): (_scale,),
    ("apps", "ReplicaSet"): (_scale,),
    ("apps", "StatefulSet"): (_scale,),
    (_CERTIFICATES, "CertificateSigningRequest"): (_changes("approval", ApprovalStrategy),),
}

ANSWERS: dict[tuple[str, str], Any] = {
    ("", "Binding"): bind,
    (_AUTHN, "SelfSubjectReview"): who.review_self,
    (_AUTHN, "TokenReview"): who.review_token,
    (_AUTHZ, "LocalSubjectAccessReview"): may.review_local,
    (_AUTHZ, "SelfSubjectAccessReview"): may.review_self,
    (_AUTHZ, "SelfSubjectRulesReview"): may.review_rules,
    (_AUTHZ, "SubjectAccessReview"): may.review_subject,
}
"""Kinds that are asked and not stored."""

CONVERTED: dict[tuple[str, str, str], tuple[tuple[str, str, str], Any, Any]] = {
    ("events.k8s.io", "v1", "Event"): (("", "v1", "events"), events.to_core, events.from_core),
    ("autoscaling", "v1", "HorizontalPodAutoscaler"): (
        ("autoscaling", "v2", "horizontalpodautoscalers"), versions.to_v2, versions.to_v1,
    ),
}  # fmt: skip
"""Kinds that are stored as another: where that is served, and how to translate in and out."""
