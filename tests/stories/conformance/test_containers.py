"""The life of containers: as whom they run, what they may, how they start and how they end."""

import re
import time

import pytest

from tests.conformance.marks import conforms
from tests.stories.conformance.pods import create, ended, run, shell, start, status, steady
from tests.stories.conftest import IMAGE, eventually
from tests.stories.netserver import NODE, PORT, speaking


@conforms(
    "[sig-node] Security Context When creating a container with runAsUser should run the container with uid 65534 [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-node] Security Context should support container.SecurityContext.RunAsUser And container.SecurityContext.RunAsGroup [LinuxOnly] [Conformance]",
    "[sig-node] Security Context when creating containers with AllowPrivilegeEscalation should not allow privilege escalation when false [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-node] Security Context When creating a pod with readOnlyRootFilesystem should run the container with writable rootfs when readOnlyRootFilesystem=false [NodeConformance] [Conformance]",
    "[sig-node] Security Context When creating a pod with privileged should run the container as unprivileged when false [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-node] Kubelet when scheduling a read only busybox container should not write to root filesystem [LinuxOnly] [NodeConformance] [Conformance]",
)
def test_as_whom_and_with_which_rights(k):
    said = run(
        k,
        [
            shell("nobody", "id -u", securityContext={"runAsUser": 65534}),
            shell("both", "id", securityContext={"runAsUser": 1001, "runAsGroup": 2002}),
            shell("lesser", "id -u; grep NoNewPrivs /proc/self/status",
                  securityContext={"runAsUser": 1000, "allowPrivilegeEscalation": False}),
            shell("writable", "echo checking >/file; cat /file",
                  securityContext={"readOnlyRootFilesystem": False}),
            shell("read-only", "echo test >/file; sleep 0",
                  securityContext={"readOnlyRootFilesystem": True}),
            shell("plain", "ip link add dummy0 type dummy || true",
                  securityContext={"privileged": False}),
        ],
    )  # fmt: skip
    assert said["nobody"] == "65534\n"
    assert said["both"].startswith("uid=1001 gid=2002 groups=2002")
    assert said["lesser"].split() == ["1000", "NoNewPrivs:", "1"]
    assert said["writable"] == "checking\n"
    assert "Read-only file system" in said["read-only"]
    assert "Operation not permitted" in said["plain"]


@conforms(
    "[sig-node] Security Context should support pod.Spec.SecurityContext.RunAsUser And pod.Spec.SecurityContext.RunAsGroup [LinuxOnly] [Conformance]",
    "[sig-node] Sysctls [LinuxOnly] [NodeConformance] should support sysctls [Environment:NotInUserNS] [Conformance]",
    "[sig-node] Kubelet when scheduling an agnhost Pod with hostAliases should write entries to /etc/hosts [NodeConformance] [Conformance]",
    "[sig-node] Pods should get a host IP [NodeConformance] [Conformance]",
)
def test_what_the_pod_says_for_all_its_containers(k):
    context = {
        "runAsUser": 1001, "runAsGroup": 2002,
        "sysctls": [{"name": "kernel.shm_rmid_forced", "value": "1"}],
    }  # fmt: skip
    aliases = [{"ip": "123.45.67.89", "hostnames": ["foo", "bar"]}]
    script = "id -u; id -g; cat /proc/sys/kernel/shm_rmid_forced; cat /etc/hosts"
    said = run(k, [shell("c", script)], name="p", securityContext=context, hostAliases=aliases)
    lines = said["c"].splitlines()
    assert lines[:3] == ["1001", "2002", "1"]
    assert "123.45.67.89\tfoo\tbar" in lines
    address = k.get("nodes")["items"][0]["status"]["addresses"][0]["address"]
    assert k.get("pod", "p")["status"]["hostIP"] == address


MANAGED = "# Kubernetes-managed hosts file."  # the full stop tells it from that of the host


@conforms(
    "[sig-node] KubeletManagedEtcHosts should test kubelet managed /etc/hosts file [NodeConformance] [Conformance]",
)
def test_whose_the_hosts_file_is(k):
    mounts = [{"name": "hosts", "mountPath": "/etc/hosts"}]
    said = run(
        k,
        [
            shell("managed", "cat /etc/hosts"),
            shell("mounted", "cat /etc/hosts", volumeMounts=mounts),
        ],
        volumes=[{"name": "hosts", "hostPath": {"path": "/etc/hosts", "type": "File"}}],
    )
    assert said["managed"].startswith(MANAGED)
    assert MANAGED not in said["mounted"]
    said = run(k, [shell("c", "cat /etc/hosts")], hostNetwork=True)
    assert MANAGED not in said["c"]


@conforms(
    "[sig-node] Kubelet when scheduling a busybox command in a pod should print the output to logs [NodeConformance] [Conformance]",
    "[sig-node] Kubelet when scheduling a busybox command that always fails in a pod should have an terminated reason [NodeConformance] [Conformance]",
    "[sig-node] Kubelet when scheduling a busybox command that always fails in a pod should be possible to delete [NodeConformance] [Conformance]",
)
def test_output_and_failure(k):
    # Two pipes, each read on its own: nothing promises an order between them.
    said = run(k, [shell("c", "echo out; echo err >&2")])["c"]
    assert sorted(said.split()) == ["err", "out"]
    pod = create(k, [{"name": "c", "image": IMAGE, "command": ["/bin/false"]}])

    def last():
        state = status(k, pod)
        return state["state"].get("terminated") or state.get("lastState", {}).get("terminated")

    found = eventually(last, 30)
    assert (found["exitCode"], found["reason"]) == (1, "Error")
    k("delete", "pod", pod, "--timeout=30s")


@conforms(
    "[sig-node] InitContainer [NodeConformance] should invoke init containers on a RestartNever pod [Conformance]",
    "[sig-node] InitContainer [NodeConformance] should not start app containers and fail the pod if init containers fail on a RestartNever pod [Conformance]",
)
def test_init_containers_of_a_pod_that_runs_once(k):
    run(k, [shell("run1", "true")], name="good",
        initContainers=[shell("init1", "true"), shell("init2", "true")])  # fmt: skip
    found = k.get("pod", "good")
    conditions = {c["type"]: c["status"] for c in found["status"]["conditions"]}
    assert conditions["Initialized"] == "True"
    for state in found["status"]["initContainerStatuses"]:
        assert state["ready"]
        assert state["state"]["terminated"]["exitCode"] == 0

    create(k, [shell("run1", "true")], name="bad", restartPolicy="Never",
           initContainers=[shell("init1", "true"), shell("init2", "false")])  # fmt: skip
    found = ended(k, "bad")
    assert found["status"]["phase"] == "Failed"
    conditions = {c["type"]: (c["status"], c.get("reason")) for c in found["status"]["conditions"]}
    assert conditions["Initialized"] == ("False", "ContainersNotInitialized")
    one, two = found["status"]["initContainerStatuses"]
    assert one["state"]["terminated"]["exitCode"] == 0
    assert two["state"]["terminated"]["exitCode"] == 1
    assert "waiting" in found["status"]["containerStatuses"][0]["state"]


@conforms(
    "[sig-node] InitContainer [NodeConformance] should invoke init containers on a RestartAlways pod [Conformance]",
    "[sig-node] InitContainer [NodeConformance] should not start app containers if init containers fail on a RestartAlways pod [Conformance]",
)
def test_init_containers_of_a_pod_that_goes_on(k):
    inits = [shell("init1", "true"), shell("init2", "true")]
    start(k, [shell("run1", "sleep 1000")], name="good", initContainers=inits)
    found = k.get("pod", "good")
    assert found["status"]["phase"] == "Running"
    assert all(s["ready"] for s in found["status"]["initContainerStatuses"])

    inits = [shell("init1", "false"), shell("init2", "true")]
    create(k, [shell("run1", "sleep 1000")], name="bad", initContainers=inits)

    def repeated():
        states = k.get("pod", "bad")["status"].get("initContainerStatuses", [])
        return states and states[0]["restartCount"] >= 3

    eventually(repeated, 90)
    found = k.get("pod", "bad")
    assert found["status"]["phase"] == "Pending"
    assert "waiting" in found["status"]["initContainerStatuses"][1]["state"]
    (state,) = found["status"]["containerStatuses"]
    assert state["state"]["waiting"]["reason"] == "PodInitializing"
    assert state["restartCount"] == 0
    conditions = {c["type"]: (c["status"], c.get("reason")) for c in found["status"]["conditions"]}
    assert conditions["Initialized"] == ("False", "ContainersNotInitialized")


@conforms(
    "[sig-node] Container Runtime blackbox test on terminated container should report termination message if TerminationMessagePath is set as non-root user and at a non-default path [NodeConformance] [Conformance]",
    "[sig-node] Container Runtime blackbox test on terminated container should report termination message from log output if TerminationMessagePolicy FallbackToLogsOnError is set [NodeConformance] [Conformance]",
    "[sig-node] Container Runtime blackbox test on terminated container should report termination message as empty when pod succeeds and TerminationMessagePolicy FallbackToLogsOnError is set [NodeConformance] [Conformance]",
    "[sig-node] Container Runtime blackbox test on terminated container should report termination message from file when pod succeeds and TerminationMessagePolicy FallbackToLogsOnError is set [NodeConformance] [Conformance]",
)
def test_last_words(k):
    fallback = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    pod = create(
        k,
        [
            shell("elsewhere", "echo -n DONE >/dev/termination-custom-log",
                  terminationMessagePath="/dev/termination-custom-log",
                  securityContext={"runAsUser": 1000}),
            shell("log", "echo -n DONE; exit 1", **fallback),
            shell("nothing", "echo -n DONE", **fallback),
            shell("file", "echo -n OK >/dev/termination-log; echo DONE", **fallback),
        ],
        restartPolicy="Never",
    )  # fmt: skip
    states = ended(k, pod)["status"]["containerStatuses"]
    said = {s["name"]: s["state"]["terminated"].get("message", "") for s in states}
    assert said == {"elsewhere": "DONE", "log": "DONE", "nothing": "", "file": "OK"}


@conforms(
    "[sig-node] Container Runtime blackbox test when starting a container that exits should run with the expected status [NodeConformance] [Conformance]",
)
def test_who_is_started_again(k):
    script = "n=$(cat /data/n 2>/dev/null || echo 0); echo $((n+1)) >/data/n; exit {}"
    mounts = [{"name": "data", "mountPath": "/data"}]
    pods = {
        policy: create(
            k, [shell("c", script.format(code), volumeMounts=mounts)], restartPolicy=policy,
            volumes=[{"name": "data", "emptyDir": {}}], name=f"p-{policy.lower()}",
        )
        for policy, code in (
            ("Always", "0"), ("OnFailure", "$([ $n -lt 1 ] && echo 1 || echo 0)"), ("Never", "1"),
        )
    }  # fmt: skip
    eventually(lambda: status(k, pods["Always"])["restartCount"] >= 2, 60)
    assert k.get("pod", pods["Always"])["status"]["phase"] == "Running"
    assert ended(k, pods["OnFailure"])["status"]["phase"] == "Succeeded"
    assert status(k, pods["OnFailure"])["restartCount"] == 1
    assert ended(k, pods["Never"])["status"]["phase"] == "Failed"
    assert status(k, pods["Never"])["restartCount"] == 0
    for pod in pods.values():
        assert not status(k, pod)["ready"] or pod == pods["Always"]


@pytest.fixture
def server(k):
    """A pod whose log shows what it was asked."""
    start(k, [shell("c", "exec httpd -f -vv -p 8080 -h /tmp 2>&1")], name="server")
    k.address = k.get("pod", "server")["status"]["podIP"]
    k.asked = lambda: re.findall(r"url:/(\S+)", k("logs", "server"))
    return k


@conforms(
    "[sig-node] Container Lifecycle Hook when create a pod with lifecycle hook should execute poststart exec hook properly [NodeConformance] [Conformance]",
    "[sig-node] Container Lifecycle Hook when create a pod with lifecycle hook should execute prestop exec hook properly [NodeConformance] [Conformance]",
    "[sig-node] Container Lifecycle Hook when create a pod with lifecycle hook should execute poststart http hook properly [NodeConformance] [Conformance]",
    "[sig-node] Container Lifecycle Hook when create a pod with lifecycle hook should execute prestop http hook properly [NodeConformance] [Conformance]",
    "[sig-node] PreStop should call prestop when killing a pod [Conformance]",
)
def test_hooks(server):
    k = server

    def fetch(what):
        return {
            "exec": {"command": ["sh", "-c", f"wget -qO- http://{k.address}:8080/{what} || true"]}
        }

    def get(what):
        return {"httpGet": {"host": k.address, "port": 8080, "path": f"/{what}"}}

    hooks = [
        {"name": "command", "postStart": fetch("started-by-command"),
         "preStop": fetch("stopped-by-command")},
    ]  # fmt: skip
    for each in hooks:
        name = each.pop("name")
        start(k, [shell("c", "sleep 1000", lifecycle=each)], name=name,
              terminationGracePeriodSeconds=15)  # fmt: skip
    eventually(lambda: "started-by-command" in k.asked(), 20)
    # a page that is not there fails a hook over HTTP: so make one
    k("exec", "server", "--", "sh", "-c", "touch /tmp/started-by-http /tmp/stopped-by-http")
    lifecycle = {"postStart": get("started-by-http"), "preStop": get("stopped-by-http")}
    start(k, [shell("c", "sleep 1000", lifecycle=lifecycle)], name="http",
          terminationGracePeriodSeconds=15)  # fmt: skip
    eventually(lambda: "started-by-http" in k.asked(), 20)
    assert not {"stopped-by-command", "stopped-by-http"} & set(k.asked())
    k("delete", "pod", "command", "http", "--timeout=60s")
    eventually(lambda: {"stopped-by-command", "stopped-by-http"} <= set(k.asked()), 20)


def probe(**how):
    return {"periodSeconds": 1, "failureThreshold": 1, **how}


@conforms(
    "[sig-node] Probing container with readiness probe should not be ready before initial delay and never restart [NodeConformance] [Conformance]",
    "[sig-node] Probing container with readiness probe that fails should never be ready and never restart [NodeConformance] [Conformance]",
)
def test_readiness(k):
    began = time.monotonic()
    good = create(k, [shell("c", "sleep 1000", readinessProbe=probe(
        exec={"command": ["true"]}, initialDelaySeconds=8))])  # fmt: skip
    bad = create(k, [shell("c", "sleep 1000", readinessProbe=probe(exec={"command": ["false"]}))])
    eventually(lambda: status(k, good)["ready"], 40)
    assert time.monotonic() - began >= 8
    steady(lambda: not status(k, bad)["ready"], 5)
    assert [status(k, pod)["restartCount"] for pod in (good, bad)] == [0, 0]


@conforms(
    '[sig-node] Probing container should be restarted with a exec "cat /tmp/health" liveness probe [NodeConformance] [Conformance]',
    '[sig-node] Probing container should *not* be restarted with a exec "cat /tmp/health" liveness probe [NodeConformance] [Conformance]',
    "[sig-node] Probing container should be restarted with a /healthz http liveness probe [NodeConformance] [Conformance]",
    "[sig-node] Probing container should *not* be restarted with a tcp:8080 liveness probe [NodeConformance] [Conformance]",
    "[sig-node] Probing container should *not* be restarted with a /healthz http liveness probe [NodeConformance] [Conformance]",
)
def test_liveness(k):
    cat = {"exec": {"command": ["cat", "/tmp/health"]}}
    get = {"httpGet": {"path": "/healthz", "port": 8080}}
    web = "touch /tmp/healthz; httpd -p 8080 -h /tmp; sleep {}; rm -f /tmp/{}; sleep 1000"
    scripts = {
        "exec-ends": ("echo ok >/tmp/health; sleep 4; rm /tmp/health; sleep 1000", cat),
        "exec-stays": ("echo ok >/tmp/health; sleep 1000", cat),
        "http-ends": (web.format(4, "healthz"), get),
        "http-stays": (web.format(4, "nothing"), get),
        "tcp-stays": (web.format(4, "healthz"), {"tcpSocket": {"port": 8080}}),
    }
    for name, (script, how) in scripts.items():
        create(
            k, [shell("c", script, livenessProbe=probe(initialDelaySeconds=2, **how))], name=name
        )
    for name in ("exec-ends", "http-ends"):
        eventually(lambda n=name: status(k, n)["restartCount"] == 1, 60)
    for name in scripts:
        if name.endswith("stays"):
            assert status(k, name)["restartCount"] == 0
            assert status(k, name)["ready"]


@conforms(
    "[sig-node] Probing container should *not* be restarted with a GRPC liveness probe [NodeConformance] [Conformance]",
    "[sig-node] Probing container should be restarted with a GRPC liveness probe [NodeConformance] [Conformance]",
)
def test_liveness_by_grpc(k):
    alive = probe(grpc={"port": PORT}, timeoutSeconds=10)
    up = {**probe(tcpSocket={"port": PORT}), "failureThreshold": 120}
    for name, seconds in (("ends", "2"), ("stays", "3600")):
        container = {**speaking("health", seconds), "livenessProbe": alive, "startupProbe": up}
        create(k, [container], name=name, volumes=NODE)
    eventually(lambda: status(k, "stays")["ready"], 60)
    eventually(lambda: status(k, "ends")["restartCount"] >= 1, 60)
    events = k.get("events", "--field-selector", "involvedObject.name=ends")["items"]
    said = {event["message"] for event in events if event["reason"] == "Unhealthy"}
    assert 'Liveness probe failed: service unhealthy (responded with "NOT_SERVING")' in said
    assert status(k, "stays")["restartCount"] == 0
