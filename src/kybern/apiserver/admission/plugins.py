"""The admission plugins, in the order they run.

The order is upstream's: clients can see that a namespace is looked at before limits, and both
before priorities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.apiserver.admission.certificate_approval import CertificateApproval
from kybern.apiserver.admission.certificate_signing import CertificateSigning
from kybern.apiserver.admission.claim_resize import PersistentVolumeClaimResize
from kybern.apiserver.admission.default_ingress_class import DefaultIngressClass
from kybern.apiserver.admission.default_storage_class import DefaultStorageClass
from kybern.apiserver.admission.default_toleration_seconds import DefaultTolerationSeconds
from kybern.apiserver.admission.limit_ranger import LimitRanger
from kybern.apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from kybern.apiserver.admission.node_restriction import NodeRestriction
from kybern.apiserver.admission.policies.mutating import MutatingPolicies
from kybern.apiserver.admission.policies.validating import ValidatingPolicies
from kybern.apiserver.admission.priority import Priority
from kybern.apiserver.admission.resource_quota import ResourceQuotas
from kybern.apiserver.admission.runtime_class import RuntimeClass
from kybern.apiserver.admission.service_account import ServiceAccount
from kybern.apiserver.admission.storage_protection import StorageProtection
from kybern.apiserver.admission.taint_nodes import TaintNodes
from kybern.apiserver.admission.webhooks.mutating import MutatingWebhooks
from kybern.apiserver.admission.webhooks.validating import ValidatingWebhooks

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.apiserver.context import Services

PLUGINS: tuple[Callable[[Services], Any], ...] = (
    NamespaceLifecycle,  # nothing new in a namespace that is not there or is going
    LimitRanger,  # what a container gets that asks for nothing, and may ask for at most
    ServiceAccount,  # whose name a pod speaks in, and its token
    NodeRestriction,  # kubelets write about their own node and its pods
    TaintNodes,  # a new node gets no pods before it is ready
    Priority,  # from a name to a number
    DefaultTolerationSeconds,  # how long a pod stays on a node that does not answer
    DefaultStorageClass,  # for claims that name none
    StorageProtection,  # volumes in use are not removed
    PersistentVolumeClaimResize,  # claims grow where their class allows it
    RuntimeClass,  # overhead and placement of a pod's runtime
    CertificateApproval,  # who may say yes to a certificate
    CertificateSigning,  # who may issue it
    DefaultIngressClass,  # for ingresses that name none
    MutatingPolicies,  # what users change, in CEL
    MutatingWebhooks,  # what their programs change
    ValidatingPolicies,  # what users forbid, in CEL
    ValidatingWebhooks,  # what their programs forbid
    ResourceQuotas,  # what a namespace may use in all
)
