"""API server, scheduler and controllers, each alone, with clients that are not ours."""

from __future__ import annotations

import json
import shutil
import signal
import ssl
import subprocess
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes import client, config, watch
from tests.swap.conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.swap.conftest import Parts

pytestmark = pytest.mark.slow

DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "example.com/web:1"}]},
        },
    },
}
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "paper"},
    "status": {
        "capacity": {"cpu": "4", "memory": "8Gi", "pods": "110"},
        "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"},
        "conditions": [{"type": "Ready", "status": "True"}],
    },
}


@pytest.fixture(scope="module")
def core(parts: Parts) -> Iterator[client.CoreV1Api]:
    with config.new_client_from_config(str(parts.directory.admin_kubeconfig)) as connection:
        yield client.CoreV1Api(connection)


@pytest.fixture(scope="module")
def apps(core: client.CoreV1Api) -> client.AppsV1Api:
    return client.AppsV1Api(core.api_client)


def names(pods: client.V1PodList) -> set[str]:
    return {pod.metadata.name for pod in pods.items}


def test_controllers_alone_furnish_namespaces(core: client.CoreV1Api) -> None:
    core.create_namespace({"metadata": {"name": "furnished"}})

    def furnished() -> bool:
        accounts = core.list_namespaced_service_account("furnished").items
        maps = core.list_namespaced_config_map("furnished").items
        return [a.metadata.name for a in accounts] == ["default"] and bool(maps)

    wait_until(furnished)
    (root,) = core.list_namespaced_config_map("furnished").items
    assert root.metadata.name == "kube-root-ca.crt"
    assert "BEGIN CERTIFICATE" in root.data["ca.crt"]


def test_a_deployment_gets_pods_and_the_pods_a_node(
    core: client.CoreV1Api, apps: client.AppsV1Api
) -> None:
    wait_until(lambda: core.list_namespaced_service_account("default").items)
    apps.create_namespaced_deployment("default", DEPLOYMENT)
    wait_until(lambda: len(core.list_namespaced_pod("default").items) == 3)
    pending = core.list_namespaced_pod("default").items
    assert {pod.spec.node_name for pod in pending} == {None}

    def explained() -> bool:
        events = core.list_namespaced_event("default", field_selector="reason=FailedScheduling")
        return any("no nodes available" in e.message for e in events.items)

    wait_until(explained)
    core.create_node(NODE)
    core.patch_node("paper", {"spec": {"taints": None}})
    wait_until(
        lambda: {p.spec.node_name for p in core.list_namespaced_pod("default").items} == {"paper"}
    )


def test_a_watch_of_another_client_sees_what_the_parts_do(
    core: client.CoreV1Api, apps: client.AppsV1Api
) -> None:
    listed = core.list_namespaced_pod("default", label_selector="app=web")
    apps.patch_namespaced_deployment_scale("web", "default", {"spec": {"replicas": 4}})
    seen: dict[str, Any] = {}
    for event in watch.Watch().stream(
        core.list_namespaced_pod, "default", label_selector="app=web", timeout_seconds=15,
        resource_version=listed.metadata.resource_version,
    ):  # fmt: skip
        pod = event["object"]
        seen[pod.metadata.name] = pod.spec.node_name
        if "paper" in seen.values():
            break
    assert list(seen.values()) == ["paper"]
    assert not set(seen) & names(listed)


def test_kubectl_against_the_api_server_alone(parts: Parts) -> None:
    if (kubectl := shutil.which("kubectl")) is None:
        pytest.skip("there is no kubectl")

    def run(*words: str) -> str:
        command = [kubectl, f"--kubeconfig={parts.directory.admin_kubeconfig}", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    table = run("get", "deployments", "-o", "wide").splitlines()
    assert table[0].split()[:4] == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE"]
    assert table[1].split()[0] == "web"
    leases = json.loads(run("get", "leases", "-n", "kube-system", "-o", "json"))["items"]
    held = {lease["metadata"]["name"] for lease in leases if lease["spec"].get("holderIdentity")}
    assert {"kube-scheduler", "kube-controller-manager"} <= held
    assert run("auth", "can-i", "list", "pods", "--as=system:kube-scheduler").strip() == "yes"


def get(parts: Parts, name: str, path: str, token: str = "") -> tuple[int, str]:
    """Ask a part about itself."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    request = urllib.request.Request(f"https://127.0.0.1:{parts.ports[name]}{path}")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize("name", ["scheduler", "controller-manager"])
def test_health_is_for_everybody(parts: Parts, name: str) -> None:
    wait_until(lambda: get(parts, name, "/readyz") == (200, "ok"))
    assert get(parts, name, "/livez") == get(parts, name, "/healthz") == (200, "ok")
    assert get(parts, name, "/nothing")[0] == 404


def test_metrics_are_for_those_who_may(parts: Parts, core: client.CoreV1Api) -> None:
    body = client.AuthenticationV1TokenRequest(
        spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=600)
    )
    answer = core.create_namespaced_service_account_token("default", "default", body)
    token = answer.status.token
    assert get(parts, "scheduler", "/metrics")[0] == 401
    assert get(parts, "scheduler", "/metrics", "made-up")[0] == 401
    assert get(parts, "scheduler", "/metrics", token)[0] == 403

    rbac = client.RbacAuthorizationV1Api(core.api_client)
    role, group = "reads-metrics", "rbac.authorization.k8s.io"
    rules = [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]
    rbac.create_cluster_role({"metadata": {"name": role}, "rules": rules})
    rbac.create_cluster_role_binding(
        {
            "metadata": {"name": role},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
        }
    )
    wait_until(lambda: get(parts, "scheduler", "/metrics", token)[0] == 200)
    assert "process_" in get(parts, "scheduler", "/metrics", token)[1]


def test_every_part_survives_the_death_of_the_others(
    parts: Parts, core: client.CoreV1Api, apps: client.AppsV1Api
) -> None:
    before = core.list_namespaced_pod("default", label_selector="app=web").items
    parts.stop("apiserver", signal.SIGKILL)
    parts.start("apiserver")
    after = core.list_namespaced_pod("default", label_selector="app=web").items
    assert {p.metadata.uid for p in before} == {p.metadata.uid for p in after}
    apps.patch_namespaced_deployment_scale("web", "default", {"spec": {"replicas": 5}})

    def bound() -> int:
        pods = core.list_namespaced_pod("default", label_selector="app=web").items
        return sum(pod.spec.node_name == "paper" for pod in pods)

    wait_until(lambda: bound() == 5, 30)
    assert parts.running["scheduler"].poll() is None
    assert parts.running["controller-manager"].poll() is None


def test_a_second_scheduler_waits_for_its_turn(parts: Parts, apps: client.AppsV1Api) -> None:
    first = parts.running.pop("scheduler")
    parts.ports["scheduler"] += 1
    parts.start("scheduler")
    try:
        wait_until(lambda: parts.log("scheduler").count("leading") == 1)
        assert first.poll() is None
    finally:
        first.send_signal(signal.SIGTERM)
        assert first.wait(15) == 0
    # the one that leaves gives the lease back: the next need not wait until it runs out
    wait_until(lambda: parts.log("scheduler").count("leading") == 2, 10)


def test_parts_stop_when_told(parts: Parts) -> None:
    for name in ("controller-manager", "scheduler", "apiserver"):
        assert parts.stop(name) == 0, parts.log(name)
        assert "Traceback" not in parts.log(name)
