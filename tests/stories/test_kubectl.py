"""Every kubectl verb of the README, with the stock kubectl."""

import json
import os
import pty
import subprocess
import time

import pytest

from .conftest import IMAGE, eventually

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "labels": {"app": "p"}},
    "spec": {
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {"name": "one", "image": IMAGE, "command": ["sh", "-c", "echo first; sleep 1000"]},
            {"name": "two", "image": IMAGE, "command": ["sh", "-c", "echo second; sleep 1000"]},
        ],
    },
}


def end(process):
    process.terminate()
    process.wait()
    process.stdout.close()


@pytest.fixture
def p(k):
    k("apply", "-f", "-", stdin=json.dumps(POD))
    k("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
    return k


def test_get_in_every_form(p):
    line = p("get", "pod", "p").splitlines()[1].split()
    assert line[:4] == ["p", "2/2", "Running", "0"]
    assert "10.2" in p("get", "pod", "p", "-o", "wide")
    assert "kind: Pod" in p("get", "pod", "p", "-o", "yaml")
    assert p("get", "pod", "p", "-o", "jsonpath={.status.phase}") == "Running"
    assert p("get", "pods", "-l", "app=p", "-o", "name") == "pod/p\n"
    assert p("get", "pods", "--field-selector", "status.phase=Running", "-o", "name") == "pod/p\n"
    assert "No resources found" in p("get", "pods", "-l", "app=q", check=False).stderr


def test_get_watch(p, cluster):
    watch = subprocess.Popen(
        ["kubectl", "-n", p.namespace, "get", "pods", "-w", "-o", "name"],
        env=cluster.env, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert watch.stdout.readline() == "pod/p\n"
        p("label", "pod", "p", "seen=yes")
        assert watch.stdout.readline() == "pod/p\n"
    finally:
        end(watch)


def test_describe_and_events(p):
    text = p("describe", "pod", "p")
    for word in ("Scheduled", "Pulled", "Created", "Started", "QoS Class:", "BestEffort"):
        assert word in text
    assert "Scheduled" in p("get", "events")


def test_apply_both_ways(k):
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: '1'}\n"
    assert "created" in k("apply", "-f", "-", stdin=manifest)
    assert "unchanged" in k("apply", "-f", "-", stdin=manifest)
    assert "configured" in k("apply", "-f", "-", stdin=manifest.replace("'1'", "'2'"))
    other = manifest.replace("name: c", "name: s")
    assert "serverside-applied" in k("apply", "--server-side", "-f", "-", stdin=other)
    mine = k("apply", "--server-side", "--field-manager=me", "-f", "-",
             stdin=other.replace("'1'", "'3'"), check=False)  # fmt: skip
    assert 'conflict with "kubectl"' in mine.stderr
    k("apply", "--server-side", "--field-manager=me", "--force-conflicts", "-f", "-",
      stdin=other.replace("'1'", "'3'"))  # fmt: skip
    assert k("get", "configmap", "s", "-o", "jsonpath={.data.a}") == "3"
    assert '+  a: "1"' in k("diff", "-f", "-", stdin=manifest, check=False).stdout
    assert "deleted" in k("delete", "-f", "-", stdin=manifest)


def test_deployments_from_the_command_line(k):
    k("create", "deployment", "d", f"--image={IMAGE}", "--", "sleep", "1000")
    k("rollout", "status", "deployment/d", "--timeout=30s")
    k("expose", "deployment", "d", "--port=80")
    assert k.get("service", "d")["spec"]["clusterIP"].startswith("10.")
    k("annotate", "deployment", "d", "note=hello")
    k("label", "deployment", "d", "tier=front")
    k("patch", "deployment", "d", "-p", '{"spec":{"replicas":2}}')
    k("patch", "deployment", "d", "--type=merge", "-p", '{"metadata":{"labels":{"tier":null}}}')
    k("patch", "deployment", "d", "--type=json",
      "-p", '[{"op":"replace","path":"/spec/replicas","value":1}]')  # fmt: skip
    found = k.get("deployment", "d")
    assert found["spec"]["replicas"] == 1
    assert "tier" not in found["metadata"]["labels"]
    assert found["metadata"]["annotations"]["note"] == "hello"
    k("delete", "deployment", "d")
    # `sleep` as process 1 does not hear SIGTERM: it goes when its 30 s are over
    eventually(lambda: not k.get("pods")["items"], 60)


def test_edit(k, cluster, tmp_path):
    k("create", "configmap", "c", "--from-literal=a=old")
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i s/old/new/ $1\n")
    editor.chmod(0o755)
    subprocess.run(
        ["kubectl", "-n", k.namespace, "edit", "configmap", "c"],
        env=cluster.env | {"EDITOR": str(editor)}, check=True, capture_output=True,
    )  # fmt: skip
    assert k("get", "configmap", "c", "-o", "jsonpath={.data.a}") == "new"


def test_logs(p, cluster):
    assert p("logs", "p", "-c", "two") == "second\n"
    assert "first" in p("logs", "p", "--all-containers")
    assert "one" in p("logs", "p", check=False).stderr  # Defaulted container "one" out of: one, two
    follow = subprocess.Popen(
        ["kubectl", "-n", p.namespace, "logs", "-f", "p", "-c", "one"],
        env=cluster.env, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert follow.stdout.readline() == "first\n"
        p("exec", "p", "-c", "one", "--", "sh", "-c", "echo more >/proc/1/fd/1")
        assert follow.stdout.readline() == "more\n"
    finally:
        end(follow)


def test_exec(p):
    assert p("exec", "p", "-c", "one", "--", "echo", "hello") == "hello\n"
    assert p("exec", "-i", "p", "-c", "one", "--", "cat", stdin="through\n") == "through\n"
    failed = p("exec", "p", "-c", "one", "--", "sh", "-c", "echo no >&2; exit 7", check=False)
    assert failed.returncode == 7
    assert "no" in failed.stderr
    missing = p("exec", "p", "-c", "one", "--", "no-such-program", check=False)
    assert missing.returncode != 0
    assert "no-such-program" in missing.stderr


def test_exec_with_a_terminal(p, cluster):
    master, slave = pty.openpty()
    shell = subprocess.Popen(
        ["kubectl", "-n", p.namespace, "exec", "-it", "p", "-c", "one", "--", "sh"],
        env=cluster.env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    seen = b""
    os.write(master, b"tty; exit 3\n")
    deadline = time.monotonic() + 20
    while shell.poll() is None and time.monotonic() < deadline:
        try:
            seen += os.read(master, 4096)
        except OSError:
            break
    assert shell.wait(10) == 3
    os.close(master)
    assert b"/dev/pts" in seen


def test_wait_and_delete(p, cluster):
    waiting = subprocess.Popen(
        ["kubectl", "-n", p.namespace, "wait", "--for=delete", "pod/p", "--timeout=30s"],
        env=cluster.env,
    )
    p("delete", "pod", "p")
    assert waiting.wait(30) == 0


def test_explain_and_discovery(cluster):
    text = cluster.kubectl("explain", "pod.spec.containers")
    assert "List of containers belonging to the pod" in text
    resources = cluster.kubectl("api-resources")
    for word in ("deployments", "networkpolicies", "endpointslices", "customresourcedefinitions"):
        assert word in resources
    assert "apps/v1" in cluster.kubectl("api-versions")
    assert "is running at" in cluster.kubectl("cluster-info")


def test_who_am_i_and_what_may_i(k, cluster):
    assert "kubernetes-admin" in cluster.kubectl("auth", "whoami")
    assert cluster.kubectl("auth", "can-i", "delete", "nodes") == "yes\n"
    account = f"system:serviceaccount:{k.namespace}:default"
    denied = k("auth", "can-i", "list", "pods", f"--as={account}", check=False)
    assert (denied.stdout, denied.returncode) == ("no\n", 1)
    k("create", "rolebinding", "r", "--clusterrole=view", f"--serviceaccount={k.namespace}:default")
    eventually(lambda: k("auth", "can-i", "list", "pods", f"--as={account}", check=False)
               .stdout == "yes\n", 10)  # fmt: skip


def test_a_pod_may_do_what_its_roles_say_and_no_more(p, cluster):
    """With its own token; curl sends it, as busybox has no TLS client that is good enough."""
    p("create", "role", "r", "--verb=list", "--resource=pods")
    p("create", "rolebinding", "r", "--role=r", f"--serviceaccount={p.namespace}:default")
    folder = "/var/run/secrets/kubernetes.io/serviceaccount"
    token, authority = (
        p("exec", "p", "-c", "one", "--", "cat", f"{folder}/{name}") for name in ("token", "ca.crt")
    )
    assert authority == (cluster.directory / "pki/ca.crt").read_text()
    p("exec", "p", "-c", "one", "--", "sh", "-c", "nc -w 2 $KUBERNETES_SERVICE_HOST 443 </dev/null")
    host = p.get("service", "kubernetes", "-n", "default")["spec"]["clusterIP"]

    def ask(what):
        done = subprocess.run(
            ["curl", "-s", "-m", "5", "-o", "/dev/null",
             "-w", "%{http_code}", "--cacert", str(cluster.directory / "pki/ca.crt"),
             "-H", f"Authorization: Bearer {token}",
             f"https://{host}/api/v1/namespaces/{p.namespace}/{what}"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout

    eventually(lambda: ask("pods") == "200", 10)
    assert ask("secrets") == "403"
    token = "nonsense"
    assert ask("pods") == "401"


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: a}]}",
         'The Pod "x" is invalid: spec.containers[0].image: Required value'),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: X_}\n"
         "spec: {containers: [{name: a, image: b}]}",
         'The Pod "X_" is invalid: metadata.name: Invalid value: "X_"'),
        ("apiVersion: v1\nkind: Podd\nmetadata: {name: x}", 'no matches for kind "Podd"'),
        ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {replicas: many}",
         "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndatta: {a: b}",
         'unknown field "datta"'),
    ],
)  # fmt: skip
def test_mistakes_are_told_as_upstream_tells_them(k, manifest, message):
    failed = k("create", "-f", "-", stdin=manifest, check=False)
    assert failed.returncode == 1
    assert message in failed.stderr
