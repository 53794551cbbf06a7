"""Jobs, on nodes whose kubelets are played."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conformance.marks import conforms
from tests.conformance.test_workloads import conditions
from tests.conformance.wire import MERGE, STRATEGIC, Tree
from tests.conformance.world import World, world

if TYPE_CHECKING:
    from collections.abc import Callable

INDEX = "batch.kubernetes.io/job-completion-index"
TRACKING = "batch.kubernetes.io/job-tracking"


def job(image: str, completions: int | None = 2, parallelism: int = 2, **spec: Any) -> Tree:
    pod = {
        "containers": [{"name": "c", "image": image}],
        "restartPolicy": spec.pop("restartPolicy", "Never"),
        "terminationGracePeriodSeconds": 0,
    }
    body = {"parallelism": parallelism, "template": {"spec": pod}, **spec}
    if completions is not None:
        body["completions"] = completions
    return {"metadata": {"name": "it", "labels": {"e2e-job": "it"}}, "spec": body}


class Jobs:
    """The handles a test needs, in a namespace of its own."""

    def __init__(self, w: World, namespace: str) -> None:
        self.w = w
        self.jobs = w.resource("batch/v1", "jobs", namespace)
        self.pods = w.resource("v1", "pods", namespace)

    async def when(self, fine: Callable[[Tree], Any]) -> Tree:
        async def look() -> Tree | None:
            found = await self.jobs.get("it")
            return found if fine(found["status"]) else None

        found: Tree = await self.w.wait(look, 900)
        return found

    async def ends(self, condition: str) -> Tree:
        """Wait until the job has ended so, and nothing of it is left to be done."""
        found = await self.when(lambda s: condition in conditions({"status": s}))
        status = found["status"]
        assert conditions(found)[condition] == "True"
        assert not status.get("active")
        assert status["ready"] == status["terminating"] == 0
        assert status["uncountedTerminatedPods"] == {}
        assert not any(TRACKING in p["metadata"].get("finalizers", ()) for p in await self.all())
        return found

    async def all(self) -> list[Tree]:
        return await self.pods.items()

    async def phases(self) -> list[str]:
        return sorted(pod["status"]["phase"] for pod in await self.all())


def reason(tree: Tree, kind: str) -> str:
    (found,) = [c["reason"] for c in tree["status"]["conditions"] if c["type"] == kind]
    return str(found)


async def jobs(w: World, tree: Tree) -> Jobs:
    found = Jobs(w, await w.namespace())
    await found.jobs.create(tree)
    return found


@conforms(
    "[sig-apps] Job should run a job to completion when tasks sometimes fail and are locally"
    " restarted [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_run_to_completion(w: World) -> None:
    j = await jobs(w, job("exit:0", 4, 2, restartPolicy="OnFailure"))
    found = await j.ends("Complete")
    assert found["status"]["succeeded"] == 4
    assert "failed" not in found["status"]
    assert found["status"]["completionTime"]
    assert reason(found, "SuccessCriteriaMet") == "CompletionsReached"
    assert await j.phases() == ["Succeeded"] * 4


@conforms(
    "[sig-apps] Job should create pods for an Indexed job with completion indexes and specified"
    " hostname [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_indexes(w: World) -> None:
    j = await jobs(w, job("exit:0", 4, 2, completionMode="Indexed"))
    found = await j.ends("Complete")
    assert found["status"]["completedIndexes"] == "0-3"
    assert found["status"]["succeeded"] == 4
    pods = sorted(await j.all(), key=lambda pod: pod["metadata"]["annotations"][INDEX])
    for index, pod in enumerate(pods):
        assert pod["metadata"]["annotations"][INDEX] == str(index)
        assert pod["metadata"]["labels"][INDEX] == str(index)
        assert pod["spec"]["hostname"] == f"it-{index}"
        assert pod["metadata"]["name"].startswith(f"it-{index}-")
        (env,) = pod["spec"]["containers"][0]["env"]
        assert env["name"] == "JOB_COMPLETION_INDEX"
        field = env["valueFrom"]["fieldRef"]["fieldPath"]
        assert field == f"metadata.labels['{INDEX}']"


@conforms(
    "[sig-apps] Job should allow to use the pod failure policy on exit code to fail the job early"
    " [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_an_exit_code_fails_the_job(w: World) -> None:
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1]}}
    j = await jobs(
        w, job("exit:1-0", 4, 2, completionMode="Indexed", backoffLimit=4,
               podFailurePolicy={"rules": [rule]})
    )  # fmt: skip
    found = await j.ends("Failed")
    assert reason(found, "Failed") == reason(found, "FailureTarget") == "PodFailurePolicy"
    (told,) = [c["message"] for c in found["status"]["conditions"] if c["type"] == "Failed"]
    assert "failed with exit code 1 matching FailJob rule at index 0" in told
    assert found["status"]["failed"] >= 1


@conforms(
    "[sig-apps] Job should allow to use a pod failure policy to ignore failure matching on"
    " DisruptionTarget condition [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_disruptions_do_not_count(w: World) -> None:
    rule = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    j = await jobs(
        w, job("stays", 3, 3, completionMode="Indexed", backoffLimit=0,
               podFailurePolicy={"rules": [rule]})
    )  # fmt: skip
    await j.when(lambda s: s.get("ready") == 3)
    for pod in await j.all():
        disrupted = {
            "phase": "Failed",
            "conditions": [{"type": "DisruptionTarget", "status": "True"}],
        }
        name = pod["metadata"]["name"]
        await j.pods.patch(name, {"status": disrupted}, STRATEGIC, subresource="status")
    await w.settle(30)
    again = [pod for pod in await j.all() if pod["status"]["phase"] == "Running"]
    assert len(again) == 3
    for pod in again:
        done = {"status": {"phase": "Succeeded"}}
        await j.pods.patch(pod["metadata"]["name"], done, STRATEGIC, subresource="status")
    found = await j.ends("Complete")
    assert "failed" not in found["status"]


@conforms(
    "[sig-apps] Job should execute all indexes despite some failing when using"
    " backoffLimitPerIndex [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_each_index_may_fail(w: World) -> None:
    j = await jobs(
        w, job("exit:1-1.3", 4, 2, completionMode="Indexed", backoffLimitPerIndex=1)
    )  # fmt: skip
    found = await j.ends("Failed")
    assert reason(found, "Failed") == "FailedIndexes"
    status = found["status"]
    assert (status["completedIndexes"], status["failedIndexes"]) == ("0,2", "1,3")
    assert (status["succeeded"], status["failed"]) == (2, 4)
    counts = {p["metadata"]["annotations"]["batch.kubernetes.io/job-index-failure-count"]
              for p in await j.all()}  # fmt: skip
    assert counts == {"0", "1"}


@conforms(
    "[sig-apps] Job should terminate job execution when the number of failed indexes exceeds"
    " maxFailedIndexes [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_too_many_indexes_fail(w: World) -> None:
    j = await jobs(
        w, job("exit:1", 10, 2, completionMode="Indexed", backoffLimitPerIndex=0,
               maxFailedIndexes=4)
    )  # fmt: skip
    found = await j.ends("Failed")
    assert reason(found, "Failed") == "MaxFailedIndexesExceeded"
    assert found["status"]["failed"] >= 5
    assert "completedIndexes" not in found["status"]


@conforms(
    "[sig-apps] Job should mark indexes as failed when the FailIndex action is matched in"
    " podFailurePolicy [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_an_exit_code_fails_the_index(w: World) -> None:
    rule = {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [1]}}
    j = await jobs(
        w, job("exit:1-1.3", 4, 2, completionMode="Indexed", backoffLimitPerIndex=1,
               podFailurePolicy={"rules": [rule]})
    )  # fmt: skip
    status = (await j.ends("Failed"))["status"]
    assert (status["completedIndexes"], status["failedIndexes"]) == ("0,2", "1,3")
    assert (status["succeeded"], status["failed"]) == (2, 2)


async def succeeds_early(w: World, image: str, rule: Tree) -> Tree:
    j = await jobs(
        w, job(image, 5, 5, completionMode="Indexed", successPolicy={"rules": [rule]})
    )  # fmt: skip
    found = await j.ends("Complete")
    assert reason(found, "SuccessCriteriaMet") == reason(found, "Complete") == "SuccessPolicy"
    return found


@conforms(
    "[sig-apps] Job with successPolicy should succeeded when all indexes succeeded [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_all_of_a_success_policy(w: World) -> None:
    found = await succeeds_early(w, "exit:0", {"succeededIndexes": "0-4"})
    assert found["status"]["completedIndexes"] == "0-4"


@conforms(
    "[sig-apps] Job with successPolicy succeededIndexes rule should succeeded even when some"
    " indexes remain pending [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_chosen_indexes_are_enough(w: World) -> None:
    found = await succeeds_early(w, "only:0", {"succeededIndexes": "0"})
    assert found["status"]["completedIndexes"] == "0"
    assert found["status"]["succeeded"] == 1


@conforms(
    "[sig-apps] Job with successPolicy succeededCount rule should succeeded even when some indexes"
    " remain pending [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_so_many_indexes_are_enough(w: World) -> None:
    found = await succeeds_early(w, "only:1", {"succeededCount": 1})
    assert found["status"]["completedIndexes"] == "1"


@conforms("[sig-apps] Job should delete a job [Conformance]")
@world(nodes=2, scheduler=True)
async def test_a_job_is_deleted(w: World) -> None:
    j = await jobs(w, job("stays"))
    await j.when(lambda s: s.get("active") == 2)
    await j.jobs.delete("it", {"propagationPolicy": "Foreground"})
    await w.wait(lambda: j.jobs.missing("it"))

    async def gone() -> bool:
        return not await j.all()

    await w.wait(gone)


@conforms(
    "[sig-apps] Job should adopt matching orphans and release non-matching pods [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_adopt_and_release(w: World) -> None:
    j = await jobs(w, job("stays"))
    found = await j.when(lambda s: s.get("ready") == 2)
    name = (await j.pods.names())[0]

    async def owned() -> bool:
        return bool((await j.pods.get(name))["metadata"].get("ownerReferences"))

    await j.pods.patch(name, {"metadata": {"ownerReferences": None}}, MERGE)
    await w.wait(owned)
    pod = await j.pods.get(name)
    assert pod["metadata"]["ownerReferences"][0]["uid"] == found["metadata"]["uid"]
    assert TRACKING in pod["metadata"]["finalizers"]

    async def released() -> bool:
        metadata = (await j.pods.get(name))["metadata"]
        return "ownerReferences" not in metadata and "finalizers" not in metadata

    await j.pods.patch(name, {"metadata": {"labels": None}}, MERGE)
    await w.wait(released)
    await j.when(lambda s: s.get("ready") == 2)
    assert len(await j.pods.names()) == 3


@conforms("[sig-apps] Job should apply changes to a job status [Conformance]")
@world(nodes=2, scheduler=True)
async def test_the_status_of_a_job(w: World) -> None:
    j = await jobs(w, job("stays"))
    await j.when(lambda s: s.get("ready") == 2)
    change = {"metadata": {"annotations": {"patchedstatus": "true"}},
              "status": {"startTime": "2026-01-01T00:00:00Z"}}  # fmt: skip
    patched = await j.jobs.patch("it", change, MERGE, subresource="status")
    assert patched["metadata"]["annotations"]["patchedstatus"] == "true"
    assert patched["status"]["startTime"] == "2026-01-01T00:00:00Z"
    found = await j.jobs.get("it", subresource="status")
    found["status"]["startTime"] = "2026-01-02T00:00:00Z"
    updated = await j.jobs.update(found, subresource="status")
    assert updated["status"]["startTime"] == "2026-01-02T00:00:00Z"
    assert (await j.jobs.get("it", subresource="status"))["status"]["active"] == 2


@conforms("[sig-apps] Job should manage the lifecycle of a job [Conformance]")
@world(nodes=2, scheduler=True)
async def test_jobs_live(w: World) -> None:
    j = await jobs(w, job("exit:0", suspend=True))
    found = await j.when(lambda s: conditions({"status": s}).get("Suspended") == "True")
    assert "startTime" not in found["status"]
    assert await j.all() == []
    patched = await j.jobs.patch("it", {"metadata": {"labels": {"it": "patched"}}}, STRATEGIC)
    assert patched["metadata"]["labels"]["it"] == "patched"
    found = await j.jobs.get("it")
    found["spec"]["suspend"] = False
    found["metadata"]["annotations"] = {"updated": "true"}
    updated = await j.jobs.update(found)
    assert updated["metadata"]["annotations"]["updated"] == "true"
    found = await j.ends("Complete")
    assert conditions(found)["Suspended"] == "False"
    assert found["status"]["startTime"]
    (listed,) = await j.jobs.items("it=patched", everywhere=True)
    assert listed["metadata"]["name"] == "it"
    await j.jobs.delete_collection("it=patched")
    await w.wait(lambda: j.jobs.missing("it"))


@world(nodes=2, scheduler=True)
async def test_failures_are_paid_for(w: World) -> None:
    j = await jobs(w, job("exit:1", 1, 1, backoffLimit=2))
    found = await j.ends("Failed")
    assert reason(found, "Failed") == "BackoffLimitExceeded"
    assert found["status"]["failed"] == 3
    assert "completionTime" not in found["status"]


@world(nodes=2, scheduler=True)
async def test_time_runs_out(w: World) -> None:
    j = await jobs(w, job("stays", activeDeadlineSeconds=60))
    await j.when(lambda s: s.get("ready") == 2)
    await w.settle(30)
    assert conditions(await j.jobs.get("it")) == {}
    found = await j.ends("Failed")
    assert reason(found, "Failed") == "DeadlineExceeded"


@world(nodes=2, scheduler=True)
async def test_suspend_and_resume(w: World) -> None:
    j = await jobs(w, job("stays"))
    await j.when(lambda s: s.get("ready") == 2)
    await j.jobs.patch("it", {"spec": {"suspend": True}}, MERGE)
    found = await j.when(lambda s: not s.get("active") and not s.get("terminating"))
    assert conditions(found) == {"Suspended": "True"}
    await j.jobs.patch("it", {"spec": {"suspend": False}}, MERGE)
    found = await j.when(lambda s: s.get("ready") == 2)
    assert "failed" not in found["status"]
    await j.jobs.patch("it", {"spec": {"parallelism": 1}}, MERGE)
    found = await j.when(lambda s: s.get("active") == 1 and not s.get("terminating"))
    assert "failed" not in found["status"]
