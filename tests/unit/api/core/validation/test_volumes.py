from __future__ import annotations

import pytest
from tests.unit.api.objects import created, pod

V = "spec.volumes[0]"
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


@pytest.mark.parametrize(
    ("source", "problems"),
    [
        ({"emptyDir": {}}, []),
        (
            {"emptyDir": {}, "hostPath": {"path": "/x"}},
            [".hostPath: Forbidden: may not specify more than 1 volume type"],
        ),
        (
            {"emptyDir": {"sizeLimit": "-1"}},
            [".emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity"],
        ),
        ({"hostPath": {"path": ""}}, [".hostPath.path: Required value"]),
        (
            {"hostPath": {"path": "/a/../b"}},
            [".hostPath.path: Invalid value: \"/a/../b\": must not contain '..'"],
        ),
        (
            {"hostPath": {"path": "/a", "type": "x"}},
            [
                '.hostPath.type: Unsupported value: "x": supported values: "", "BlockDevice", '
                '"CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"'
            ],
        ),
        ({"secret": {}}, [".secret.secretName: Required value"]),
        (
            {"secret": {"secretName": "s", "defaultMode": 512}},
            [
                ".secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777 "
                "(octal), both inclusive"
            ],
        ),
        (
            {"secret": {"secretName": "s", "items": [{"key": "", "path": "../x"}]}},
            [
                ".secret.items[0].key: Required value",
                ".secret.items[0].path: Invalid value: \"../x\": must not contain '..'",
            ],
        ),
        (
            {"configMap": {"name": "c", "items": [{"key": "k", "path": "..x"}]}},
            [".configMap.items[0].path: Invalid value: \"..x\": must not start with '..'"],
        ),
        (
            {"configMap": {"name": "c", "items": [{"key": "k", "path": "/x"}]}},
            ['.configMap.items[0].path: Invalid value: "/x": must be a relative path'],
        ),
        ({"configMap": {}}, [".configMap.name: Required value"]),
        (
            {"nfs": {"server": "s", "path": "x"}},
            ['.nfs.path: Invalid value: "x": must be an absolute path'],
        ),
        (
            {"persistentVolumeClaim": {"claimName": ""}},
            [".persistentVolumeClaim.claimName: Required value"],
        ),
        (
            {"downwardAPI": {"items": [{"path": "x"}]}},
            [".downwardAPI: Required value: one of fieldRef and resourceFieldRef is required"],
        ),
        (
            {"downwardAPI": {"items": [{"path": "x", "resourceFieldRef": {"resource": "a"}}]}},
            [".downwardAPI.resourceFieldRef.containerName: Required value"],
        ),
        (
            {"downwardAPI": {"items": [{"path": "l", "fieldRef": {
                "fieldPath": "metadata.labels['app']"}}]}},
            [],
        ),
        (
            {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "spec.nodeName"}}]}},
            ['.downwardAPI.fieldRef.fieldPath: Unsupported value: "spec.nodeName": supported '
             'values: "metadata.annotations", "metadata.labels", "metadata.name", '
             '"metadata.namespace", "metadata.uid"'],
        ),
        (
            {"projected": {"sources": [{"secret": {"name": "s", "items": [
                {"key": "k", "path": "p"}]}}, {"configMap": {"name": "c", "items": [
                    {"key": "k", "path": "p"}]}}]}},
            ['.projected: Invalid value: "c": conflicting duplicate paths'],
        ),
        (
            {"projected": {"sources": [{"serviceAccountToken": {
                "path": "t", "expirationSeconds": 1}}]}},
            [".projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 1: may "
             "not specify a duration less than 10 minutes"],
        ),
        (
            {"projected": {"sources": [{"secret": {"name": "s"}, "configMap": {"name": "c"}}]}},
            [".projected.sources[0]: Forbidden: may not specify more than 1 volume type per "
             "source"],
        ),
        ({"ephemeral": {}}, [".ephemeral.volumeClaimTemplate: Required value"]),
        ({"ephemeral": {"volumeClaimTemplate": {"spec": CLAIM}}}, []),
        (
            {"ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
            [".ephemeral.volumeClaimTemplate.spec.accessModes: Required value: at least 1 access "
             "mode is required",
             ".ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value"],
        ),
        ({"csi": {"driver": ""}}, [".csi.driver: Required value"]),
        ({"image": {}}, [".image.reference: Required value"]),
        (
            {"fc": {}},
            [".fc.targetWWNs: Required value: must specify either targetWWNs or wwids, but not "
             "both"],
        ),
        (
            {"flexVolume": {"driver": "d", "options": {"kubernetes.io/x": "y"}}},
            ['.flexVolume.options[kubernetes.io/x]: Invalid value: "kubernetes.io/x": '
             "kubernetes.io and k8s.io namespaces are reserved"],
        ),
    ],
)  # fmt: skip
def test_volumes(source, problems):
    found = created("v1/Pod", pod(volumes=[{"name": "v", **source}], serviceAccountName="a"))
    start = [V + problem for problem in problems]
    assert found[: len(start)] == start
    assert bool(found) == bool(start)


def test_names_of_volumes():
    volumes = [{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}, {"name": ""}]
    assert created("v1/Pod", pod(volumes=volumes)) == [
        'spec.volumes[1].name: Duplicate value: "v"',
        "spec.volumes[2].name: Required value",
    ]


def test_a_claim_made_for_the_pod_is_not_also_used_by_name():
    volumes = [
        {"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": CLAIM}}},
        {"name": "w", "persistentVolumeClaim": {"claimName": "x-v"}},
    ]
    assert created("v1/Pod", pod(volumes=volumes)) == [
        'spec.volumes[1].persistentVolumeClaim.claimName: Invalid value: "x-v": must not '
        "reference a PVC that gets created for an ephemeral volume"
    ]


# --- persistent volumes and claims --------------------------------------------------------------

VOLUME = {
    "capacity": {"storage": "1Gi"},
    "accessModes": ["ReadWriteOnce"],
    "hostPath": {"path": "/x"},
}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"capacity": {}}, "capacity: Required value"),
        (
            {"capacity": {"storage": "0"}},
            'capacity[storage]: Invalid value: "0": must be greater than zero',
        ),
        (
            {"accessModes": ["x"]},
            'accessModes: Unsupported value: "x": supported values: "ReadOnlyMany", '
            '"ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"',
        ),
        (
            {"accessModes": ["ReadWriteOnce", "ReadWriteOncePod"]},
            "accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
        ),
        (
            {"persistentVolumeReclaimPolicy": "x"},
            'persistentVolumeReclaimPolicy: Unsupported value: "x": supported values: "Delete", '
            '"Recycle", "Retain"',
        ),
        (
            {"hostPath": None, "local": {"path": "/x"}},
            "nodeAffinity: Required value: Local volume requires node affinity",
        ),
        (
            {"nfs": {"server": "s", "path": "/x"}},
            "nfs: Forbidden: may not specify more than 1 volume type",
        ),
        (
            {"hostPath": None, "csi": {"driver": "d.x", "volumeHandle": ""}},
            "csi.volumeHandle: Required value",
        ),
    ],
)
def test_persistent_volumes(fields, problem):
    tree = {key: value for key, value in {**VOLUME, **fields}.items() if value is not None}
    assert f"spec.{problem}" in created("v1/PersistentVolume", {"spec": tree})


def test_the_source_of_a_volume_stays():
    new = {**VOLUME, "hostPath": {"path": "/y"}}
    from tests.unit.api.objects import updated

    (problem,) = updated("v1/PersistentVolume", {"spec": VOLUME}, {"spec": new})
    assert problem.startswith(
        "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after "
        "creation\n"
    )


def test_a_claim_grows_once_it_is_bound():
    from tests.unit.api.objects import updated

    def claim(size, phase="Bound", **more):
        spec = {**CLAIM, "resources": {"requests": {"storage": size}}, **more}
        return {"spec": spec, "status": {"phase": phase, "capacity": {"storage": "1Gi"}}}

    name = "v1/PersistentVolumeClaim"
    assert updated(name, claim("1Gi"), claim("2Gi")) == []
    assert updated(name, claim("1Gi"), claim("512Mi")) == [
        "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"
    ]
    (problem,) = updated(name, claim("1Gi", "Pending"), claim("2Gi", "Pending"))
    assert problem.startswith(
        "spec: Forbidden: spec is immutable after creation except resources.requests and "
        "volumeAttributesClassName for bound claims\n"
    )
    assert updated(name, claim("1Gi"), claim("1Gi", volumeName="v")) == []
    assert updated(name, claim("1Gi"), claim("1Gi", storageClassName="fast")) == []
