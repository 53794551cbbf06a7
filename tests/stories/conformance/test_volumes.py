"""Volumes made of objects, and empty ones: contents, modes, owners, updates, sub-paths."""

import json
from pathlib import Path

import pytest

from tests.conformance.marks import conforms
from tests.ports import free_port
from tests.stories.conformance.pods import (
    config_map,
    create,
    make,
    run,
    secret,
    shell,
    start,
    status,
)
from tests.stories.conftest import eventually
from tests.stories.registry import registry


def sources(kind, **options):
    """Return the four ways to a volume of this kind of object: plain, moded, mapped, both."""
    items = [{"key": "data-1", "path": "path/to/data-1"}]
    moded = [{**items[0], "mode": 0o400}]
    variants = {
        "plain": {}, "moded": {"defaultMode": 0o400}, "mapped": {"items": items},
        "mapped-moded": {"items": moded}, "again": {},
    }  # fmt: skip
    return [volume(kind, name, {**extra, **options}) for name, extra in variants.items()]


def volume(kind, name, extra):
    what, projected = kind.removeprefix("projected-"), kind.startswith("projected-")
    extra = dict(extra)
    mode = {"defaultMode": extra.pop("defaultMode")} if "defaultMode" in extra else {}
    if projected:
        source = {"name": "it", **extra}
        return {"name": name, "projected": {"sources": [{what: source}], **mode}}
    key = "secretName" if what == "secret" else "name"
    return {"name": name, what: {key: "it", **extra, **mode}}


def mounted(volumes):
    return [{"name": v["name"], "mountPath": f"/v/{v['name']}"} for v in volumes]


SHOW = (
    "for f in $(find -L /v -name data-1 -not -path '*/..*' | sort);"
    " do echo $f $(stat -Lc %a $f) $(cat $f); done"
)


@conforms(
    "[sig-storage] ConfigMap should be consumable from pods in volume [NodeConformance] [Conformance]",
    "[sig-storage] ConfigMap should be consumable from pods in volume with defaultMode set [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] ConfigMap should be consumable from pods in volume as non-root [NodeConformance] [Conformance]",
    "[sig-storage] ConfigMap should be consumable from pods in volume with mappings [NodeConformance] [Conformance]",
    "[sig-storage] ConfigMap should be consumable from pods in volume with mappings and Item mode set [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] ConfigMap should be consumable from pods in volume with mappings as non-root [NodeConformance] [Conformance]",
    "[sig-storage] ConfigMap should be consumable in multiple volumes in the same pod [NodeConformance] [Conformance]",
    "[sig-storage] Projected configMap should be consumable from pods in volume [NodeConformance] [Conformance]",
    "[sig-storage] Projected configMap should be consumable from pods in volume with defaultMode set [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] Projected configMap should be consumable from pods in volume as non-root [NodeConformance] [Conformance]",
    "[sig-storage] Projected configMap should be consumable from pods in volume with mappings [NodeConformance] [Conformance]",
    "[sig-storage] Projected configMap should be consumable from pods in volume with mappings and Item mode set [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] Projected configMap should be consumable from pods in volume with mappings as non-root [NodeConformance] [Conformance]",
    "[sig-storage] Projected configMap should be consumable in multiple volumes in the same pod [NodeConformance] [Conformance]",
    "[sig-storage] Secrets should be consumable from pods in volume [NodeConformance] [Conformance]",
    "[sig-storage] Secrets should be consumable from pods in volume with defaultMode set [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] Secrets should be consumable from pods in volume as non-root with defaultMode and fsGroup set [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] Secrets should be consumable from pods in volume with mappings [NodeConformance] [Conformance]",
    "[sig-storage] Secrets should be consumable from pods in volume with mappings and Item Mode set [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] Secrets should be consumable in multiple volumes in a pod [NodeConformance] [Conformance]",
    "[sig-storage] Projected secret should be consumable from pods in volume [NodeConformance] [Conformance]",
    "[sig-storage] Projected secret should be consumable from pods in volume with defaultMode set [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] Projected secret should be consumable from pods in volume as non-root with defaultMode and fsGroup set [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] Projected secret should be consumable from pods in volume with mappings [NodeConformance] [Conformance]",
    "[sig-storage] Projected secret should be consumable from pods in volume with mappings and Item Mode set [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] Projected secret should be consumable in multiple volumes in a pod [NodeConformance] [Conformance]",
    "[sig-storage] EmptyDir wrapper volumes should not conflict [Conformance]",
)
@pytest.mark.parametrize("kind", ["configMap", "projected-configMap", "secret", "projected-secret"])
def test_objects_as_files(k, kind):
    maker = secret if kind.endswith("secret") else config_map
    make(k, maker("it", **{"data-1": "value-1"}), config_map("other", x="y"), secret("some", x="y"))
    volumes = sources(kind)
    both = [
        {"name": "other", "configMap": {"name": "other"}},
        {"name": "some", "secret": {"secretName": "some"}},
    ]
    containers = [
        shell("root", SHOW, volumeMounts=mounted(volumes)),
        shell("both", "cat /v/other/x /v/some/x", volumeMounts=mounted(both)),
    ]
    said = run(k, containers, volumes=[*volumes, *both])
    assert said["root"].splitlines() == [
        "/v/again/data-1 644 value-1",
        "/v/mapped-moded/path/to/data-1 400 value-1",
        "/v/mapped/path/to/data-1 644 value-1",
        "/v/moded/data-1 400 value-1",
        "/v/plain/data-1 644 value-1",
    ]
    assert said["both"] == "yy"

    volumes = [v for v in sources(kind) if v["name"] in ("plain", "mapped")]
    grouped = [volume(kind, "grouped", {"defaultMode": 0o440})]
    said = run(
        k, [shell("user", f"id -u; {SHOW}", volumeMounts=mounted([*volumes, *grouped]))],
        volumes=[*volumes, *grouped], securityContext={"runAsUser": 1000, "fsGroup": 1001},
    )  # fmt: skip
    assert said["user"].splitlines() == [
        "1000",
        "/v/grouped/data-1 440 value-1",
        "/v/mapped/path/to/data-1 644 value-1",
        "/v/plain/data-1 644 value-1",
    ]


@conforms(
    "[sig-storage] Secrets should be able to mount in a volume regardless of a different secret existing with same name in different namespace [NodeConformance] [Conformance]",
)
def test_a_secret_of_the_same_name_elsewhere(k, cluster):
    other = f"{k.namespace}-2"
    cluster.kubectl("create", "namespace", other)
    try:
        cluster.kubectl("create", "secret", "generic", "it", "--from-literal=data-1=wrong",
                        namespace=other)  # fmt: skip
        make(k, secret("it", **{"data-1": "right"}))
        volumes = [volume("secret", "plain", {})]
        said = run(k, [shell("c", SHOW, volumeMounts=mounted(volumes))], volumes=volumes)
        assert said["c"] == "/v/plain/data-1 644 right\n"
    finally:
        cluster.kubectl("delete", "namespace", other, "--wait=false")


@conforms(
    "[sig-storage] ConfigMap binary data should be reflected in volume [NodeConformance] [Conformance]"
)
def test_binary_data(k):
    tree = config_map("it", text="value")
    make(k, {**tree, "binaryData": {"dump.bin": "3srK/vD2AA=="}})
    said = run(
        k, [shell("c", "cat /v/text; echo; xxd -p /v/dump.bin",
                  volumeMounts=[{"name": "v", "mountPath": "/v"}])],
        volumes=[{"name": "v", "configMap": {"name": "it"}}],
    )  # fmt: skip
    assert said["c"] == "value\ndecacafef0f600\n"


@conforms(
    "[sig-storage] ConfigMap updates should be reflected in volume [NodeConformance] [Conformance]",
    "[sig-storage] ConfigMap optional updates should be reflected in volume [NodeConformance] [Conformance]",
    "[sig-storage] Projected configMap updates should be reflected in volume [NodeConformance] [Conformance]",
    "[sig-storage] Projected configMap optional updates should be reflected in volume [NodeConformance] [Conformance]",
    "[sig-storage] Secrets optional updates should be reflected in volume [NodeConformance] [Conformance]",
    "[sig-storage] Projected secret optional updates should be reflected in volume [NodeConformance] [Conformance]",
)
@pytest.mark.parametrize("what", ["configMap", "secret"])
def test_files_follow_their_objects(k, what):
    maker = secret if what == "secret" else config_map
    make(k, maker("updated", **{"data-1": "value-1", "data-3": "value-3"}),
         maker("deleted", **{"data-1": "value-1"}))  # fmt: skip
    volumes = []
    for name in ("created", "updated", "deleted"):
        key = "secretName" if what == "secret" else "name"
        volumes.append({"name": name, what: {key: name, "optional": True}})
        projected = {"sources": [{what: {"name": name, "optional": True}}]}
        volumes.append({"name": f"projected-{name}", "projected": projected})
    pod = start(k, [shell("c", "sleep 1000", volumeMounts=mounted(volumes))], volumes=volumes)

    def read(path):
        return k("exec", pod, "--", "sh", "-c", f"cat /v/{path} 2>&1", check=False).stdout

    for prefix in ("", "projected-"):
        assert "No such file" in read(f"{prefix}created/data-1")
        assert read(f"{prefix}updated/data-1") == "value-1"
        assert read(f"{prefix}deleted/data-1") == "value-1"
    k("delete", what, "deleted")
    changed = maker("updated", **{"data-1": "value-2"})
    k("replace", "-f", "-", stdin=json.dumps(changed))
    make(k, maker("created", **{"data-1": "value-1"}))
    for prefix in ("", "projected-"):
        eventually(lambda p=prefix: read(f"{p}created/data-1") == "value-1", 120)
        eventually(lambda p=prefix: read(f"{p}updated/data-1") == "value-2", 120)
        assert "No such file" in read(f"{prefix}updated/data-3")
        eventually(lambda p=prefix: "No such file" in read(f"{p}deleted/data-1"), 120)


RESOURCES = {
    "limits": {"cpu": "1250m", "memory": "64Mi"}, "requests": {"cpu": "250m", "memory": "32Mi"},
}  # fmt: skip


def amounts(container):
    return [
        {"path": name.replace(".", "_"), "resourceFieldRef": {
            "containerName": container, "resource": name, "divisor": divisor}}
        for name, divisor in (
            ("limits.cpu", "1m"), ("limits.memory", "1"), ("requests.cpu", "1m"),
            ("requests.memory", "1"),
        )
    ]  # fmt: skip


def downward(name, items, *, projected, **mode):
    if projected:
        return {"name": name, "projected": {"sources": [{"downwardAPI": {"items": items}}], **mode}}
    return {"name": name, "downwardAPI": {"items": items, **mode}}


@conforms(
    "[sig-storage] Downward API volume should provide podname only [NodeConformance] [Conformance]",
    "[sig-storage] Downward API volume should set DefaultMode on files [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] Downward API volume should set mode on item file [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] Downward API volume should provide container's cpu limit [NodeConformance] [Conformance]",
    "[sig-storage] Downward API volume should provide container's memory limit [NodeConformance] [Conformance]",
    "[sig-storage] Downward API volume should provide container's cpu request [NodeConformance] [Conformance]",
    "[sig-storage] Downward API volume should provide container's memory request [NodeConformance] [Conformance]",
    "[sig-storage] Downward API volume should provide node allocatable (cpu) as default cpu limit if the limit is not set [NodeConformance] [Conformance]",
    "[sig-storage] Downward API volume should provide node allocatable (memory) as default memory limit if the limit is not set [NodeConformance] [Conformance]",
    "[sig-storage] Projected downwardAPI should provide podname only [NodeConformance] [Conformance]",
    "[sig-storage] Projected downwardAPI should set DefaultMode on files [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] Projected downwardAPI should set mode on item file [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] Projected downwardAPI should provide container's cpu limit [NodeConformance] [Conformance]",
    "[sig-storage] Projected downwardAPI should provide container's memory limit [NodeConformance] [Conformance]",
    "[sig-storage] Projected downwardAPI should provide container's cpu request [NodeConformance] [Conformance]",
    "[sig-storage] Projected downwardAPI should provide container's memory request [NodeConformance] [Conformance]",
    "[sig-storage] Projected downwardAPI should provide node allocatable (cpu) as default cpu limit if the limit is not set [NodeConformance] [Conformance]",
    "[sig-storage] Projected downwardAPI should provide node allocatable (memory) as default memory limit if the limit is not set [NodeConformance] [Conformance]",
)
@pytest.mark.parametrize("projected", [False, True])
def test_what_a_pod_reads_of_itself(k, projected):
    named = {"path": "podname", "fieldRef": {"fieldPath": "metadata.name"}}
    volumes = [
        downward("plain", [named], projected=projected),
        downward("moded", [named], projected=projected, defaultMode=0o400),
        downward("item", [{**named, "mode": 0o400}], projected=projected),
        downward("limited", amounts("limited"), projected=projected),
        downward("free", amounts("free"), projected=projected),
    ]
    show = "for f in /v/*/podname; do echo $f $(stat -Lc %a $f) $(cat $f); done"
    read = "cd /v/{0}; for f in limits_cpu limits_memory requests_cpu requests_memory; do cat $f; echo; done"
    containers = [
        shell("names", show, volumeMounts=mounted(volumes[:3])),
        shell("limited", read.format("limited"), resources=RESOURCES,
              volumeMounts=mounted(volumes[3:4])),
        shell("free", read.format("free"), volumeMounts=mounted(volumes[4:])),
    ]  # fmt: skip
    said = run(k, containers, name="itself", volumes=volumes)
    assert said["names"].splitlines() == [
        "/v/item/podname 400 itself", "/v/moded/podname 400 itself", "/v/plain/podname 644 itself",
    ]  # fmt: skip
    assert said["limited"].split() == ["1250", "67108864", "250", "33554432"]
    allocatable = k.get("nodes")["items"][0]["status"]["allocatable"]
    cpu, memory = said["free"].split()[:2]
    assert cpu == _milli(allocatable["cpu"])
    assert memory == _bytes(allocatable["memory"])


def _milli(text):
    return text[:-1] if text.endswith("m") else str(int(text) * 1000)


def _bytes(text):
    return str(int(text[:-2]) * 1024) if text.endswith("Ki") else text


@conforms(
    "[sig-storage] Downward API volume should update labels on modification [NodeConformance] [Conformance]",
    "[sig-storage] Downward API volume should update annotations on modification [NodeConformance] [Conformance]",
    "[sig-storage] Projected downwardAPI should update labels on modification [NodeConformance] [Conformance]",
    "[sig-storage] Projected downwardAPI should update annotations on modification [NodeConformance] [Conformance]",
)
def test_labels_and_annotations_as_they_change(k):
    items = [
        {"path": name, "fieldRef": {"fieldPath": f"metadata.{name}"}}
        for name in ("labels", "annotations")
    ]
    volumes = [
        downward("plain", items, projected=False), downward("projected", items, projected=True),
    ]  # fmt: skip
    pod = start(
        k, [shell("c", "sleep 1000", volumeMounts=mounted(volumes))], volumes=volumes,
        metadata={"labels": {"key1": "value1"}, "annotations": {"builder": "bar"}},
    )  # fmt: skip

    def read(path):
        return k("exec", pod, "--", "cat", f"/v/{path}")

    for folder in ("plain", "projected"):
        assert 'key1="value1"' in read(f"{folder}/labels")
        assert 'builder="bar"' in read(f"{folder}/annotations")
    k("label", "pod", pod, "key3=value3")
    k("annotate", "--overwrite", "pod", pod, "builder=foo")
    for folder in ("plain", "projected"):
        eventually(lambda f=folder: 'key3="value3"' in read(f"{f}/labels"), 120)
        eventually(lambda f=folder: 'builder="foo"' in read(f"{f}/annotations"), 120)


@conforms(
    "[sig-storage] Projected combined should project all components that make up the projection API [Projection] [NodeConformance] [Conformance]",
)
def test_everything_in_one_volume(k):
    make(k, config_map("m", **{"configmap-data": "configmap-value-1"}),
         secret("s", **{"secret-data": "secret-value-1"}))  # fmt: skip
    items = [{"path": "podname", "fieldRef": {"fieldPath": "metadata.name"}}, *amounts("c")]
    sources = [
        {"secret": {"name": "s", "items": [{"key": "secret-data", "path": "secret-data"}]}},
        {"configMap": {"name": "m",
                       "items": [{"key": "configmap-data", "path": "configmap-data"}]}},
        {"downwardAPI": {"items": items}},
    ]  # fmt: skip
    script = "cd /all; for f in podname secret-data configmap-data limits_cpu requests_memory; do cat $f; echo; done"
    said = run(
        k, [shell("c", script, resources=RESOURCES,
                  volumeMounts=[{"name": "all", "mountPath": "/all"}])],
        name="combined", volumes=[{"name": "all", "projected": {"sources": sources}}],
    )  # fmt: skip
    assert said["c"].split() == [
        "combined", "secret-value-1", "configmap-value-1", "1250", "33554432",
    ]  # fmt: skip


@conforms(
    "[sig-storage] EmptyDir volumes volume on tmpfs should have the correct mode [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] EmptyDir volumes should support (root,0644,tmpfs) [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] EmptyDir volumes should support (root,0666,tmpfs) [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] EmptyDir volumes should support (root,0777,tmpfs) [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] EmptyDir volumes should support (non-root,0644,tmpfs) [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] EmptyDir volumes should support (non-root,0666,tmpfs) [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] EmptyDir volumes should support (non-root,0777,tmpfs) [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] EmptyDir volumes volume on default medium should have the correct mode [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] EmptyDir volumes should support (root,0644,default) [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] EmptyDir volumes should support (root,0666,default) [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] EmptyDir volumes should support (root,0777,default) [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] EmptyDir volumes should support (non-root,0644,default) [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] EmptyDir volumes should support (non-root,0666,default) [LinuxOnly] [NodeConformance] [Conformance]",
    "[sig-storage] EmptyDir volumes should support (non-root,0777,default) [LinuxOnly] [NodeConformance] [Conformance]",
)
@pytest.mark.parametrize("user", [0, 1001])
def test_empty_volumes(k, user):
    volumes = [
        {"name": "memory", "emptyDir": {"medium": "Memory"}}, {"name": "disk", "emptyDir": {}},
    ]  # fmt: skip
    script = (
        "for d in memory disk; do stat -Lc '%a' /v/$d | tail -c 4; grep -c \" /v/$d tmpfs \" /proc/mounts;"
        " for m in 0644 0666 0777; do umask 0; echo content >/v/$d/$m; chmod $m /v/$d/$m;"
        " stat -c '%A %u' /v/$d/$m; cat /v/$d/$m; done; done"
    )
    said = run(k, [shell("c", script, volumeMounts=mounted(volumes),
                         securityContext={"runAsUser": user})], volumes=volumes)  # fmt: skip
    files = [
        line
        for mode in ("-rw-r--r--", "-rw-rw-rw-", "-rwxrwxrwx")
        for line in (f"{mode} {user}", "content")
    ]
    assert said["c"].splitlines() == ["777", "1", *files, "777", "0", *files]


@conforms(
    "[sig-storage] EmptyDir volumes pod should support shared volumes between containers [Conformance]"
)
def test_a_volume_of_two_containers(k):
    mounts = [{"name": "shared", "mountPath": "/shared"}]
    said = run(
        k,
        [
            shell("reader", "until cat /shared/data 2>/dev/null; do sleep 0.1; done",
                  volumeMounts=mounts),
            shell("writer", "sleep 1; echo from the other >/shared/new; mv /shared/new /shared/data",
                  volumeMounts=mounts),
        ],
        volumes=[{"name": "shared", "emptyDir": {}}],
    )  # fmt: skip
    assert said["reader"] == "from the other\n"


@conforms(
    "[sig-storage] Subpath Atomic writer volumes should support subpaths with secret pod [Conformance]",
    "[sig-storage] Subpath Atomic writer volumes should support subpaths with configmap pod [Conformance]",
    "[sig-storage] Subpath Atomic writer volumes should support subpaths with configmap pod with mountPath of existing file [Conformance]",
    "[sig-storage] Subpath Atomic writer volumes should support subpaths with downward pod [Conformance]",
    "[sig-storage] Subpath Atomic writer volumes should support subpaths with projected pod [Conformance]",
)
def test_parts_of_volumes(k):
    make(k, config_map("m", file="of the map"), secret("s", file="of the secret"))
    named = {"path": "file", "fieldRef": {"fieldPath": "metadata.name"}}
    items = [{"key": "file", "path": "folder/file"}]
    volumes = [
        {"name": "map", "configMap": {"name": "m"}},
        {"name": "secret", "secret": {"secretName": "s"}},
        {"name": "self", "downwardAPI": {"items": [named]}},
        {"name": "all", "projected": {"sources": [{"configMap": {"name": "m", "items": items}}]}},
    ]
    mounts = [
        {"name": "map", "mountPath": "/map", "subPath": "file"},
        {"name": "map", "mountPath": "/etc/nsswitch.conf", "subPath": "file"},
        {"name": "secret", "mountPath": "/secret", "subPath": "file"},
        {"name": "self", "mountPath": "/self", "subPath": "file"},
        {"name": "all", "mountPath": "/all", "subPath": "folder"},
    ]
    script = "for f in /map /etc/nsswitch.conf /secret /self /all/file; do cat $f; echo; done"
    said = run(k, [shell("c", script, volumeMounts=mounts)], name="parts", volumes=volumes)
    assert said["c"].splitlines() == [
        "of the map", "of the map", "of the secret", "parts", "of the map",
    ]  # fmt: skip


def expanding(expression, name, **env):
    """Return containers that mount a part of a volume whose name is made of their environment."""
    variables = [{"name": key, "value": value} for key, value in env.items()] + [
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "NOTE", "valueFrom": {"fieldRef": {
            "fieldPath": "metadata.annotations['mysubpath']"}}},
    ]  # fmt: skip
    mounts = [
        {"name": "work", "mountPath": "/part", "subPathExpr": expression},
        {"name": "work", "mountPath": "/whole"},
    ]
    return [shell(name, "echo hello >/part/file; cat /whole/*/file; exec sleep 1000",
                  env=variables, volumeMounts=mounts)]  # fmt: skip


@conforms(
    "[sig-node] Variable Expansion should allow substituting values in a volume subpath [Conformance]",
    "[sig-node] Variable Expansion should succeed in writing subpaths in container [Conformance]",
    "[sig-node] Variable Expansion should fail substituting values in a volume subpath with backticks [Conformance]",
    "[sig-node] Variable Expansion should fail substituting values in a volume subpath with absolute path [Conformance]",
    "[sig-node] Variable Expansion should verify that a failing subpath expansion can be modified during the lifecycle of a container [Slow] [Conformance]",
)
def test_parts_named_by_variables(k):
    volumes = [{"name": "work", "emptyDir": {}}]
    note = {"annotations": {"mysubpath": "mypath"}}
    pod = start(k, expanding("$(POD_NAME)", "c"), name="expanded", volumes=volumes, metadata=note)
    eventually(lambda: k("logs", pod) == "hello\n", 10)
    assert k("exec", pod, "--", "cat", "/whole/expanded/file") == "hello\n"
    # a finished expansion is not needed for the volume to go
    k("annotate", "--overwrite", "pod", pod, "mysubpath=newsubpath")
    k("delete", "pod", pod, "--timeout=30s")

    wrong = {"annotations": {"mysubpath": "../out"}}
    steps = create(k, expanding("$(BAD)", "c", BAD=".."), volumes=volumes, metadata=note)
    absolute = create(k, expanding("$(BAD)", "c", BAD="/tmp"), volumes=volumes, metadata=note)
    mended = create(k, expanding("$(NOTE)", "c"), volumes=volumes, metadata=wrong)
    for pod in (steps, absolute, mended):
        eventually(lambda p=pod: status(k, p)["state"].get("waiting", {}).get("reason")
                   == "CreateContainerConfigError", 30)  # fmt: skip
    k("annotate", "--overwrite", "pod", mended, "mysubpath=mypath")
    k("wait", "--for=condition=Ready", f"pod/{mended}", "--timeout=120s")
    assert k("exec", mended, "--", "cat", "/whole/mypath/file") == "hello\n"
    for pod in (steps, absolute):
        assert status(k, pod)["restartCount"] == 0
        assert not status(k, pod)["ready"]


@conforms(
    "[sig-node] ImageVolume should succeed with pod and pull policy of Always [LinuxOnly] [MinimumKubeletVersion:1.35] [Conformance]",
)
def test_an_image_is_a_volume(k, busybox_archive):
    port = free_port()
    with registry(busybox_archive, port) as asked:
        source = {"reference": f"localhost:{port}/kitten:1", "pullPolicy": "Always"}
        absent = {"reference": f"localhost:{port}/no/such", "pullPolicy": "Never"}
        mounts = [
            {"name": "volume", "mountPath": "/volume"},
            {"name": "volume", "mountPath": "/part", "subPath": "etc"},
        ]
        script = (
            "cat /volume/etc/nsswitch.conf /part/nsswitch.conf; ls /volume/bin/busybox;"
            " touch /volume/new; exec sleep 1000"
        )
        name = start(
            k,
            [shell("c", script, volumeMounts=mounts), shell("other", "exec sleep 1000")],
            volumes=[{"name": "volume", "image": source}, {"name": "unused", "image": absent}],
        )
        assert asked  # it was pulled, from there
    said = k("logs", name, "-c", "c").splitlines()
    assert sorted(said) == [
        "/volume/bin/busybox", "hosts: files dns", "hosts: files dns",
        "touch: /volume/new: Read-only file system",
    ]  # fmt: skip
    k("delete", "pod", name)
    assert not [line for line in Path("/proc/self/mountinfo").read_text().splitlines()
                if "kubernetes.io~image" in line]  # fmt: skip


def test_an_image_volume_that_cannot_be_had_holds_only_who_mounts_it(k):
    source = {"reference": "localhost:1/no/such", "pullPolicy": "Never"}
    mounts = [{"name": "volume", "mountPath": "/volume"}]
    create(k, [shell("waits", "exec sleep 1000", volumeMounts=mounts),
               shell("runs", "exec sleep 1000")],
           name="p", volumes=[{"name": "volume", "image": source}])  # fmt: skip

    def held():
        return status(k, "p", "waits")["state"].get("waiting", {}).get("reason")

    eventually(lambda: held() == "ErrImageNeverPull")
    eventually(lambda: "running" in status(k, "p", "runs")["state"])
