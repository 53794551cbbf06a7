"""The stock kubectl against a control plane of its own; pods are not run."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.definitions import ANYTHING, API, definition, version
from tests.conformance.marks import conforms
from tests.conformance.workloads import deployment
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

KYBERN = [sys.executable, "-m", "kybern.cmd.main"]
IMAGE = "registry.k8s.io/e2e-test-images/httpd:2.4.38-4"
OTHER_IMAGE = "registry.k8s.io/e2e-test-images/busybox:1.36.1-1"


class Kubectl:
    """A kubectl that knows its cluster."""

    def __init__(self, directory: Path) -> None:
        self.env = {
            **os.environ,
            "KUBECONFIG": str(directory / "admin.kubeconfig"),
            "KUBECACHEDIR": str(directory / "kubectl-cache"),
        }

    def __call__(self, *words: str, stdin: str | None = None, code: int = 0) -> str:
        done = subprocess.run(
            ["kubectl", *words], env=self.env, input=stdin, capture_output=True, text=True,
            timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{words}: {done.stdout} {done.stderr}"
        return done.stdout

    def refusal(self, *words: str, stdin: str | None = None) -> str:
        """Run something that fails; return what it says."""
        done = subprocess.run(
            ["kubectl", *words], env=self.env, input=stdin, capture_output=True, text=True,
            timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode, f"{words}: {done.stdout}"
        return done.stderr

    @contextlib.contextmanager
    def proxy(self, *words: str) -> Iterator[str]:
        """Run `kubectl proxy` and yield what it says when it is ready."""
        process = subprocess.Popen(
            ["kubectl", "proxy", *words], env=self.env, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        try:
            yield process.stdout.readline()
        finally:
            process.terminate()
            process.wait(10)
            process.stdout.close()


@pytest.fixture(scope="module")
def k() -> Iterator[Kubectl]:
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl")
    directory = Path(tempfile.mkdtemp(prefix="kyb-", dir="/tmp"))
    where = ["--data-dir", str(directory)]
    try:
        subprocess.run(
            [*KYBERN, "up", "--control-plane-only", *where, "--port", str(free_port())],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        kubectl = Kubectl(directory)
        deadline = time.monotonic() + 20
        while "default" not in kubectl("get", "serviceaccounts", "-o", "name"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield kubectl
    finally:
        subprocess.run([*KYBERN, "down", "--purge", *where], check=False, capture_output=True)
        shutil.rmtree(directory, ignore_errors=True)


@conforms(
    "[sig-cli] Kubectl client Kubectl api-versions should check if v1 is in available api versions"
    " [Conformance]"
)
def test_api_versions(k: Kubectl) -> None:
    assert "v1" in k("api-versions").splitlines()


@conforms(
    "[sig-cli] Kubectl client Kubectl cluster-info should check if Kubernetes control plane"
    " services is included in cluster-info [Conformance]"
)
def test_cluster_info(k: Kubectl) -> None:
    text = re.sub(r"\x1b\[[0-9;]*m", "", k("cluster-info"))
    assert re.search(r"Kubernetes control plane is running at https://", text)


@conforms(
    "[sig-cli] Kubectl client Kubectl version should check is all data is printed [Conformance]"
)
def test_version(k: Kubectl) -> None:
    text = k("version")
    assert re.search(r"Client Version: v\d+\.\d+\.", text)
    assert re.search(r"Server Version: v1\.36\.", text)
    server = json.loads(k("version", "-o", "json"))["serverVersion"]
    assert server.keys() >= {
        "major", "minor", "gitVersion", "gitCommit", "gitTreeState", "buildDate", "goVersion",
        "compiler", "platform",
    }  # fmt: skip
    assert (server["major"], server["minor"]) == ("1", "36")


@conforms(
    "[sig-cli] Kubectl client Kubectl diff should check if kubectl diff finds a difference for"
    " Deployments [Conformance]"
)
def test_diff(k: Kubectl) -> None:
    manifest = {"apiVersion": "apps/v1", "kind": "Deployment", **deployment("httpd", image=IMAGE)}
    k("create", "-f", "-", stdin=json.dumps(manifest))
    text = json.dumps(manifest).replace(IMAGE, OTHER_IMAGE)
    difference = k("diff", "-f", "-", stdin=text, code=1)
    assert re.search(rf"^-\s+- image: {IMAGE}$", difference, re.MULTILINE)
    assert re.search(rf"^\+\s+- image: {OTHER_IMAGE}$", difference, re.MULTILINE)
    assert k("diff", "-f", "-", stdin=json.dumps(manifest)) == ""
    k("delete", "deployment", "httpd")


@conforms(
    "[sig-cli] Kubectl client Kubectl server-side dry-run should check if kubectl can dry-run"
    " update Pods [Conformance]"
)
def test_server_side_dry_run(k: Kubectl) -> None:
    name = "e2e-test-httpd-pod"
    k("run", name, f"--image={IMAGE}", "--pod-running-timeout=2m0s", f"--labels=run={name}")
    patch = {"spec": {"containers": [{"name": name, "image": OTHER_IMAGE}]}}
    shown = k("patch", "pod", name, "-p", json.dumps(patch), "--dry-run=server", "-o", "json")
    assert json.loads(shown)["spec"]["containers"][0]["image"] == OTHER_IMAGE
    stored = json.loads(k("get", "pod", name, "-o", "json"))
    assert stored["spec"]["containers"][0]["image"] == IMAGE
    k("delete", "pods", name)


@conforms(
    "[sig-cli] Kubectl client Kubectl run pod should create a pod from an image when restart is"
    " Never [Conformance]"
)
def test_run(k: Kubectl) -> None:
    name = "e2e-test-httpd-once"
    k("run", name, "--restart=Never", f"--image={IMAGE}")
    spec = json.loads(k("get", "pod", name, "-o", "json"))["spec"]
    assert [c["image"] for c in spec["containers"]] == [IMAGE]
    assert spec["restartPolicy"] == "Never"
    k("delete", "pods", name)


def api_versions(connection: http.client.HTTPConnection) -> list[str]:
    connection.request("GET", "/api/")
    found: list[str] = json.loads(connection.getresponse().read())["versions"]
    connection.close()
    return found


@conforms("[sig-cli] Kubectl client Proxy server should support proxy with --port 0 [Conformance]")
def test_proxy_on_some_port(k: Kubectl) -> None:
    with k.proxy("-p", "0", "--disable-filter") as said:
        match = re.search(r"Starting to serve on 127\.0\.0\.1:(\d+)", said)
        assert match
        connection = http.client.HTTPConnection("127.0.0.1", int(match[1]), timeout=10)
        assert api_versions(connection) == ["v1"]


@conforms("[sig-cli] Kubectl client Proxy server should support --unix-socket=/path [Conformance]")
def test_proxy_on_a_socket(k: Kubectl) -> None:
    with tempfile.TemporaryDirectory(prefix="kyb-", dir="/tmp") as directory:
        path = f"{directory}/s"
        with k.proxy(f"--unix-socket={path}") as said:
            assert "Starting to serve on" in said
            connection = http.client.HTTPConnection("localhost", timeout=10)
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(path)
            assert api_versions(connection) == ["v1"]


# --- kinds that users define ------------------------------------------------------------------


BARS = {
    "type": "array", "description": "List of Bars and their specs.",
    "items": {
        "type": "object", "required": ["name"],
        "properties": {
            "name": {"type": "string", "description": "Name of Bar."},
            "age": {"type": "string", "description": "Age of Bar."},
            "feeling": {"type": "string", "enum": ["Great", "Down"]},
            "bazs": {"type": "array", "description": "List of Bazs.", "items": {"type": "string"}},
        },
    },
}  # fmt: skip
FOO = {
    "type": "object", "description": "Foo CRD for Testing",
    "properties": {
        "spec": {
            "type": "object", "description": "Specification of Foo", "properties": {"bars": BARS},
        },
        "status": {"type": "object", "description": "Status of Foo"},
    },
}  # fmt: skip


def defined(k: Kubectl, kind: str, schema: dict[str, Any]) -> str:
    """Define a kind; return the name of its resource."""
    body = definition(version("v1", schema), kind=kind, group="openapi.example.com")
    made = {"apiVersion": API, "kind": "CustomResourceDefinition", **body}
    k("create", "-f", "-", stdin=json.dumps(made))
    name = body["metadata"]["name"]
    k("wait", "--for=condition=Established", f"crd/{name}")
    return body["spec"]["names"]["plural"]


def manifest(kind: str, **content: Any) -> str:
    """Return an object named test of such a kind."""
    head = {"apiVersion": "openapi.example.com/v1", "kind": kind, "metadata": {"name": "test"}}
    return json.dumps({**head, **content})


def apply_and_remove(k: Kubectl, text: str, changed: str) -> None:
    """Create an object, apply a change, and delete it; none of that may be refused."""
    k("create", "-f", "-", stdin=text)
    k("delete", "-f", "-", stdin=text)
    k("apply", "-f", "-", stdin=text)
    k("apply", "-f", "-", stdin=changed)
    k("delete", "-f", "-", stdin=text)


@conforms(
    "[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin]"
    " works for CRD with validation schema [Conformance]"
)
def test_a_kind_with_a_schema(k: Kubectl) -> None:
    foos = defined(k, "Foo", FOO)
    bars = [{"name": "one", "age": "10", "bazs": ["a"]}]
    apply_and_remove(
        k,
        manifest("Foo", spec={"bars": bars}),
        manifest("Foo", spec={"bars": [*bars, {"name": "two"}]}),
    )
    for bad, why in (
        ({"bars": bars, "foo": True}, 'unknown field "spec.foo"'),
        ({"bars": [{"age": "10"}]}, "name"),
        ({"bars": [{"name": "one", "feeling": "NonExistentValue"}]}, "NonExistentValue"),
    ):
        for verb in ("create", "apply"):
            assert why in k.refusal(verb, "-f", "-", stdin=manifest("Foo", spec=bad))
    text = k("explain", foos)
    assert re.search(r"DESCRIPTION:\s+Foo CRD for Testing", text)
    assert re.search(r"status\s+<Object>\s+Status of Foo", text)
    assert re.search(r"DESCRIPTION:\s+Specification of Foo", k("explain", f"{foos}.spec"))
    assert re.search(r"bars\s+<\[\]Object>\s+List of Bars and their specs.", k(
        "explain", f"{foos}.spec"))  # fmt: skip
    text = k("explain", f"{foos}.spec.bars")
    assert re.search(r"name\s+<string>.*-required-\s+Name of Bar", text)
    assert re.search(r"bazs\s+<\[\]string>\s+List of Bazs", k(
        "explain", f"{foos}.spec.bars", "--recursive=false"))  # fmt: skip
    assert "bars2" in k.refusal("explain", f"{foos}.spec.bars2")


@conforms(
    "[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin]"
    " works for CRD without validation schema [Conformance]"
)
def test_a_kind_without_a_schema(k: Kubectl) -> None:
    empties = defined(k, "Empty", ANYTHING)
    apply_and_remove(
        k, manifest("Empty", a="b", spec={"b": [{"c": "d"}]}), manifest("Empty", a="c")
    )
    assert re.search(r"DESCRIPTION:\s+<empty>", k("explain", empties))


@conforms(
    "[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin]"
    " works for CRD preserving unknown fields at the schema root [Conformance]"
)
def test_a_kind_that_keeps_unknown_fields(k: Kubectl) -> None:
    schema = {**FOO, "x-kubernetes-preserve-unknown-fields": True}
    keepers = defined(k, "Keeper", schema)
    apply_and_remove(k, manifest("Keeper", a="b"), manifest("Keeper", a="c"))
    assert re.search(r"KIND:\s+Keeper", k("explain", keepers))


@conforms(
    "[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin]"
    " works for CRD preserving unknown fields in an embedded object [Conformance]"
)
def test_a_kind_with_a_part_that_keeps_unknown_fields(k: Kubectl) -> None:
    part = {
        "type": "object", "description": "Specification of Waldo",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {"dummy": {"type": "string", "description": "Dummy property."}},
    }  # fmt: skip
    waldos = defined(k, "Waldo", {"type": "object", "properties": {"spec": part}})
    apply_and_remove(
        k,
        manifest("Waldo", spec={"a": None, "b": [{"c": "d"}]}),
        manifest("Waldo", spec={"a": "x"}),
    )
    assert re.search(r"DESCRIPTION:\s+Specification of Waldo", k("explain", f"{waldos}.spec"))
