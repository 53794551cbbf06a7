"""What a container finds in its environment, its command and its arguments."""

import io
import json
import tarfile
import tempfile
from pathlib import Path

import pytest

from tests.conformance.marks import conforms
from tests.stories.conformance.pods import config_map, ended, make, run, secret, shell, start
from tests.stories.conftest import IMAGE

PREFIXES = ("", "p-", "1-", "$_", "#", "a b.", "CONFIG_", "{}[]", "?!")


def env(name, **more):
    """Return a container that prints its environment, whatever the names in it."""
    return {"name": name, "image": IMAGE, "command": ["env"], **more}


def variables(text):
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


@conforms(
    "[sig-node] ConfigMap should be consumable via environment variable [NodeConformance] [Conformance]",
    "[sig-node] ConfigMap should be consumable via the environment [NodeConformance] [Conformance]",
    "[sig-node] ConfigMap should be consumable as environment variable names with various prefixes [Conformance]",
    "[sig-node] Secrets should be consumable from pods in env vars [NodeConformance] [Conformance]",
    "[sig-node] Secrets should be consumable via the environment [NodeConformance] [Conformance]",
    "[sig-node] Secrets should be consumable as environment variable names variable names with various prefixes [Conformance]",
)
@pytest.mark.parametrize("what", ["configMap", "secret"])
def test_objects_as_variables(k, what):
    maker = secret if what == "secret" else config_map
    make(k, maker("it", **{"data-1": "value-1", "data_2": "value-2"}))
    one = {"name": "ONE", "valueFrom": {f"{what}KeyRef": {"name": "it", "key": "data-1"}}}
    every = [{"prefix": prefix, f"{what}Ref": {"name": "it"}} for prefix in PREFIXES]
    said = run(k, [env("one", env=[one]), env("all", envFrom=every)])
    assert variables(said["one"])["ONE"] == "value-1"
    found = variables(said["all"])
    for prefix in PREFIXES:
        assert found[f"{prefix}data-1"] == "value-1"
        assert found[f"{prefix}data_2"] == "value-2"


def field(name, path):
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def amount(name, resource):
    return {"name": name, "valueFrom": {"resourceFieldRef": {"resource": resource}}}


@conforms(
    "[sig-node] Downward API should provide pod name, namespace and IP address as env vars [NodeConformance] [Conformance]",
    "[sig-node] Downward API should provide host IP as an env var [NodeConformance] [Conformance]",
    "[sig-node] Downward API should provide hostIPs as an env var [NodeConformance] [Conformance]",
    "[sig-node] Downward API should provide container's limits.cpu/memory and requests.cpu/memory as env vars [NodeConformance] [Conformance]",
    "[sig-node] Downward API should provide default limits.cpu/memory from node allocatable [NodeConformance] [Conformance]",
    "[sig-node] Downward API should provide pod UID as env vars [NodeConformance] [Conformance]",
)
def test_the_pod_itself_as_variables(k):
    fields = [
        field("POD_NAME", "metadata.name"), field("POD_NAMESPACE", "metadata.namespace"),
        field("POD_IP", "status.podIP"), field("HOST_IP", "status.hostIP"),
        field("HOST_IPS", "status.hostIPs"), field("POD_UID", "metadata.uid"),
    ]  # fmt: skip
    amounts = [
        amount("CPU_LIMIT", "limits.cpu"), amount("MEMORY_LIMIT", "limits.memory"),
        amount("CPU_REQUEST", "requests.cpu"), amount("MEMORY_REQUEST", "requests.memory"),
    ]  # fmt: skip
    resources = {
        "requests": {"cpu": "250m", "memory": "32Mi"}, "limits": {"cpu": "1250m", "memory": "64Mi"},
    }  # fmt: skip
    said = run(
        k, [env("fields", env=fields), env("limited", env=amounts, resources=resources),
            env("free", env=amounts[:2])], name="itself",
    )  # fmt: skip
    tree = k.get("pod", "itself")
    found = variables(said["fields"])
    assert (found["POD_NAME"], found["POD_NAMESPACE"]) == ("itself", k.namespace)
    assert found["POD_IP"] == tree["status"]["podIP"]
    assert found["HOST_IP"] == tree["status"]["hostIP"]
    assert found["HOST_IPS"] == ",".join(each["ip"] for each in tree["status"]["hostIPs"])
    assert found["POD_UID"] == tree["metadata"]["uid"]
    found = variables(said["limited"])
    assert (found["CPU_LIMIT"], found["MEMORY_LIMIT"]) == ("2", "67108864")
    assert (found["CPU_REQUEST"], found["MEMORY_REQUEST"]) == ("1", "33554432")
    found = variables(said["free"])
    allocatable = k.get("nodes")["items"][0]["status"]["allocatable"]
    assert found["CPU_LIMIT"] == allocatable["cpu"]
    assert int(found["MEMORY_LIMIT"]) == int(allocatable["memory"].removesuffix("Ki")) * 1024


@conforms(
    "[sig-node] Variable Expansion should allow composing env vars into new env vars [NodeConformance] [Conformance]",
    "[sig-node] Variable Expansion should allow substituting values in a container's command [NodeConformance] [Conformance]",
    "[sig-node] Variable Expansion should allow substituting values in a container's args [NodeConformance] [Conformance]",
)
def test_variables_within_variables(k):
    values = [
        {"name": "FOO", "value": "foo-value"}, {"name": "BAR", "value": "bar-value"},
        {"name": "FOOBAR", "value": "$(FOO);;$(BAR);$$(FOO);$(NOBODY)"},
    ]  # fmt: skip
    plain = {"image": IMAGE, "env": values}
    said = run(
        k,
        [
            env("variables", env=values),
            {"name": "command", "command": ["echo", "in: $(FOOBAR)"], **plain},
            {"name": "args", "command": ["echo"], "args": ["$(FOO)", "$$(BAR)"], **plain},
        ],
    )
    assert variables(said["variables"])["FOOBAR"] == "foo-value;;bar-value;$(FOO);$(NOBODY)"
    assert said["command"] == "in: foo-value;;bar-value;$(FOO);$(NOBODY)\n"
    assert said["args"] == "foo-value $(BAR)\n"


@pytest.fixture(scope="module")
def speaking_image(cluster, busybox_archive):
    """An image with an entry point and default arguments."""
    name = "kybern.local/speaking:1"
    path = Path(tempfile.mkstemp(suffix=".tar")[1])
    with tarfile.open(busybox_archive) as old, tarfile.open(path, "w") as new:
        (manifest,) = json.load(old.extractfile("manifest.json"))
        config = json.load(old.extractfile(manifest["Config"]))
        config["config"] |= {"Entrypoint": ["echo", "entry"], "Cmd": ["default", "arguments"]}
        manifest |= {"Config": "speaking.json", "RepoTags": [name]}
        for where, data in (
            ("speaking.json", json.dumps(config).encode()),
            ("manifest.json", json.dumps([manifest]).encode()),
            *((layer, old.extractfile(layer).read()) for layer in manifest["Layers"]),
        ):
            entry = tarfile.TarInfo(where)
            entry.size = len(data)
            new.addfile(entry, io.BytesIO(data))
    cluster.kybern("image", "load", str(path))
    path.unlink()
    return name


@conforms(
    "[sig-node] Containers should use the image defaults if command and args are blank [NodeConformance] [Conformance]",
    "[sig-node] Containers should be able to override the image's default arguments (container cmd) [NodeConformance] [Conformance]",
    "[sig-node] Containers should be able to override the image's default command (container entrypoint) [NodeConformance] [Conformance]",
    "[sig-node] Containers should be able to override the image's default command and arguments [NodeConformance] [Conformance]",
)
def test_what_the_image_says_and_what_the_pod_says(k, speaking_image):
    image = {"image": speaking_image}
    said = run(
        k,
        [
            {"name": "defaults", **image},
            {"name": "args", "args": ["override", "these"], **image},
            {"name": "command", "command": ["echo", "mine"], **image},
            {"name": "both", "command": ["echo", "mine"], "args": ["too"], **image},
        ],
    )
    assert said == {
        "defaults": "entry default arguments\n", "args": "entry override these\n",
        "command": "mine\n", "both": "mine too\n",
    }  # fmt: skip


@conforms(
    "[sig-node] Pods should contain environment variables for services [NodeConformance] [Conformance]",
)
def test_services_as_variables(k):
    start(k, [shell("c", "exec httpd -f -p 9376")], name="server",
          metadata={"labels": {"app": "server"}})  # fmt: skip
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "fooservice"},
        "spec": {"selector": {"app": "server"}, "ports": [{"port": 8765, "targetPort": 8080}]},
    }  # fmt: skip
    make(k, service)
    address = k.get("service", "fooservice")["spec"]["clusterIP"]
    found = variables(run(k, [env("c")])["c"])
    assert (
        found.items()
        >= {
            "FOOSERVICE_SERVICE_HOST": address,
            "FOOSERVICE_SERVICE_PORT": "8765",
            "FOOSERVICE_PORT": f"tcp://{address}:8765",
            "FOOSERVICE_PORT_8765_TCP_PORT": "8765",
            "FOOSERVICE_PORT_8765_TCP_PROTO": "tcp",
            "FOOSERVICE_PORT_8765_TCP": f"tcp://{address}:8765",
            "FOOSERVICE_PORT_8765_TCP_ADDR": address,
        }.items()
    )


@conforms(
    "[sig-auth] ServiceAccounts should mount an API token into pods [Conformance]",
    "[sig-auth] ServiceAccounts should mount projected service account token [Conformance]",
)
def test_tokens_as_files(k, cluster):
    folder = "/var/run/secrets/kubernetes.io/serviceaccount"
    source = {"serviceAccountToken": {"path": "token", "expirationSeconds": 600,
                                      "audience": "somebody"}}  # fmt: skip
    volumes = [{"name": "mine", "projected": {"sources": [source], "defaultMode": 0o440}}]
    said = run(
        k,
        [
            shell("token", f"cat {folder}/token"),
            shell("root-ca", f"cat {folder}/ca.crt"),
            shell("namespace", f"cat {folder}/namespace"),
            shell("projected", "cat /mine/token; echo; stat -Lc '%a' /mine/token",
                  volumeMounts=[{"name": "mine", "mountPath": "/mine"}]),
        ],
        name="with-tokens", volumes=volumes,
    )  # fmt: skip
    assert said["namespace"] == k.namespace
    assert said["root-ca"] == (cluster.directory / "pki/ca.crt").read_text()

    def review(token, **spec):
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
                "spec": {"token": token, **spec}}  # fmt: skip
        text = cluster.kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(body))
        return json.loads(text)["status"]

    user = review(said["token"])["user"]
    assert user["username"] == f"system:serviceaccount:{k.namespace}:default"
    assert user["extra"]["authentication.kubernetes.io/pod-name"] == ["with-tokens"]
    token, mode = said["projected"].split()
    assert mode == "440"
    assert review(token, audiences=["somebody"])["audiences"] == ["somebody"]
    assert not review(token).get("authenticated")
    assert ended(k, "with-tokens")["status"]["phase"] == "Succeeded"
