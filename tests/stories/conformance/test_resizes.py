"""Containers that get more or less of the node while they run.

What a container has is read where it counts: in its cgroup.
"""

import json
import os
import signal
from pathlib import Path

from tests.conformance.marks import conforms
from tests.stories.conformance.pods import create, shell, start
from tests.stories.conftest import eventually

SLEEP = "exec sleep 3600"
CGROUPS = Path("/sys/fs/cgroup")


def size(cpu="", memory="", cpu_limit="", memory_limit=""):
    requests = {"cpu": cpu, "memory": memory}
    limits = {"cpu": cpu_limit, "memory": memory_limit}
    found = {"requests": requests, "limits": limits}
    return {
        kind: kept
        for kind, amounts in found.items()
        if (kept := {name: amount for name, amount in amounts.items() if amount})
    }


def equal(cpu, memory):
    return size(cpu, memory, cpu, memory)


def containers(sizes, **more):
    return [shell(name, SLEEP, resources=each, **more) for name, each in sizes.items()]


def patch(k, name, sizes):
    listed = [{"name": c, "resources": each} for c, each in sizes.items()]
    body = json.dumps({"spec": {"containers": listed}})
    k("patch", "pod", name, "--subresource", "resize", "--patch", body)


def in_force(k, name, sizes):
    """Wait until the kubelet reports these sizes, and nothing to be done; return the pod."""

    def done():
        pod = k.get("pod", name)
        found = {s["name"]: s.get("resources", {}) for s in pod["status"]["containerStatuses"]}
        given = {s["name"]: s.get("allocatedResources") for s in pod["status"]["containerStatuses"]}
        passing = [c for c in pod["status"]["conditions"] if c["type"].startswith("PodResize")]
        assert given == {c: each.get("requests") for c, each in sizes.items()}
        return pod if found == sizes and not passing else None

    return eventually(done)


def has(k, name, container):
    """Return what a container's cgroup says of CPU and memory, as the node sees it."""
    statuses = k.get("pod", name)["status"]["containerStatuses"]
    [identity] = [c["containerID"].rpartition("/")[2] for c in statuses if c["name"] == container]
    if (CGROUPS / "cgroup.controllers").exists():
        quota, memory = (read("", identity, f"{kind}.max") for kind in ("cpu", "memory"))
        return quota.split()[0], memory
    return read("cpu", identity, "cpu.cfs_quota_us"), read(
        "memory", identity, "memory.limit_in_bytes"
    )


def read(hierarchy, identity, name):
    [file] = (CGROUPS / hierarchy).glob(f"kubepods*/**/{identity}/{name}")
    return file.read_text().strip()


def there_and_back(k, before, *afters):
    """Resize a pod to each of these sizes and back, all pods at the same time."""
    names = [create(k, containers(before)) for _ in afters]
    k("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    for turn in (afters, [before] * len(afters)):
        for name, sizes in zip(names, turn, strict=True):
            patch(k, name, sizes)
        for name, sizes in zip(names, turn, strict=True):
            pod = in_force(k, name, sizes)
            restarts = [c["restartCount"] for c in pod["status"]["containerStatuses"]]
            assert restarts == [0] * len(sizes)
            check(k, name, sizes)
    return names


def check(k, name, sizes):
    """Look at the cgroups of containers that have limits."""
    for container, each in sizes.items():
        limits = each["limits"]
        quota, memory = has(k, name, container)
        assert quota == str(max(1000, int(limits["cpu"].rstrip("m")) * 100))
        assert memory == str(int(limits["memory"].rstrip("Mi")) << 20)


GUARANTEED = {"c1": equal("20m", "35Mi"), "c2": equal("22m", "37Mi"), "c3": equal("24m", "39Mi")}


@conforms(
    "[sig-node] Pod InPlace Resize Container guaranteed pods with multiple containers 3 containers - increase cpu & mem on c1, c2, decrease cpu & mem on c3 - net increase [MinimumKubeletVersion:1.34] [Conformance]",
    "[sig-node] Pod InPlace Resize Container guaranteed pods with multiple containers 3 containers - increase cpu & mem on c1, decrease cpu & mem on c2, c3 - net decrease [MinimumKubeletVersion:1.34] [Conformance]",
    "[sig-node] Pod InPlace Resize Container guaranteed pods with multiple containers 3 containers - increase: CPU (c1,c3), memory (c2, c3) ; decrease: CPU (c2) [MinimumKubeletVersion:1.34] [Conformance]",
)
def test_guaranteed_pods(k):
    names = there_and_back(
        k,
        GUARANTEED,
        {"c1": equal("25m", "40Mi"), "c2": equal("27m", "42Mi"), "c3": equal("19m", "34Mi")},
        {"c1": equal("25m", "40Mi"), "c2": equal("17m", "32Mi"), "c3": equal("19m", "34Mi")},
        {"c1": equal("25m", "35Mi"), "c2": equal("17m", "42Mi"), "c3": equal("29m", "44Mi")},
    )
    for name in names:
        pod = k.get("pod", name)
        assert pod["status"]["qosClass"] == "Guaranteed"
        assert pod["metadata"]["generation"] == 3


@conforms(
    "[sig-node] Pod InPlace Resize Container burstable pods - extended 6 containers - various operations performed (including adding limits and requests) [MinimumKubeletVersion:1.34] [Conformance]",
)
def test_limits_and_requests_are_added(k):
    before = {"c1": size("20m"), "c2": size("", "35Mi"), "c3": size("20m", "35Mi"),
              "c4": size("20m"), "c5": size("", "35Mi")}  # fmt: skip
    after = {"c1": size("25m", "", "35m"), "c2": size("", "30Mi", "", "50Mi"),
             "c3": size("20m", "30Mi"), "c4": size("15m", "35Mi"),
             "c5": size("20m", "40Mi")}  # fmt: skip
    name = start(k, containers(before))
    patch(k, name, after)
    pod = in_force(k, name, after)
    assert [c["restartCount"] for c in pod["status"]["containerStatuses"]] == [0] * 5
    assert has(k, name, "c1")[0] == "3500"
    assert has(k, name, "c2")[1] == str(50 << 20)


@conforms(
    "[sig-node] Pod InPlace Resize Container burstable pods - extended resize with equivalents [MinimumKubeletVersion:1.34] [Conformance]",
)
def test_what_is_the_same_to_the_kernel_is_shown_as_it_was_asked_for(k):
    before, after = {"c1": size("2m", "", "10m")}, {"c1": size("1m", "", "5m")}
    name = start(k, containers(before))
    for sizes in (after, before):
        patch(k, name, sizes)
        pod = in_force(k, name, sizes)
        assert pod["status"]["containerStatuses"][0]["restartCount"] == 0


@conforms(
    "[sig-node] Pod InPlace Resize Container resize pod via the replace endpoint [MinimumKubeletVersion:1.34] [Conformance]",
)
def test_a_pod_is_resized_by_replacing_it(k):
    name = start(k, containers({"c1": size("20m", "35Mi")}))
    pod = k.get("pod", name)
    assert pod["metadata"]["generation"] == 1
    more = size("25m", "40Mi")
    pod["spec"]["containers"][0]["resources"] = more
    k("replace", "--subresource", "resize", "-f", "-", stdin=json.dumps(pod))
    pod = in_force(k, name, {"c1": more})
    assert pod["spec"]["containers"][0]["resources"] == more
    assert pod["metadata"]["generation"] == 2
    assert k.get("pod", name, "--subresource", "resize") == k.get("pod", name)


def test_what_cannot_be_is_said(k):
    """Too large for the node; another class; and a container that has to be started again."""
    policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    name = start(k, containers({"c1": size("20m", "35Mi", "", "35Mi")}, resizePolicy=policy))
    patch(k, name, {"c1": size("20000", "35Mi", "", "35Mi")})

    def pending():
        found = k.get("pod", name)["status"]["conditions"]
        return [c for c in found if c["type"] == "PodResizePending"]

    [condition] = eventually(pending)
    assert condition["reason"] == "Infeasible"
    message = "Node didn't have enough capacity: cpu, requested: 20000000, capacity: "
    assert condition["message"].startswith(message)
    refused = k(
        "patch", "pod", name, "--subresource", "resize", "--patch",
        '{"spec":{"containers":[{"name":"c1","resources":{"requests":{"cpu":null}}}]}}',
        check=False,
    )  # fmt: skip
    assert "resource requests cannot be removed" in refused.stderr
    more = {"c1": size("20m", "40Mi", "", "45Mi")}
    patch(k, name, more)
    pod = in_force(k, name, more)
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 1
    assert has(k, name, "c1")[1] == str(45 << 20)
    events = [e["reason"] for e in k.get("events")["items"] if "Resize" in e["reason"]]
    assert sorted(events) == ["ResizeCompleted", "ResizeInfeasible", "ResizeStarted"]


def test_a_resize_outlives_the_kubelet(cluster, k):
    """What was asked for while there was no kubelet is done by the next one."""
    name = create(k, containers({"c1": equal("20m", "35Mi")}))
    k("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
    os.kill(cluster.pid("node"), signal.SIGKILL)
    more = {"c1": equal("25m", "40Mi")}
    patch(k, name, more)
    pod = in_force(k, name, more)
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    assert has(k, name, "c1")[1] == str(40 << 20)
