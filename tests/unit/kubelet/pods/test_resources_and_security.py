"""Quality of service, security contexts, admission, and their translation for the runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.kubelet.making import pod

from kybern.kubelet.pods import qos, security
from kybern.kubelet.pods.admission import admit, requests
from kybern.kubelet.pods.environment import ConfigProblem
from kybern.kubelet.pods.security import ImageUser
from kybern.kubelet.pods.specs import Role, Wanted, find
from kybern.kubelet.runtime import translate
from kybern.kubelet.runtime.messages import container as c
from kybern.kubelet.runtime.messages import sandbox as s

GIB = 1 << 30


def res(requests: Any = None, limits: Any = None, **more: Any) -> dict[str, Any]:
    resources = {"requests": requests or {}, "limits": limits or {}}
    return {"name": "main", "image": "x", "resources": resources, **more}


BOTH = {"cpu": "1", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        ([res()], "BestEffort"),
        ([res({"cpu": "1"})], "Burstable"),
        ([res(BOTH, BOTH)], "Guaranteed"),
        ([res({"cpu": "500m", "memory": "1Gi"}, BOTH)], "Burstable"),
        ([res(BOTH, BOTH), {"name": "b"}], "Burstable"),
    ],
)
def test_qos_classes(containers: Any, expected: str) -> None:
    assert qos.qos_class(pod(containers)) == expected


def test_the_server_has_the_last_word_on_the_class() -> None:
    assert qos.qos_class(pod(status={"qosClass": "Guaranteed"})) == "Guaranteed"


def test_cpu_in_kernel_terms() -> None:
    assert [qos.shares(m) for m in (0, 1, 100, 1000, 10**9)] == [2, 2, 102, 1024, 262144]
    assert [qos.quota(m) for m in (0, 1, 500, 2000)] == [0, 1000, 50_000, 200_000]
    assert [qos.weight(x) for x in (2, 1024, 262144)] == [1, 39, 10000]


@pytest.mark.parametrize(
    ("container", "score"),
    [
        (res(BOTH, BOTH), -997),
        (res(), 1000),
        (res({"memory": "1Gi"}), 750),
        (res({"cpu": "1"}), 999),
        (res({"memory": "40Gi"}), 3),
    ],
)
def test_who_dies_first_when_memory_runs_out(container: Any, score: int) -> None:
    the_pod = pod([container])
    assert qos.oom_score_adj(the_pod, the_pod.spec.containers[0], 4 * GIB) == score


def test_critical_pods_die_last() -> None:
    the_pod = pod(priority=2_000_001_000)
    assert qos.oom_score_adj(the_pod, the_pod.spec.containers[0], GIB) == -997


def test_limits_of_a_whole_pod() -> None:
    init = [{"name": "i", "image": "x", "resources": {"requests": {"cpu": "3"}}}]
    side = {"name": "s", "image": "x", "restartPolicy": "Always"}
    side["resources"] = {"requests": {"cpu": "1"}}
    limits = qos.pod_limits(pod([res({"cpu": "1"}, BOTH)], initContainers=[side, *init]))
    assert limits == qos.PodLimits(4096, 0, 0)
    assert qos.pod_limits(pod([res({"cpu": "1"}, BOTH)])) == qos.PodLimits(1024, 100_000, GIB)
    overhead = {"cpu": "500m", "memory": "1Gi"}
    assert qos.pod_limits(pod([res(BOTH, BOTH)], overhead=overhead)) == qos.PodLimits(
        1536, 150_000, 2 * GIB
    )


def context(container: Any = None, user: ImageUser | None = None, **outer: Any) -> Any:
    the_pod = pod([{"name": "main", "securityContext": container or {}}], securityContext=outer)
    wanted = find(the_pod, "main")
    assert wanted is not None
    return security.container_security(the_pod, wanted, user or ImageUser())


def test_users_and_groups() -> None:
    assert context(runAsUser=1, runAsGroup=2).run_as_user == s.Int64Value(1)
    assert context({"runAsUser": 0}, runAsUser=1).run_as_user == s.Int64Value(0)
    assert context(user=ImageUser(uid=7)).run_as_user == s.Int64Value(7)
    assert context(user=ImageUser(name="nobody")).run_as_username == "nobody"
    assert context(runAsGroup=2).run_as_user == s.Int64Value(0)
    assert context(fsGroup=5, supplementalGroups=[3]).supplemental_groups == [3, 5]


@pytest.mark.parametrize(
    ("container", "user", "message"),
    [
        ({"runAsUser": 0}, ImageUser(), "container's runAsUser breaks non-root policy"),
        ({}, ImageUser(), "container has runAsNonRoot and image will run as root"),
        ({}, ImageUser(uid=0), "container has runAsNonRoot and image will run as root"),
        ({}, ImageUser(name="www"), "container has runAsNonRoot and image has non-numeric user"),
    ],
)
def test_root_is_refused_where_it_is_unwanted(container: Any, user: Any, message: str) -> None:
    with pytest.raises(ConfigProblem) as problem:
        context(container, user, runAsNonRoot=True)
    assert str(problem.value).startswith(message)
    assert str(problem.value).endswith('(pod: "web_shop(u-1)", container: main)')


def test_others_than_root_are_welcome() -> None:
    context({"runAsUser": 5}, runAsNonRoot=True)
    context({}, ImageUser(uid=5), runAsNonRoot=True)
    context({"runAsNonRoot": False}, ImageUser(), runAsNonRoot=True)


def test_privileges() -> None:
    plain = context()
    assert plain.seccomp == s.SecurityProfile(int(s.ProfileType.UNCONFINED))
    assert "/proc/kcore" in plain.masked_paths
    assert not plain.no_new_privs
    tight = context(
        {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
        },
        seccompProfile={"type": "RuntimeDefault"},
    )
    assert (tight.no_new_privs, tight.readonly_rootfs) == (True, True)
    assert tight.capabilities == c.Capability(["NET_ADMIN"], ["ALL"])
    assert tight.seccomp == s.SecurityProfile(int(s.ProfileType.RUNTIME_DEFAULT))
    assert context({"procMount": "Unmasked"}).masked_paths == []
    assert context({"privileged": True}).privileged


def test_namespaces() -> None:
    def modes(**spec: Any) -> tuple[int, int, int]:
        found = security.namespaces(pod(**spec))
        return found.network, found.pid, found.ipc

    assert modes() == (0, 1, 0)
    assert modes(hostNetwork=True, hostPID=True, hostIPC=True) == (2, 2, 2)
    assert modes(shareProcessNamespace=True) == (0, 0, 0)
    debug = Wanted(pod().spec.containers[0], Role.EPHEMERAL)
    found = security.namespaces(pod(), debug, "c1")
    assert (found.pid, found.target_id) == (3, "c1")


def test_a_sandbox_in_the_runtimes_words() -> None:
    ports = [{"containerPort": 53, "hostPort": 5353, "protocol": "UDP"}, {"containerPort": 80}]
    the_pod = pod(
        [{"name": "main", "ports": ports, "securityContext": {"privileged": True}}],
        labels={"app": "x"},
        securityContext={"sysctls": [{"name": "net.a", "value": "1"}], "runAsUser": 5},
    )
    parts = translate.SandboxParts("web", Path("/logs"), "/kubepods/x", s.DNSConfig(["1.1.1.1"]), 2)
    config = translate.sandbox_config(the_pod, parts)
    assert config.metadata == s.PodSandboxMetadata("web", "u-1", "shop", 2)
    assert config.log_directory == "/logs/shop_web_u-1"
    assert config.port_mappings == [s.PortMapping(1, 53, 5353, "")]
    assert config.labels["app"] == "x"
    assert config.labels["io.kubernetes.pod.uid"] == "u-1"
    assert config.linux is not None
    assert config.linux.sysctls == {"net.a": "1"}
    assert config.linux.security_context is not None
    assert config.linux.security_context.privileged


def test_a_container_in_the_runtimes_words() -> None:
    container = res(
        {"cpu": "100m"}, {"cpu": "500m", "memory": "64Mi", "hugepages-2Mi": "4Mi"},
        command=["run", "$(A)"], args=["$$(A)"], workingDir="/w", tty=True,
        terminationMessagePath="/dev/log",
    )  # fmt: skip
    the_pod = pod([container], terminationGracePeriodSeconds=9)
    wanted = find(the_pod, "main")
    assert wanted is not None
    parts = translate.ContainerParts("sha256:1", 3, {"A": "1"}, [c.Mount("/x", "/y")])
    config = translate.container_config(the_pod, wanted, parts, translate.NodeFacts(4 * GIB, 1))
    assert config.metadata == c.ContainerMetadata("main", 3)
    assert (config.command, config.args) == (["run", "1"], ["$(A)"])
    assert config.log_path == "main/3.log"
    assert config.image is not None
    assert (config.image.image, config.image.user_specified_image) == ("sha256:1", "x")
    assert config.annotations["io.kubernetes.container.restartCount"] == "3"
    assert config.annotations["io.kubernetes.pod.terminationGracePeriod"] == "9"
    assert config.linux is not None
    resources = config.linux.resources
    assert resources is not None
    assert (resources.cpu_shares, resources.cpu_quota, resources.cpu_period) == (
        102, 50_000, 100_000,
    )  # fmt: skip
    assert resources.memory_limit_in_bytes == 64 << 20
    assert resources.hugepage_limits == [s.HugepageLimit("2MB", 4 << 20)]
    assert resources.unified == {}


def test_on_cgroup_v2_a_container_dies_whole() -> None:
    the_pod = pod([res({}, {"memory": "64Mi"})])
    facts = translate.NodeFacts(GIB, 2)
    found = translate.container_resources(the_pod, the_pod.spec.containers[0], facts)
    assert found.unified == {"memory.oom.group": "1"}
    assert found.memory_swap_limit_in_bytes == 64 << 20


ROOM = {"cpu": "2", "memory": "4Gi", "pods": "3"}


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({}, None),
        ({"containers": [res({"cpu": "2"})]}, None),
        ({"containers": [res({"cpu": "2001m"})]}, "OutOfcpu"),
        ({"containers": [res({"example.com/gpu": "1"})]}, "OutOfexample.com/gpu"),
        ({"nodeSelector": {"disk": "ssd"}}, None),
        ({"nodeSelector": {"disk": "hdd"}}, "NodeAffinity"),
        ({"securityContext": {"sysctls": [{"name": "kernel.x", "value": "1"}]}}, "SysctlForbidden"),
        (
            {"containers": [{"name": "m", "ports": [{"containerPort": 1, "hostPort": 80}]}]},
            "NodePorts",
        ),
    ],
)
def test_admission(spec: dict[str, Any], reason: str | None) -> None:
    port = {"containerPort": 1, "hostPort": 80}
    other = pod([{"name": "o", "ports": [port]}], name="other")
    over = pod([res({"cpu": "2"})], name="over", status={"phase": "Succeeded"})
    containers = spec.pop("containers", None)
    refused = admit(pod(containers, **spec), [other, over], ROOM, {"disk": "ssd"})
    assert (refused.reason if refused else None) == reason


def test_too_many_pods() -> None:
    refused = admit(pod(), [pod(name=f"p{n}") for n in range(3)], ROOM, {})
    assert refused is not None
    assert refused.message == (
        "Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3"
    )


def test_requests_count_what_runs_at_the_same_time() -> None:
    side = {**res({"cpu": "1"}), "name": "s", "restartPolicy": "Always"}
    init = {**res({"cpu": "2"}), "name": "i"}
    assert requests(pod([res({"cpu": "1"})], initContainers=[side, init])) == {"cpu": 3000}
    assert requests(pod([res({"cpu": "3"})], initContainers=[side, init])) == {"cpu": 4000}
