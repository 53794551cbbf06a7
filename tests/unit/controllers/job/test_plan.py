"""What a job does next; and that nothing is counted twice or lost, whoever crashes when."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kybern.api import codec
from kybern.api.batch.v1 import (
    Job,
    JobSpec,
    PodFailurePolicy,
    PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
    SuccessPolicy,
    SuccessPolicyRule,
)
from kybern.api.core.v1 import (
    Container,
    ContainerState,
    ContainerStateTerminated,
    ContainerStatus,
    PodCondition,
    PodSpec,
    PodTemplateSpec,
)
from kybern.api.meta.v1 import LabelSelector, ObjectMeta
from kybern.controllers.job import failures
from kybern.controllers.job.indexes import parse, render
from kybern.controllers.job.plan import plan
from kybern.controllers.job.pods import FAILURES, INDEX, TRACKING, index_of, new_pod
from kybern.lib.clock import rfc3339

NOW = 1_800_000_000.0
_numbers = itertools.count()


def job(completions=3, parallelism=2, *, indexed=False, restart="Never", **spec):
    labels = {"job": "it"}
    template = PodTemplateSpec(
        metadata=ObjectMeta(labels=labels),
        spec=PodSpec(containers=[Container(name="c", image="i")], restartPolicy=restart),
    )
    spec.setdefault("backoffLimit", 6)
    return Job(
        metadata=ObjectMeta(name="it", namespace="default", uid="job"),
        spec=JobSpec(
            completions=completions,
            parallelism=parallelism,
            completionMode="Indexed" if indexed else "NonIndexed",
            selector=LabelSelector(matchLabels=labels),
            template=template,
            podReplacementPolicy="TerminatingOrFailed",
            **spec,
        ),
    )


def pod(owner, phase="Running", index=-1, *, ended=1000.0, code=1, leaving=False, failed=0):
    made = codec.clone(new_pod(owner, index, failed))
    made.metadata.name = made.metadata.uid = f"pod-{next(_numbers)}"
    made.metadata.creationTimestamp = rfc3339(NOW - 2000)
    made.status.phase = phase
    if phase in ("Succeeded", "Failed"):
        code = code if phase == "Failed" else 0
        state = ContainerStateTerminated(exitCode=code, finishedAt=rfc3339(NOW - ended))
        made.status.containerStatuses = [
            ContainerStatus(name="c", state=ContainerState(terminated=state))
        ]
    if leaving:
        made.metadata.deletionTimestamp = rfc3339(NOW - ended)
    return made


def decided(owner, pods):
    found = plan(owner, pods, NOW)
    return {c.type: c.reason for c in found.status.conditions or () if c.status == "True"}


@pytest.mark.parametrize(
    ("options", "phases", "create", "drop"),
    [
        ({}, [], 2, 0),
        ({}, ["Running"], 1, 0),
        ({}, ["Running", "Running"], 0, 0),
        ({}, ["Running", "Running", "Running"], 0, 1),
        ({}, ["Succeeded", "Succeeded"], 1, 0),
        ({"completions": 10, "parallelism": 4}, ["Succeeded", "Failed", "Running"], 3, 0),
        ({"completions": None}, [], 2, 0),
        ({"completions": None}, ["Succeeded", "Running"], 0, 0),
        ({"parallelism": 0}, [], 0, 0),
        ({"parallelism": 0}, ["Running"], 0, 1),
        ({"suspend": True}, ["Running", "Running"], 0, 2),
        ({"completions": 2000, "parallelism": 1000}, [], 500, 0),
    ],
)
def test_how_many(options, phases, create, drop):
    owner = job(**options)
    found = plan(owner, [pod(owner, phase) for phase in phases], NOW)
    assert (len(found.create), len(found.drop), found.delete) == (create, drop, [])


def test_a_pod_on_its_way_out_is_a_failure_unless_only_ends_count():
    owner = job(1, 1)
    found = plan(owner, [pod(owner, leaving=True)], NOW)
    assert (len(found.create), found.status.terminating) == (1, 1)
    assert len(found.status.uncountedTerminatedPods.failed) == 1
    owner.spec.podReplacementPolicy = "Failed"
    found = plan(owner, [pod(owner, leaving=True)], NOW)
    assert (found.create, found.status.terminating) == ([], 1)
    assert found.status.uncountedTerminatedPods.failed is None


def test_the_next_one_waits_after_a_failure():
    owner = job(1, 1)
    found = plan(owner, [pod(owner, "Failed", ended=3)], NOW)
    assert (found.create, found.check_after) == ([], 7.0)
    pods = [pod(owner, "Failed", ended=50), pod(owner, "Failed", ended=5)]
    assert plan(owner, pods, NOW).check_after == 15.0
    pods.append(pod(owner, "Succeeded", ended=1))
    assert failures.delay(pods, NOW) == 0.0


def test_indexes_are_given_out_from_below():
    owner = job(5, 3, indexed=True)
    pods = [pod(owner, "Succeeded", 0), pod(owner, "Running", 2)]
    found = plan(owner, pods, NOW)
    assert [index_of(one) for one in found.create] == [1, 3]
    assert found.status.completedIndexes == "0"
    assert found.release == pods[:1]


def test_of_two_pods_with_one_index_one_goes():
    owner = job(2, 2, indexed=True)
    first, second = pod(owner, "Running", 0), pod(owner, "Pending", 0)
    found = plan(owner, [first, second, pod(owner, "Running", 7)], NOW)
    assert second in found.drop
    assert len(found.drop) == 2
    assert first not in found.drop


def test_an_index_has_its_own_failures():
    owner = job(2, 2, indexed=True, backoffLimitPerIndex=2, backoffLimit=2**31 - 1)
    running, failed = pod(owner, "Running", 0), pod(owner, "Failed", 1, failed=1)
    found = plan(owner, [running, failed], NOW)
    (made,) = found.create
    assert made.metadata.annotations[FAILURES] == "2"
    assert found.release == []  # its number must not be lost before the next pod is there
    replaced = plan(owner, [running, failed, pod(owner, "Running", 1, failed=2)], NOW)
    assert replaced.release == [failed]
    lost = plan(owner, [running, pod(owner, "Failed", 1, failed=2)], NOW)
    assert (lost.status.failedIndexes, lost.create) == ("1", [])


def exit_codes(action, operator, *values):
    codes = PodFailurePolicyOnExitCodesRequirement(operator=operator, values=list(values))
    return PodFailurePolicyRule(action=action, onExitCodes=codes)


def disrupted(action):
    pattern = PodFailurePolicyOnPodConditionsPattern(type="DisruptionTarget", status="True")
    return PodFailurePolicyRule(action=action, onPodConditions=[pattern])


@pytest.mark.parametrize(
    ("rules", "code", "condition", "action"),
    [
        ([exit_codes("FailJob", "In", 42)], 42, False, "FailJob"),
        ([exit_codes("FailJob", "In", 42)], 1, False, "Count"),
        ([exit_codes("FailIndex", "NotIn", 42)], 1, False, "FailIndex"),
        ([exit_codes("Ignore", "NotIn", 42)], 42, False, "Count"),
        ([disrupted("Ignore"), exit_codes("FailJob", "In", 1)], 1, True, "Ignore"),
        ([disrupted("Ignore"), exit_codes("FailJob", "In", 1)], 1, False, "FailJob"),
        ([exit_codes("Count", "In", 1), disrupted("FailJob")], 1, True, "Count"),
    ],
)
def test_what_a_failure_means(rules, code, condition, action):
    owner = job(podFailurePolicy=PodFailurePolicy(rules=rules))
    failed = pod(owner, "Failed", code=code)
    if condition:
        failed.status.conditions = [PodCondition(type="DisruptionTarget", status="True")]
    assert failures.meaning(owner, failed).action == action


@pytest.mark.parametrize(
    ("options", "phases", "expected"),
    [
        ({}, ["Succeeded"] * 3, {"SuccessCriteriaMet": "CompletionsReached"}),
        ({"completions": None}, ["Succeeded"], {"SuccessCriteriaMet": "CompletionsReached"}),
        ({"completions": None}, ["Succeeded", "Running"], {}),
        ({"completions": 0}, [], {"SuccessCriteriaMet": "CompletionsReached",
                                  "Complete": "CompletionsReached"}),
        ({"backoffLimit": 1}, ["Failed"], {}),
        ({"backoffLimit": 1}, ["Failed"] * 2, {"FailureTarget": "BackoffLimitExceeded"}),
        ({"backoffLimit": 0}, ["Failed"] + ["Succeeded"] * 3,
         {"FailureTarget": "BackoffLimitExceeded"}),
    ],
)  # fmt: skip
def test_verdicts(options, phases, expected):
    owner = job(**options)
    assert decided(owner, [pod(owner, phase) for phase in phases]) == expected


def test_restarts_count_where_containers_are_restarted():
    owner = job(restart="OnFailure", backoffLimit=3)
    running = pod(owner)
    running.status.containerStatuses = [ContainerStatus(name="c", restartCount=3)]
    assert decided(owner, [running]) == {"FailureTarget": "BackoffLimitExceeded"}


@pytest.mark.parametrize(
    ("rule", "done", "met"),
    [
        (SuccessPolicyRule(succeededIndexes="0-1"), (0, 1), True),
        (SuccessPolicyRule(succeededIndexes="0-1"), (0, 2), False),
        (SuccessPolicyRule(succeededCount=2), (0, 2), True),
        (SuccessPolicyRule(succeededIndexes="0-2", succeededCount=1), (2,), True),
        (SuccessPolicyRule(succeededIndexes="0-2", succeededCount=1), (3,), False),
    ],
)
def test_success_policies(rule, done, met):
    owner = job(5, 5, indexed=True, successPolicy=SuccessPolicy(rules=[rule]))
    found = decided(owner, [pod(owner, "Succeeded", index) for index in done])
    assert found == ({"SuccessCriteriaMet": "SuccessPolicy"} if met else {})


def test_a_decided_job_lets_its_pods_go_and_ends_with_the_last():
    owner = job(1, 2)
    running, done = pod(owner), pod(owner, "Succeeded")
    first = plan(owner, [running, done], NOW)
    assert (first.delete, first.create, first.release) == ([running], [], [done])
    assert [c.type for c in first.status.conditions] == ["SuccessCriteriaMet"]
    owner.status = first.status
    done.metadata.finalizers = None
    last = plan(owner, [done], NOW)
    assert [c.type for c in last.status.conditions] == ["SuccessCriteriaMet", "Complete"]
    assert last.status.completionTime == rfc3339(NOW)
    assert last.news == [("Normal", "Completed", "Job completed")]
    owner.status = last.status
    again = plan(owner, [done], NOW + 60)
    assert (again.status, again.release, again.news) == (owner.status, [], [])


@pytest.mark.parametrize(
    ("text", "indexes"),
    [("", set()), ("0", {0}), ("0,1", {0, 1}), ("0-2,5,7-9", {0, 1, 2, 5, 7, 8, 9})],
)
def test_indexes_as_text(text, indexes):
    assert parse(text, 10) == indexes
    assert render(indexes) == text


@given(st.sets(st.integers(0, 99)))
def test_every_set_survives_its_text(indexes):
    assert parse(render(indexes), 100) == indexes


def test_what_makes_no_sense_or_is_beyond_is_skipped():
    assert parse("x,3-y,2,8-12", 10) == {2, 8, 9}


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32), indexed=st.booleans(), completions=st.integers(1, 6))
def test_counted_once_whoever_crashes_when(seed, indexed, completions):
    """Each pod that ends is counted once, though the controller dies between any two writes."""
    chance = random.Random(seed)
    owner = job(completions, 3, indexed=indexed, backoffLimit=1000)
    pods, now, good, bad = [], NOW, 0, 0
    for _ in range(400):
        found = plan(owner, pods, now)
        assert not found.drop
        assert not found.delete
        for made in found.create:
            one = codec.clone(made)
            one.metadata.uid = one.metadata.name = f"p{next(_numbers)}"
            one.metadata.creationTimestamp = rfc3339(now)
            one.status.phase = "Running"
            pods.append(one)
        if chance.random() < 0.7:
            owner.status = found.status
            for one in found.release[: chance.randint(0, len(found.release))]:
                one.metadata.finalizers = None
        for one in pods:
            if one.status.phase == "Running":
                one.status.phase = chance.choice(["Running", "Succeeded", "Failed"])
                good += one.status.phase == "Succeeded"
                bad += one.status.phase == "Failed"
        pods = [one for one in pods if one.metadata.finalizers]  # the others vanish
        now += 700  # patience
        if owner.status.completionTime is not None:
            break
    assert owner.status.completionTime is not None
    assert owner.status.succeeded == good == completions
    assert (owner.status.failed or 0) == bad
    if indexed:
        assert parse(owner.status.completedIndexes, 10) == set(range(completions))


def test_a_pod_knows_its_index():
    made = new_pod(job(2, 2, indexed=True), 1)
    assert made.metadata.labels[INDEX] == made.metadata.annotations[INDEX] == "1"
    assert made.spec.hostname == "it-1"
    assert made.metadata.generateName == "it-1-"
    assert made.metadata.finalizers == [TRACKING]
    (env,) = made.spec.containers[0].env
    assert env.valueFrom.fieldRef.fieldPath == f"metadata.labels['{INDEX}']"
