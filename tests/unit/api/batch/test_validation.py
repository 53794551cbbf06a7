from __future__ import annotations

import pytest
from tests.unit.api.objects import created, updated

from kybern.api.batch import schedule

UID = "u"
LABELS = {
    "batch.kubernetes.io/controller-uid": UID,
    "controller-uid": UID,
    "batch.kubernetes.io/job-name": "x",
    "job-name": "x",
}
POD = {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}


def job(pod=None, **spec):
    template = {"metadata": {"labels": LABELS}, "spec": {**POD, **(pod or {})}}
    selector = {"matchLabels": {"batch.kubernetes.io/controller-uid": UID}}
    return {
        "metadata": {"uid": UID},
        "spec": {"selector": selector, "template": template, **spec},
    }


INDEXED = {"completionMode": "Indexed", "completions": 3}
POLICY = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]}


@pytest.mark.parametrize(
    ("tree", "problems"),
    [
        (job(), []),
        (job(parallelism=-1), ["parallelism: Invalid value: -1: must be greater than or equal "
                               "to 0"]),
        (
            job({"restartPolicy": "Always"}),
            ['template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'],
        ),
        (
            job(completionMode="x"),
            ['completionMode: Unsupported value: "x": supported values: "NonIndexed", "Indexed"'],
        ),
        (
            job(completionMode="Indexed", parallelism=1),
            ["completions: Required value: when completion mode is Indexed"],
        ),
        (
            job(backoffLimitPerIndex=1),
            ["backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"],
        ),
        (
            job(**INDEXED, maxFailedIndexes=1),
            ["backoffLimitPerIndex: Required value: when maxFailedIndexes is specified"],
        ),
        (
            job({"restartPolicy": "OnFailure"}, podFailurePolicy=POLICY),
            ['template.spec.restartPolicy: Invalid value: "OnFailure": only "Never" is supported '
             "when podFailurePolicy is specified"],
        ),
        (job(podFailurePolicy=POLICY), []),
        (
            job(podFailurePolicy={"rules": [{"action": "FailJob", "onExitCodes": {
                "operator": "In", "values": [1, 0]}}]}),
            ["podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [1,0]: must be ordered",
             "podFailurePolicy.rules[0].onExitCodes.values[1]: Invalid value: 0: must not be 0 "
             "for the In operator"],
        ),
        (
            job(**INDEXED, successPolicy={"rules": [{"succeededIndexes": "0-5"}]}),
            ['successPolicy.rules[0].succeededIndexes: Invalid value: "0-5": error parsing '
             'succeededIndexes: too large index: "5"'],
        ),
        (
            job(managedBy="x"),
            ['managedBy: Invalid value: "x": must be a domain-prefixed path (such as '
             '"acme.io/foo")'],
        ),
    ],
)  # fmt: skip
def test_jobs(tree, problems):
    assert created("batch/v1/Job", tree) == [f"spec.{problem}" for problem in problems]


def test_the_generated_selector_is_that_of_the_job():
    tree = job()
    tree["spec"]["template"]["metadata"] = {"labels": {**LABELS, "job-name": "y"}}
    assert created("batch/v1/Job", tree)[0].startswith(
        "spec.template.metadata.labels[job-name]: Invalid value: "
    )


@pytest.mark.parametrize(
    ("old", "new", "problems"),
    [
        (job(), job(completions=1, parallelism=5, suspend=True), []),
        (job(), job(completions=2), ["completions: Invalid value: 2: field is immutable"]),
        (job(**INDEXED), job(**{**INDEXED, "completions": 5}, parallelism=5), []),
        (
            job(**INDEXED),
            job(**{**INDEXED, "completions": 5}, parallelism=2),
            ["completions: Invalid value: 5: can only be modified in tandem with "
             "spec.parallelism"],
        ),
        (job(suspend=True), job({"nodeSelector": {"a": "b"}}), []),
    ],
)  # fmt: skip
def test_what_may_change(old, new, problems):
    assert updated("batch/v1/Job", old, new) == [f"spec.{problem}" for problem in problems]


def test_the_template_stays_once_the_job_runs():
    (problem,) = updated("batch/v1/Job", job(), job({"nodeSelector": {"a": "b"}}))
    assert problem.startswith("spec.template: Invalid value: {")
    assert problem.endswith(": field is immutable")


def cron(**spec):
    return {"spec": {"schedule": "* * * * *",
                     "jobTemplate": {"spec": {"template": {"spec": POD}}}, **spec}}  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"schedule": ""}, "schedule: Required value"),
        (
            {"schedule": "x"},
            'schedule: Invalid value: "x": expected exactly 5 fields, found 1: [x]',
        ),
        (
            {"schedule": "60 * * * *"},
            'schedule: Invalid value: "60 * * * *": end of range (60) above maximum (59): 60',
        ),
        (
            {"schedule": "TZ=UTC * * * * *"},
            'schedule: Invalid value: "TZ=UTC * * * * *": cannot use TZ or CRON_TZ in schedule, '
            "use timeZone field instead",
        ),
        ({"timeZone": "No/Where"}, 'timeZone: Invalid value: "No/Where": unknown time zone '
                                   "No/Where"),
        (
            {"concurrencyPolicy": "x"},
            'concurrencyPolicy: Unsupported value: "x": supported values: "Allow", "Forbid", '
            '"Replace"',
        ),
    ],
)  # fmt: skip
def test_cron_jobs(spec, problem):
    assert created("batch/v1/CronJob", cron(**spec)) == [f"spec.{problem}"]


def test_a_cron_job_leaves_room_for_the_names_of_its_jobs():
    name = "a" * 53
    assert created("batch/v1/CronJob", {**cron(), "metadata": {"name": name}}) == [
        f'metadata.name: Invalid value: "{name}": must be no more than 52 characters'
    ]


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("*/15 * * * *", {0, 15, 30, 45}),
        ("1,2,5-7 * * * *", {1, 2, 5, 6, 7}),
        ("50/5 * * * *", {50, 55}),
        ("@hourly", {0}),
    ],
)
def test_schedules(text, minutes):
    assert schedule.parse(text).minute.values == minutes


def test_words_in_schedules():
    parsed = schedule.parse("0 0 * JAN-mar sun")
    assert parsed.month.values == {1, 2, 3}
    assert parsed.weekday.values == {0}
    assert parsed.day.any
    assert schedule.parse("@every 1h30m").every == 5400


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty spec string"),
        ("@often", "unrecognized descriptor: @often"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("1/2/3 * * * *", "too many slashes: 1/2/3"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("a * * * *", 'failed to parse int from a: strconv.Atoi: parsing "a": invalid syntax'),
    ],
)
def test_schedules_that_are_none(text, message):
    with pytest.raises(schedule.ScheduleError) as caught:
        schedule.parse(text)
    assert str(caught.value) == message
