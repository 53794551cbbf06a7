"""Kubelet and proxy, each alone, with a containerd and a pod network made by hand."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.ports import free_port
from tests.swap.conftest import COMPONENTS, Parts, wait_until

from kybern.cluster import mounts, prerequisites
from kybern.cmd import containerd

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
IMAGE, NODE, BRIDGE, TABLE = "kybern.local/swap:1", "swap", "kbswap0", "kybern-swap"
PODS, SERVICES = "10.199.0.0/24", "10.198.0.0/24"
NETWORK = {
    "cniVersion": "0.4.0",
    "name": "by-hand",
    "plugins": [
        {
            "type": "bridge",
            "bridge": BRIDGE,
            "isGateway": True,
            "hairpinMode": True,
            "ipMasq": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": PODS}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: kybern.local/swap:1
        command: [sh, -c, "mkdir /www; hostname > /www/index.html; echo started; httpd -f -p 80 -h /www"]
        readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 8080, targetPort: 80}]}
"""


class Node(Parts):
    """A control plane in parts, and a node in parts."""

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        command = ["kubectl", f"--kubeconfig={self.directory.admin_kubeconfig}", *words]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start_kubelet(self) -> None:
        pki = self.directory.pki
        self.start(
            "kubelet",
            f"--kubeconfig={self.directory.kubeconfigs}/kubelet-client.kubeconfig",
            f"--hostname-override={NODE}",
            f"--container-runtime-endpoint=unix://{containerd.socket_of(self.directory.root)}",
            f"--root-dir={self.directory.root}/kubelet-root",
            f"--client-ca-file={pki}/ca.crt",
            f"--tls-cert-file={pki}/kubelet.crt",
            f"--tls-private-key-file={pki}/kubelet.key",
            f"--node-ip={self.settings.node_ip}",
            f"--port={self.settings.kubelet_port}",
            "--cgroup-root=/kubepods-swap",
            "--node-labels=example.com/swapped=yes",
        )

    def start_proxy(self) -> None:
        self.start(
            "proxy",
            f"--kubeconfig={self.directory.kubeconfigs}/proxy.kubeconfig",
            f"--hostname-override={NODE}",
            f"--cluster-cidr={PODS}",
            f"--service-cluster-ip-range={SERVICES}",
            f"--table={TABLE}",
            f"--healthz-bind-address=127.0.0.1:{self.ports['proxy']}",
            "--metrics-bind-address=127.0.0.1:0",
        )


def own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    if os.geteuid() != 0:
        pytest.skip("a node needs root")
    root = Path(tempfile.mkdtemp(prefix="kyb-", dir="/tmp"))
    made = Node(
        root, control_plane_only=False, node_name=NODE, node_ip=own_address(),
        service_cidr=SERVICES, kubelet_port=free_port(),
    )  # fmt: skip
    made.ports["proxy"] = free_port()
    conf = root / "cni/net.d/10-by-hand.conflist"
    conf.parent.mkdir(parents=True)
    NETWORK["plugins"][0]["ipam"]["dataDir"] = str(root / "cni/state")
    conf.write_text(json.dumps(NETWORK))
    try:
        for name in COMPONENTS:
            made.start(name)
        made.start("containerd", str(root))
        wait_until(lambda: containerd.answers(root))
        _load_images(root)
        made.start_kubelet()
        made.start_proxy()
        yield made
    finally:
        _take_down(made)


def _load_images(root: Path) -> None:
    import asyncio

    from kybern.kubelet import images

    ctr, sock = prerequisites.find("ctr") or "", containerd.socket_of(root)
    pause = images.archive(images.pause_recipe(containerd.SANDBOX_IMAGE))
    asyncio.run(images.load_bytes(pause, sock, ctr))
    archive = root / "image.tar"
    tool = ROOT / "tools/busybox_image.py"
    subprocess.run([sys.executable, str(tool), str(archive), IMAGE], check=True)
    asyncio.run(images.load(archive, sock, ctr))


def _take_down(node: Node) -> None:
    import asyncio

    from kybern.cmd.cleanup import stop_pods
    from kybern.kubelet.runtime.cri import CriRuntime
    from kybern.lib.clock import SYSTEM

    for name in [n for n in reversed(list(node.running)) if n != "containerd"]:
        node.stop(name)
    if "containerd" in node.running:
        socket_path = containerd.socket_of(node.directory.root)
        problems = asyncio.run(stop_pods(CriRuntime(f"unix://{socket_path}", SYSTEM)))
        node.stop("containerd")
        assert problems == []
    subprocess.run(["nft", "delete", "table", "ip", TABLE], check=False, capture_output=True)
    subprocess.run(["ip", "link", "delete", BRIDGE], check=False, capture_output=True)
    mounts.unmount_below(node.directory.root)
    assert mounts.below(node.directory.root) == []
    shutil.rmtree(node.directory.root)


def fetch(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return str(answer.read().decode().strip())
    except OSError as error:
        return f"nothing: {error}"


def test_the_node_registers_and_becomes_ready(node: Node) -> None:
    wait_until(lambda: node.kubectl("get", "nodes", "-o", "name"))
    node.kubectl("wait", "--for=condition=Ready", f"node/{NODE}", "--timeout=30s")
    found = json.loads(node.kubectl("get", "node", NODE, "-o", "json"))
    assert found["metadata"]["labels"]["example.com/swapped"] == "yes"
    assert found["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("containerd://")


def test_a_deployment_runs_and_its_service_answers(node: Node) -> None:
    node.kubectl("apply", "-f", "-", stdin=WEB)
    node.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    pods = set(node.kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.name}").split())
    ip = node.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    assert ip.startswith("10.198.0.")
    seen: set[str] = set()
    wait_until(lambda: seen.add(fetch(f"http://{ip}:8080/")) or pods <= seen)


def test_logs_and_exec_reach_the_kubelet(node: Node) -> None:
    pod = node.kubectl("get", "pods", "-o", "jsonpath={.items[0].metadata.name}")
    assert node.kubectl("logs", pod) == "started\n"
    assert node.kubectl("exec", pod, "--", "hostname").strip() == pod


def test_the_proxy_says_that_it_is_well(node: Node) -> None:
    assert fetch(f"http://127.0.0.1:{node.ports['proxy']}/readyz") == "ok"


def test_containers_and_rules_outlive_kubelet_and_proxy(node: Node) -> None:
    ip = node.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    before = node.kubectl("get", "pods", "-o", "jsonpath={.items[*].status.containerStatuses}")
    for name in ("kubelet", "proxy"):
        assert node.stop(name) == 0, node.log(name)
    assert fetch(f"http://{ip}:8080/").startswith("web-")
    node.start_kubelet()
    node.start_proxy()
    node.kubectl("scale", "deployment/web", "--replicas=3")
    node.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    after = node.kubectl("get", "pods", "-o", "jsonpath={.items[*].status.containerStatuses}")
    assert '"restartCount":0' in after
    assert '"restartCount":1' not in after
    for container in (part.split('"')[0] for part in before.split('"containerID":"')[1:]):
        assert container in after


def test_a_kubelet_without_its_runtime_says_one_sentence(node: Node) -> None:
    done = subprocess.run(
        [sys.executable, "-c",
         "import sys; from kybern.cmd import kubelet; kubelet.PATIENCE = 0.5; kubelet.main()",
         f"--kubeconfig={node.directory.kubeconfigs}/kubelet-client.kubeconfig",
         "--container-runtime-endpoint=unix:///no/such.sock",
         f"--root-dir={node.directory.root}/other-root"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .startswith("the container runtime at unix:///no/such.sock does not answer")
    )


def test_cleaning_up_removes_the_rules(node: Node) -> None:
    node.stop("proxy")
    command = [sys.executable, "-m", "kybern.cmd.proxy", "--cleanup", f"--table={TABLE}"]
    subprocess.run(command, check=True, timeout=30)
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True)
    assert f"ip {TABLE}\n" not in tables.stdout
    subprocess.run(command, check=True, timeout=30)  # a second time there is nothing to do
