"""What webhooks and admission policies get that their author did not say.

In:   an object as decoded.
Out:  the same object with defaults filled in, in place.
By:   `api.defaults`. Facts: upstream's `pkg/apis/admissionregistration/v1/defaults.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api.admissionregistration import v1
from kybern.api.meta.v1 import LabelSelector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

WEBHOOK_SECONDS: Final = 10
HTTPS: Final = 443


def default_webhooks(
    obj: v1.ValidatingWebhookConfiguration | v1.MutatingWebhookConfiguration,
) -> None:
    """Each webhook: it fails closed, matches everything equivalent, has ten seconds."""
    for hook in obj.webhooks or ():
        hook.failurePolicy = hook.failurePolicy or "Fail"
        hook.matchPolicy = hook.matchPolicy or "Equivalent"
        if hook.namespaceSelector is None:
            hook.namespaceSelector = LabelSelector()
        if hook.objectSelector is None:
            hook.objectSelector = LabelSelector()
        if hook.timeoutSeconds is None:
            hook.timeoutSeconds = WEBHOOK_SECONDS
        if isinstance(hook, v1.MutatingWebhook) and hook.reinvocationPolicy is None:
            hook.reinvocationPolicy = "Never"
        service = hook.clientConfig.service
        if service is not None and service.port is None:
            service.port = HTTPS
        _default_rules(hook.rules)


def _default_rules(
    rules: Iterable[v1.RuleWithOperations | v1.NamedRuleWithOperations] | None,
) -> None:
    for rule in rules or ():
        rule.scope = rule.scope or "*"


def _default_match(match: v1.MatchResources | None) -> None:
    if match is None:
        return
    match.matchPolicy = match.matchPolicy or "Equivalent"
    if match.namespaceSelector is None:
        match.namespaceSelector = LabelSelector()
    if match.objectSelector is None:
        match.objectSelector = LabelSelector()
    _default_rules(match.resourceRules)
    _default_rules(match.excludeResourceRules)


def default_validating_policy(obj: v1.ValidatingAdmissionPolicy) -> None:
    """It fails closed."""
    obj.spec.failurePolicy = obj.spec.failurePolicy or "Fail"
    _default_match(obj.spec.matchConstraints)


def default_mutating_policy(obj: v1.MutatingAdmissionPolicy) -> None:
    """It fails closed and runs once."""
    obj.spec.failurePolicy = obj.spec.failurePolicy or "Fail"
    obj.spec.reinvocationPolicy = obj.spec.reinvocationPolicy or "Never"
    _default_match(obj.spec.matchConstraints)


def default_binding(
    obj: v1.ValidatingAdmissionPolicyBinding | v1.MutatingAdmissionPolicyBinding,
) -> None:
    """Missing parameters deny."""
    _default_match(obj.spec.matchResources)
    if obj.spec.paramRef is not None and obj.spec.paramRef.parameterNotFoundAction is None:
        obj.spec.paramRef.parameterNotFoundAction = "Deny"


DEFAULTERS: Final[dict[str, Callable[[Any], None]]] = {
    "MutatingAdmissionPolicy": default_mutating_policy,
    "MutatingAdmissionPolicyBinding": default_binding,
    "MutatingWebhookConfiguration": default_webhooks,
    "ValidatingAdmissionPolicy": default_validating_policy,
    "ValidatingAdmissionPolicyBinding": default_binding,
    "ValidatingWebhookConfiguration": default_webhooks,
}
