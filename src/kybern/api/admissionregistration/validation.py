"""What webhooks and admission policies must be.

In:   an object.
Out:  problems; the table `VALIDATORS`.
By:   `api.validation`. Facts: upstream's `pkg/apis/admissionregistration/validation`.

The language of the expressions is imported when there is one; see `expressions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api import names
from kybern.api.admissionregistration import v1
from kybern.api.field_path import (
    Path,
    Problem,
    all_invalid,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
    too_many,
)
from kybern.api.meta.validation import SPEC, check_selector
from kybern.api.rules import Rules, rules

if TYPE_CHECKING:
    from collections.abc import Iterable

OPERATIONS: Final = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
FAILURE: Final = ("Fail", "Ignore")
MATCH: Final = ("Equivalent", "Exact")
SIDE_EFFECTS: Final = ("None", "NoneOnDryRun")
SCOPES: Final = ("*", "Cluster", "Namespaced")
REINVOCATION: Final = ("IfNeeded", "Never")
ACTIONS: Final = ("Audit", "Deny", "Warn")
REVIEW_VERSIONS: Final = ("v1", "v1beta1")
CONDITIONS_MAX: Final = 64
ONE_ENDPOINT: Final = "exactly one of url or service is required"


# --- webhooks -----------------------------------------------------------------------------------


def check_webhooks(
    obj: v1.ValidatingWebhookConfiguration | v1.MutatingWebhookConfiguration, out: list[Problem]
) -> None:
    """Whom to ask about which requests."""
    seen: set[str] = set()
    hooks: Iterable[v1.ValidatingWebhook | v1.MutatingWebhook] = obj.webhooks or ()
    for index, hook in enumerate(hooks):
        place = Path("webhooks")[index]
        _check_webhook(hook, place, out)
        if hook.name in seen:
            out.append(duplicate(place / "name", hook.name))
        seen.add(hook.name)


def _check_webhook(
    hook: v1.ValidatingWebhook | v1.MutatingWebhook, path: Path, out: list[Problem]
) -> None:
    _check_full_name(hook.name, path / "name", out)
    _check_review_versions(hook.admissionReviewVersions, path / "admissionReviewVersions", out)
    for index, rule in enumerate(hook.rules or ()):
        _check_rule(rule, (path / "rules")[index], out)
    _check_choice(hook.failurePolicy, FAILURE, path / "failurePolicy", out)
    _check_choice(hook.matchPolicy, MATCH, path / "matchPolicy", out)
    if not hook.sideEffects:
        told = "must specify one of None, NoneOnDryRun"
        out.append(required(path / "sideEffects", told))
    else:
        _check_choice(hook.sideEffects, SIDE_EFFECTS, path / "sideEffects", out)
    seconds = hook.timeoutSeconds
    if seconds is not None and not 1 <= seconds <= 30:
        told = "the timeout value must be between 1 and 30 seconds"
        out.append(invalid(path / "timeoutSeconds", seconds, told))
    check_selector(hook.namespaceSelector, path / "namespaceSelector", out)
    check_selector(hook.objectSelector, path / "objectSelector", out)
    _check_client(hook.clientConfig, path / "clientConfig", out)
    check_match_conditions(hook.matchConditions, path / "matchConditions", out)
    if isinstance(hook, v1.MutatingWebhook):
        _check_choice(hook.reinvocationPolicy, REINVOCATION, path / "reinvocationPolicy", out)


def _check_choice(
    value: str | None, known: tuple[str, ...], place: Path, out: list[Problem]
) -> None:
    if value is not None and value not in known:
        out.append(not_supported(place, value, known))


def _check_full_name(name: str, place: Path, out: list[Problem]) -> None:
    if not name:
        out.append(required(place))
    elif messages := names.dns1123_subdomain(name):
        out.append(invalid(place, name, ",".join(messages)))
    elif name.count(".") < 2:
        told = "should be a domain with at least three segments separated by dots"
        out.append(invalid(place, name, told))


def _check_review_versions(versions: list[str], place: Path, out: list[Problem]) -> None:
    if not versions:
        told = f"must specify one of {', '.join(REVIEW_VERSIONS)}"
        out.append(required(place, told))
        return
    for index, version in enumerate(versions):
        if version in versions[:index]:
            out.append(invalid(place[index], version, "duplicate version"))
        elif messages := names.dns1035_label(version):
            out.append(invalid(place[index], version, ",".join(messages)))
    if not set(versions) & set(REVIEW_VERSIONS):
        told = f"must include at least one of {', '.join(REVIEW_VERSIONS)}"
        out.append(invalid(place, versions, told))


def _check_rule(
    rule: v1.RuleWithOperations | v1.NamedRuleWithOperations, path: Path, out: list[Problem]
) -> None:
    operations = rule.operations or []
    if not operations:
        out.append(required(path / "operations"))
    elif "*" in operations and len(operations) > 1:
        told = "if '*' is present, must not specify other operations"
        out.append(invalid(path / "operations", operations, told))
    for index, operation in enumerate(operations):
        _check_choice(operation, OPERATIONS, (path / "operations")[index], out)
    for field, noun in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        values = getattr(rule, field) or []
        if not values:
            out.append(required(path / field))
        elif "*" in values and len(values) > 1:
            told = f"if '*' is present, must not specify other {noun}"
            out.append(invalid(path / field, values, told))
        if field == "apiVersions" and "" in values:
            out.append(required((path / field)[values.index("")]))
    _check_resources(rule.resources or [], path / "resources", out)
    _check_choice(rule.scope, SCOPES, path / "scope", out)


def _check_resources(resources: list[str], place: Path, out: list[Problem]) -> None:
    if not resources:
        out.append(required(place))
    whole = {each.partition("/")[0] for each in resources if each.endswith("/*")}
    parts = {each.partition("/")[2] for each in resources if each.startswith("*/")}
    for index, each in enumerate(resources):
        resource, slash, sub = each.partition("/")
        if not each:
            out.append(required(place[index]))
        elif slash and sub != "*" and resource in whole:
            told = f"if '{resource}/*' is present, must not specify {each}"
            out.append(invalid(place[index], each, told))
        elif slash and resource != "*" and sub in parts:
            told = f"if '*/{sub}' is present, must not specify {each}"
            out.append(invalid(place[index], each, told))
    if "*/*" in resources and len(resources) > 1:
        told = "if '*/*' is present, must not specify other resources"
        out.append(invalid(place, resources, told))
    if "*" in resources and any("/" not in each and each != "*" for each in resources):
        told = "if '*' is present, must not specify other resources without subresources"
        out.append(invalid(place, resources, told))


def _check_client(config: v1.WebhookClientConfig, path: Path, out: list[Problem]) -> None:
    if (config.url is None) == (config.service is None):
        out.append(required(path, ONE_ENDPOINT))
    elif config.url is not None:
        _check_url(config.url, path / "url", out)
    elif config.service is not None:
        _check_service(config.service, path / "service", out)


def _check_url(url: str, place: Path, out: list[Problem]) -> None:
    from urllib.parse import urlsplit

    form = "; desired format: https://host[/path]"
    try:
        parts = urlsplit(url)
    except ValueError as error:
        out.append(required(place, f"url must be a valid URL: {error}{form}"))
        return
    if parts.scheme != "https":
        told = f"'https' is the only allowed URL scheme{form}"
        out.append(invalid(place, parts.scheme, told))
    if not parts.netloc:
        out.append(invalid(place, parts.netloc, f"host must be specified{form}"))
    if "@" in parts.netloc:
        told = "user information is not permitted in the URL"
        out.append(invalid(place, parts.netloc.rpartition("@")[0], told))
    if parts.fragment:
        told = "fragments are not permitted in the URL"
        out.append(invalid(place, parts.fragment, told))
    if parts.query:
        told = "query parameters are not permitted in the URL"
        out.append(invalid(place, parts.query, told))


def _check_service(service: v1.ServiceReference, path: Path, out: list[Problem]) -> None:
    if not service.name:
        out.append(required(path / "name", "service name is required"))
    if not service.namespace:
        out.append(required(path / "namespace", "service namespace is required"))
    port = service.port
    if port is not None and (messages := names.port_number(port)):
        out.append(invalid(path / "port", port, f"port is not valid: {','.join(messages)}"))
    if service.path is not None and not service.path.startswith("/"):
        out.append(invalid(path / "path", service.path, "must start with a '/'"))


def check_match_conditions(
    conditions: list[v1.MatchCondition] | None,
    place: Path,
    out: list[Problem],
    *,
    params: bool = False,
) -> None:
    """Expressions which must hold before anybody is asked; their names."""
    wanted = conditions or []
    if len(wanted) > CONDITIONS_MAX:
        out.append(too_many(place, len(wanted), CONDITIONS_MAX))
    seen: set[str] = set()
    for index, condition in enumerate(wanted):
        if not condition.expression.strip():
            out.append(required(place[index] / "expression"))
        if not condition.name:
            out.append(required(place[index] / "name"))
        elif messages := names.qualified_name(condition.name):
            out += all_invalid(place[index] / "name", condition.name, messages)
        elif condition.name in seen:
            out.append(duplicate(place[index] / "name", condition.name))
        seen.add(condition.name)
    if wanted:
        from kybern.api.admissionregistration import expressions

        expressions.check_conditions(wanted, place, out, params=params)


# --- policies -----------------------------------------------------------------------------------


def _check_match(
    match: v1.MatchResources | None, path: Path, out: list[Problem], *, must: bool
) -> None:
    if match is None:
        if must:
            out.append(required(path))
        return
    _check_choice(match.matchPolicy, MATCH, path / "matchPolicy", out)
    check_selector(match.namespaceSelector, path / "namespaceSelector", out)
    check_selector(match.objectSelector, path / "objectSelector", out)
    if must and not match.resourceRules:
        out.append(required(path / "resourceRules"))
    for field in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(getattr(match, field) or ()):
            _check_rule(rule, (path / field)[index], out)


def _check_variables(
    variables: Iterable[v1.Variable] | None, place: Path, out: list[Problem]
) -> None:
    seen: set[str] = set()
    for index, variable in enumerate(variables or ()):
        if not variable.name:
            out.append(required(place[index] / "name"))
        elif names.c_identifier(variable.name):
            told = "name is not a valid CEL identifier"
            out.append(invalid(place[index] / "name", variable.name, told))
        if not variable.expression.strip():
            out.append(required(place[index] / "expression", "expression is not specified"))
        if variable.name in seen:
            out.append(duplicate(place[index] / "name", variable.name))
        seen.add(variable.name)


def _check_param_kind(kind: v1.ParamKind | None, path: Path, out: list[Problem]) -> None:
    if kind is None:
        return
    version = kind.apiVersion or ""
    if not version:
        out.append(required(path / "apiVersion"))
    elif version.count("/") > 1:
        told = f"unexpected GroupVersion string: {version}"
        out.append(invalid(path / "apiVersion", version, told))
    if not kind.kind:
        out.append(required(path / "kind"))
    elif messages := names.dns1035_label(kind.kind.lower()):
        told = f"may have mixed case, but should otherwise match: {', '.join(messages)}"
        out.append(invalid(path / "kind", kind.kind, told))


def check_validating_policy(obj: v1.ValidatingAdmissionPolicy, out: list[Problem]) -> None:
    """Conditions on requests."""
    spec = obj.spec
    _check_policy_failure(spec.failurePolicy, out)
    _check_param_kind(spec.paramKind, SPEC / "paramKind", out)
    _check_match(spec.matchConstraints, SPEC / "matchConstraints", out, must=True)
    params = spec.paramKind is not None
    check_match_conditions(spec.matchConditions, SPEC / "matchConditions", out, params=params)
    _check_variables(spec.variables, SPEC / "variables", out)
    if not spec.validations and not spec.auditAnnotations:
        told = "validations or auditAnnotations must contain at least one item"
        out += [required(SPEC / "validations", told), required(SPEC / "auditAnnotations", told)]
    for index, validation in enumerate(spec.validations or ()):
        _check_validation(validation, (SPEC / "validations")[index], out)
    for index, annotation in enumerate(spec.auditAnnotations or ()):
        place = (SPEC / "auditAnnotations")[index]
        if not annotation.key:
            out.append(required(place / "key"))
        if not annotation.valueExpression.strip():
            out.append(required(place / "valueExpression", "valueExpression is not specified"))
    from kybern.api.admissionregistration import expressions

    expressions.check_validating(obj, out)


def _check_policy_failure(policy: str | None, out: list[Problem]) -> None:
    place = SPEC / "failurePolicy"
    if policy is None:
        out.append(required(place))
    else:
        _check_choice(policy, FAILURE, place, out)


REASONS: Final = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")


def _check_validation(validation: v1.Validation, path: Path, out: list[Problem]) -> None:
    if not validation.expression.strip():
        out.append(required(path / "expression", "expression is not specified"))
    message = validation.message
    if message and not message.strip():
        told = "message must be non-empty if specified"
        out.append(invalid(path / "message", message, told))
    elif message and "\n" in message.strip():
        out.append(invalid(path / "message", message, "message must not contain line breaks"))
    elif "\n" in validation.expression.strip() and not (message or validation.messageExpression):
        told = "message must be specified if expression contains line breaks"
        out.append(required(path / "message", told))
    _check_choice(validation.reason, REASONS, path / "reason", out)


def check_mutating_policy(obj: v1.MutatingAdmissionPolicy, out: list[Problem]) -> None:
    """Changes to requests."""
    spec = obj.spec
    _check_policy_failure(spec.failurePolicy, out)
    _check_param_kind(spec.paramKind, SPEC / "paramKind", out)
    _check_match(spec.matchConstraints, SPEC / "matchConstraints", out, must=True)
    params = spec.paramKind is not None
    check_match_conditions(spec.matchConditions, SPEC / "matchConditions", out, params=params)
    _check_variables(spec.variables, SPEC / "variables", out)
    if not spec.mutations:
        told = "mutations must contain at least one item"
        out.append(required(SPEC / "mutations", told))
    for index, mutation in enumerate(spec.mutations or ()):
        _check_mutation(mutation, (SPEC / "mutations")[index], out)
    if not spec.reinvocationPolicy:
        out.append(required(SPEC / "reinvocationPolicy"))
    else:
        place = SPEC / "reinvocationPolicy"
        _check_choice(spec.reinvocationPolicy, REINVOCATION, place, out)
    from kybern.api.admissionregistration import expressions

    expressions.check_mutating(obj, out)


def _check_mutation(mutation: v1.Mutation, path: Path, out: list[Problem]) -> None:
    parts: dict[str, Any] = {
        "ApplyConfiguration": mutation.applyConfiguration,
        "JSONPatch": mutation.jsonPatch,
    }
    fields = {"ApplyConfiguration": "applyConfiguration", "JSONPatch": "jsonPatch"}
    if not mutation.patchType:
        out.append(required(path / "patchType"))
        return
    if mutation.patchType not in parts:
        out.append(not_supported(path / "patchType", mutation.patchType, tuple(parts)))
        return
    for kind, part in parts.items():
        place = path / fields[kind]
        if kind != mutation.patchType:
            if part is not None:
                told = f"must not be specified when patchType is {mutation.patchType}"
                out.append(forbidden(place, told))
        elif part is None:
            out.append(required(place, f"must be specified when patchType is {kind}"))
        elif not (part.expression or "").strip():
            out.append(required(place / "expression", "expression is not specified"))


def check_binding(
    obj: v1.ValidatingAdmissionPolicyBinding | v1.MutatingAdmissionPolicyBinding,
    out: list[Problem],
) -> None:
    """Where a policy holds, and with which parameters."""
    name = obj.spec.policyName
    if not name:
        out.append(required(SPEC / "policyName"))
    elif messages := names.dns1123_subdomain(name):
        out += all_invalid(SPEC / "policyName", name, messages)
    if obj.spec.paramRef is not None:
        _check_param_ref(obj.spec.paramRef, SPEC / "paramRef", out)
    _check_match(obj.spec.matchResources, SPEC / "matchResources", out, must=False)
    if isinstance(obj, v1.ValidatingAdmissionPolicyBinding):
        _check_actions(obj.spec.validationActions, SPEC / "validationActions", out)


def _check_param_ref(ref: v1.ParamRef, path: Path, out: list[Problem]) -> None:
    if ref.name:
        if messages := names.path_segment(ref.name):
            out += all_invalid(path / "name", ref.name, messages)
        if ref.selector is not None:
            told = "name and selector are mutually exclusive"
            out.append(forbidden(path / "name", told))
    elif ref.selector is None:
        told = "one of name or selector must be specified"
        out.append(required(path, told))
    check_selector(ref.selector, path / "selector", out)
    action = ref.parameterNotFoundAction
    if action is None:
        out.append(required(path / "parameterNotFoundAction"))
    else:
        _check_choice(action, ("Allow", "Deny"), path / "parameterNotFoundAction", out)


def _check_actions(actions: list[str], place: Path, out: list[Problem]) -> None:
    if not actions:
        out.append(required(place, "at least one validation action is required"))
    for index, action in enumerate(actions):
        _check_choice(action, ACTIONS, place[index], out)
        if action in actions[:index]:
            out.append(duplicate(place[index], action))
    if "Deny" in actions and "Warn" in actions:
        told = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)"
        out.append(invalid(place, actions, told))


VALIDATORS: Final[dict[str, Rules]] = {
    "MutatingAdmissionPolicy": rules(check_mutating_policy, namespaced=False),
    "MutatingAdmissionPolicyBinding": rules(check_binding, namespaced=False),
    "MutatingWebhookConfiguration": rules(check_webhooks, namespaced=False),
    "ValidatingAdmissionPolicy": rules(check_validating_policy, namespaced=False),
    "ValidatingAdmissionPolicyBinding": rules(check_binding, namespaced=False),
    "ValidatingWebhookConfiguration": rules(check_webhooks, namespaced=False),
}
