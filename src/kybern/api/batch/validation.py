"""What jobs must be.

In:   an object; for updates also the old one.
Out:  problems; the table `VALIDATORS`.
By:   `api.validation`. Facts: upstream's `pkg/apis/batch/validation/validation.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api import codec, names, selectors
from kybern.api.bad_value import NIL
from kybern.api.batch.schedule import ScheduleError, parse
from kybern.api.core.validation.templates import check_template
from kybern.api.decimals import natural
from kybern.api.field_path import (
    Path,
    Problem,
    all_invalid,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
)
from kybern.api.likeness import same
from kybern.api.meta.validation import (
    METADATA,
    SPEC,
    STATUS,
    check_all_not_negative,
    check_immutable,
    check_meta_update,
    check_not_negative,
    check_selector,
)
from kybern.api.rules import Rules, rules

if TYPE_CHECKING:
    from kybern.api.batch.v1 import (
        CronJob,
        CronJobSpec,
        Job,
        JobSpec,
        PodFailurePolicy,
        PodFailurePolicyRule,
        SuccessPolicyRule,
    )

UID_LABELS: Final = ("batch.kubernetes.io/controller-uid", "controller-uid")
NAME_LABELS: Final = ("batch.kubernetes.io/job-name", "job-name")
MODES: Final = ("NonIndexed", "Indexed")
CONCURRENCY: Final = ("Allow", "Forbid", "Replace")
PARALLEL_INDEXED_MAX: Final = 100_000
RULES_MAX: Final = 20
CODES_MAX: Final = 255
CRON_NAME_MAX: Final = 52
MANAGED_BY_MAX: Final = 63
COUNTS: Final = (
    "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit",
    "ttlSecondsAfterFinished", "backoffLimitPerIndex", "maxFailedIndexes",
)  # fmt: skip
INDEXED: Final = "requires indexed completion mode"


# --- jobs ---------------------------------------------------------------------------------------


def check_job(obj: Job, out: list[Problem]) -> None:
    """Pods that run to an end, so many times."""
    spec = obj.spec
    if spec.completionMode == "Indexed" and spec.completions:
        host = f"{obj.metadata.name}-{spec.completions - 1}"
        if names.dns1123_label(host):
            told = f"will not able to create pod with invalid DNS name: {host}"
            out.append(invalid(METADATA / "name", obj.metadata.name, told))
    if not spec.manualSelector and spec.selector is not None:
        _check_generated_selector(obj, out)
    check_job_spec(spec, SPEC, out)
    if spec.selector is None:
        out.append(required(SPEC / "selector"))
        return
    check_selector(spec.selector, SPEC / "selector", out)
    _check_template_selected(spec, out)


def _check_template_selected(spec: JobSpec, out: list[Problem]) -> None:
    try:
        selector = selectors.from_struct(spec.selector)
    except selectors.SelectorError:
        return
    labels = spec.template.metadata.labels
    if not selector.matches(labels):
        told = "`selector` does not match template `labels`"
        out.append(invalid(SPEC / "template" / "metadata" / "labels", labels or NIL, told))


def _check_generated_selector(obj: Job, out: list[Problem]) -> None:
    uid, name = obj.metadata.uid or "", obj.metadata.name or ""
    if not uid:
        out.append(required(METADATA / "uid"))
    labels = obj.spec.template.metadata.labels or {}
    place = SPEC / "template" / "metadata" / "labels"
    expected = dict.fromkeys(UID_LABELS, uid) | dict.fromkeys(NAME_LABELS, name)
    for key, value in expected.items():
        if key not in labels:
            out.append(required(place[key], f"must be '{value}'"))
        elif labels[key] != value:
            out.append(invalid(place[key], labels, f"must be '{value}'"))
    try:
        selector = selectors.from_struct(obj.spec.selector)
    except selectors.SelectorError:
        return
    if not selector.matches(expected):
        told = "`selector` not auto-generated"
        out.append(invalid(SPEC / "selector", obj.spec.selector, told))


def check_job_spec(spec: JobSpec, path: Path, out: list[Problem]) -> None:
    """A job, or the template of one."""
    check_all_not_negative(spec, path, COUNTS, out)
    if spec.completionMode is not None:
        _check_mode(spec, path, out)
    _check_per_index(spec, path, out)
    if spec.podFailurePolicy is not None:
        _check_failure_policy(spec, spec.podFailurePolicy, path / "podFailurePolicy", out)
    if spec.successPolicy is not None:
        _check_success_policy(spec, path / "successPolicy", out)
    _check_replacement(spec, path / "podReplacementPolicy", out)
    if spec.managedBy is not None:
        _check_managed_by(spec.managedBy, path / "managedBy", out)
    check_template(spec.template, path / "template", out)
    _check_restarts(spec, path / "template" / "spec" / "restartPolicy", out)


def _check_mode(spec: JobSpec, path: Path, out: list[Problem]) -> None:
    if spec.completionMode not in MODES:
        out.append(not_supported(path / "completionMode", spec.completionMode, MODES))
    if spec.completionMode != "Indexed":
        return
    if spec.completions is None:
        out.append(required(path / "completions", "when completion mode is Indexed"))
    if spec.parallelism is not None and spec.parallelism > PARALLEL_INDEXED_MAX:
        told = (
            f"must be less than or equal to {PARALLEL_INDEXED_MAX} when completion mode is Indexed"
        )
        out.append(invalid(path / "parallelism", spec.parallelism, told))


def _check_per_index(spec: JobSpec, path: Path, out: list[Problem]) -> None:
    limit, failed = spec.backoffLimitPerIndex, spec.maxFailedIndexes
    if spec.completionMode != "Indexed":
        if limit is not None:
            out.append(invalid(path / "backoffLimitPerIndex", limit, INDEXED))
        if failed is not None:
            out.append(invalid(path / "maxFailedIndexes", failed, INDEXED))
        return
    if failed is not None and limit is None:
        told = "when maxFailedIndexes is specified"
        out.append(required(path / "backoffLimitPerIndex", told))
    if failed is not None and spec.completions is not None and failed > spec.completions:
        told = "must be less than or equal to completions"
        out.append(invalid(path / "maxFailedIndexes", failed, told))


def _check_restarts(spec: JobSpec, place: Path, out: list[Problem]) -> None:
    policy = spec.template.spec.restartPolicy or ""
    if policy == "Always":
        out.append(required(place, 'valid values: "OnFailure", "Never"'))
    elif policy not in ("OnFailure", "Never"):
        out.append(not_supported(place, policy, ("OnFailure", "Never")))
    elif spec.podFailurePolicy is not None and policy != "Never":
        told = 'only "Never" is supported when podFailurePolicy is specified'
        out.append(invalid(place, policy, told))


def _check_replacement(spec: JobSpec, place: Path, out: list[Problem]) -> None:
    policy = spec.podReplacementPolicy
    if policy is None:
        return
    known = ("Failed",) if spec.podFailurePolicy is not None else ("Failed", "TerminatingOrFailed")
    if policy not in known:
        out.append(not_supported(place, policy, known))


def _check_managed_by(name: str, place: Path, out: list[Problem]) -> None:
    domain, slash, rest = name.partition("/")
    if not name:
        out.append(required(place))
    elif not slash or not domain or not rest:
        told = 'must be a domain-prefixed path (such as "acme.io/foo")'
        out.append(invalid(place, name, told))
    else:
        out += all_invalid(place, domain, names.dns1123_subdomain(domain))
        out += all_invalid(place, rest, names.http_path(rest))
    if names.size(name) > MANAGED_BY_MAX:
        out.append(too_long(place, MANAGED_BY_MAX))


def _check_failure_policy(
    spec: JobSpec, policy: PodFailurePolicy, path: Path, out: list[Problem]
) -> None:
    containers = {c.name for c in spec.template.spec.containers}
    containers |= {c.name for c in spec.template.spec.initContainers or ()}
    if len(policy.rules) > RULES_MAX:
        out.append(too_many(path / "rules", len(policy.rules), RULES_MAX))
        return
    for index, rule in enumerate(policy.rules):
        _check_failure_rule(spec, rule, containers, (path / "rules")[index], out)


def _check_failure_rule(
    spec: JobSpec, rule: PodFailurePolicyRule, containers: set[str], path: Path, out: list[Problem]
) -> None:
    known = ("Count", "FailIndex", "FailJob", "Ignore")
    if not rule.action:
        out.append(
            required(path / "action", "valid values: " + '["Count" "FailIndex" "FailJob" "Ignore"]')
        )
    elif rule.action not in known:
        out.append(not_supported(path / "action", rule.action, known))
    elif rule.action == "FailIndex" and spec.backoffLimitPerIndex is None:
        told = "requires the backoffLimitPerIndex to be set"
        out.append(invalid(path / "action", rule.action, told))
    if rule.onExitCodes is not None:
        _check_exit_codes(rule, containers, path / "onExitCodes", out)
    patterns = rule.onPodConditions or []
    if len(patterns) > RULES_MAX:
        out.append(too_many(path / "onPodConditions", len(patterns), RULES_MAX))
    for index, pattern in enumerate(patterns):
        place = (path / "onPodConditions")[index]
        if messages := names.qualified_name(pattern.type):
            out += all_invalid(place / "type", pattern.type, messages)
        statuses = ("False", "True", "Unknown")
        if pattern.status not in statuses:
            out.append(not_supported(place / "status", pattern.status or "", statuses))
    if rule.onExitCodes is not None and patterns:
        told = "specifying both OnExitCodes and OnPodConditions is not supported"
        out.append(invalid(path, None, told))
    if rule.onExitCodes is None and not patterns:
        told = "specifying one of OnExitCodes and OnPodConditions is required"
        out.append(invalid(path, None, told))


def _check_exit_codes(
    rule: PodFailurePolicyRule, containers: set[str], path: Path, out: list[Problem]
) -> None:
    wanted = rule.onExitCodes
    if wanted is None:
        return
    if wanted.operator not in ("In", "NotIn"):
        out.append(not_supported(path / "operator", wanted.operator, ("In", "NotIn")))
    if wanted.containerName is not None and wanted.containerName not in containers:
        told = "must be one of the container or initContainer names in the pod template"
        out.append(invalid(path / "containerName", wanted.containerName, told))
    values = wanted.values
    if not values:
        told = "at least one value is required"
        out.append(invalid(path / "values", values, told))
    elif len(values) > CODES_MAX:
        out.append(too_many(path / "values", len(values), CODES_MAX))
    if values != sorted(values):
        out.append(invalid(path / "values", values, "must be ordered"))
    if len(set(values)) != len(values):
        out.append(invalid(path / "values", values, "must be unique"))
    if wanted.operator == "In" and 0 in values:
        place = (path / "values")[values.index(0)]
        out.append(invalid(place, 0, "must not be 0 for the In operator"))


def _check_success_policy(spec: JobSpec, path: Path, out: list[Problem]) -> None:
    policy = spec.successPolicy
    if policy is None:
        return
    if spec.completionMode != "Indexed":
        out.append(invalid(path, policy, INDEXED))
    if not policy.rules:
        told = "at least one rules must be specified when the successPolicy is specified"
        out.append(required(path / "rules", told))
    if len(policy.rules) > RULES_MAX:
        out.append(too_many(path / "rules", len(policy.rules), RULES_MAX))
    for index, rule in enumerate(policy.rules):
        _check_success_rule(rule, spec.completions or 0, (path / "rules")[index], out)


def _check_success_rule(
    rule: SuccessPolicyRule, completions: int, path: Path, out: list[Problem]
) -> None:
    if rule.succeededCount is None and rule.succeededIndexes is None:
        told = "at least one of succeededCount or succeededIndexes must be specified"
        out.append(required(path, told))
    total = completions
    if rule.succeededIndexes is not None:
        try:
            total = count_indexes(rule.succeededIndexes, completions)
        except ValueError as error:
            told = f"error parsing succeededIndexes: {error}"
            out.append(invalid(path / "succeededIndexes", rule.succeededIndexes, told))
    if rule.succeededCount is not None:
        check_not_negative(rule.succeededCount, path, "succeededCount", out)
        if rule.succeededCount > completions:
            told = (
                f"must be less than or equal to {completions} (the number of specified completions)"
            )
            out.append(invalid(path / "succeededCount", rule.succeededCount, told))
        elif rule.succeededIndexes is not None and rule.succeededCount > total:
            told = (
                f"must be less than or equal to {total} (the number of indexes in the specified "
                "succeededIndexes field)"
            )
            out.append(invalid(path / "succeededCount", rule.succeededCount, told))


def count_indexes(text: str, completions: int) -> int:
    """How many indexes `1,3-5` names.

    Raises:
        ValueError: when they are not numbers below `completions`, in order.
    """
    total, last = 0, -1
    for part in text.split(",") if text else ():
        low, dash, high = part.partition("-")
        first, end = natural(low), natural(high if dash else low)
        if first is None or end is None:
            raise ValueError(f'cannot convert string to integer for index: "{part}"')
        if first <= last or end < first:
            raise ValueError(f"non-increasing order, previous: {last}, current: {first}")
        if end >= completions:
            raise ValueError(f'too large index: "{end}"')
        total += end - first + 1
        last = end
    return total


FIXED: Final = ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy",
                "successPolicy")  # fmt: skip


def check_job_change(new: Job, old: Job, out: list[Problem]) -> None:
    """A job that has begun keeps what it was made from."""
    _check_completions_change(new.spec, old.spec, out)
    check_immutable(new.spec.selector, old.spec.selector, SPEC / "selector", out)
    _check_template_change(new, old, out)
    for field in FIXED:
        check_immutable(getattr(new.spec, field), getattr(old.spec, field), SPEC / field, out)


def _check_completions_change(new: JobSpec, old: JobSpec, out: list[Problem]) -> None:
    if new.completions == old.completions:
        return
    place = SPEC / "completions"
    if new.completionMode != "Indexed" or new.completions is None:
        check_immutable(new.completions, old.completions, place, out)
    elif new.completions != new.parallelism:
        told = "can only be modified in tandem with spec.parallelism"
        out.append(invalid(place, new.completions, told))


def _check_template_change(new: Job, old: Job, out: list[Problem]) -> None:
    if same(new.spec.template, old.spec.template):
        return
    template = codec.clone(new.spec.template)
    if old.spec.suspend and old.status.startTime is None:
        _forgive_scheduling(template, old.spec.template)
    if not same(template, old.spec.template):
        out.append(invalid(SPEC / "template", new.spec.template, "field is immutable"))


def _forgive_scheduling(template: Any, old: Any) -> None:
    """What a queueing system may still set on a suspended job."""
    template.metadata.labels = old.metadata.labels
    template.metadata.annotations = old.metadata.annotations
    for field in ("nodeSelector", "tolerations", "schedulingGates", "affinity"):
        setattr(template.spec, field, getattr(old.spec, field))
    for field in ("containers", "initContainers"):
        now, then = getattr(template.spec, field) or [], getattr(old.spec, field) or []
        for container, before in zip(now, then, strict=False):
            container.resources = before.resources


def validate_job_status_update(new: Job, old: Job) -> list[Problem]:
    """New counts, and conditions which do not contradict each other."""
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    counts = ("active", "succeeded", "failed", "ready", "terminating")
    check_all_not_negative(new.status, STATUS, counts, out)
    now = {c.type for c in new.status.conditions or () if c.status == "True"}
    if {"Complete", "Failed"} <= now:
        told = "cannot set Complete=True and Failed=true conditions"
        out.append(invalid(STATUS / "conditions", None, told))
    before = {c.type for c in old.status.conditions or () if c.status == "True"}
    for kind in sorted({"Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"} & before):
        if kind not in now:
            told = f"cannot disable the terminal {kind}=True condition"
            if kind in ("FailureTarget", "SuccessCriteriaMet"):
                told = f"cannot disable the {kind}=True condition"
            out.append(invalid(STATUS / "conditions", None, told))
    if old.status.completionTime is not None:
        check_immutable(
            new.status.completionTime, old.status.completionTime, STATUS / "completionTime", out
        )
    return out


# --- cron jobs ----------------------------------------------------------------------------------


def check_cron_job(obj: CronJob, out: list[Problem]) -> None:
    """Jobs made at given times."""
    spec = obj.spec
    name = obj.metadata.name or ""
    if names.size(name) > CRON_NAME_MAX:
        # Eleven more characters follow in the names of its jobs.
        told = f"must be no more than {CRON_NAME_MAX} characters"
        out.append(invalid(METADATA / "name", name, told))
    _check_schedule(spec, out)
    check_not_negative(spec.startingDeadlineSeconds, SPEC, "startingDeadlineSeconds", out)
    place = SPEC / "concurrencyPolicy"
    if not spec.concurrencyPolicy:
        out.append(required(place))
    elif spec.concurrencyPolicy not in CONCURRENCY:
        out.append(not_supported(place, spec.concurrencyPolicy, CONCURRENCY))
    place = SPEC / "jobTemplate" / "spec"
    job = spec.jobTemplate.spec
    check_job_spec(job, place, out)
    if job.selector is not None:
        told = "`selector` will be auto-generated"
        out.append(invalid(place / "selector", job.selector, told))
    if job.manualSelector:
        out.append(not_supported(place / "manualSelector", True, ("nil", "false")))
    limits = ("successfulJobsHistoryLimit", "failedJobsHistoryLimit")
    check_all_not_negative(spec, SPEC, limits, out)


def _check_schedule(spec: CronJobSpec, out: list[Problem]) -> None:
    place = SPEC / "schedule"
    if not spec.schedule:
        out.append(required(place))
    elif "TZ=" in spec.schedule:
        told = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        out.append(invalid(place, spec.schedule, told))
    else:
        try:
            parse(spec.schedule)
        except ScheduleError as error:
            out.append(invalid(place, spec.schedule, str(error)))
    if spec.timeZone is not None:
        _check_zone(spec.timeZone, SPEC / "timeZone", out)


def _check_zone(zone: str, place: Path, out: list[Problem]) -> None:
    if not zone:
        told = "timeZone must be nil or non-empty string"
        out.append(invalid(place, zone, told))
    elif zone.lower() == "local":
        where = "https://www.iana.org/time-zones"
        told = f"timeZone must be an explicit time zone as defined in {where}"
        out.append(invalid(place, zone, told))
    else:
        import zoneinfo  # only CronJobs with a zone need the database

        try:
            zoneinfo.ZoneInfo(zone)
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
            out.append(invalid(place, zone, f"unknown time zone {zone}"))


VALIDATORS: Final[dict[str, Rules]] = {
    "CronJob": rules(check_cron_job),
    "Job": rules(check_job, change=check_job_change, status=validate_job_status_update),
}
