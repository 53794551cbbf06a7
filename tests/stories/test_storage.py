"""Volumes that outlive their pods, on the node's own disk."""

import json

from .conftest import IMAGE, eventually

DATABASE = f"""
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: db}}
spec:
  serviceName: db
  replicas: 2
  selector: {{matchLabels: {{app: db}}}}
  template:
    metadata: {{labels: {{app: db}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: c
          image: {IMAGE}
          command: [sh, -c, "hostname >>/data/log; exec sleep 10000"]
          volumeMounts: [{{name: data, mountPath: /data}}]
  volumeClaimTemplates:
    - metadata: {{name: data}}
      spec:
        accessModes: [ReadWriteOnce]
        resources: {{requests: {{storage: 32Mi}}}}
"""


def size(k, pod):
    """Return the megabytes of the volume, as the pod sees it."""
    return int(k("exec", pod, "--", "df", "-m", "/data").split()[-5])


def grown(k, claim, wanted):
    return k.get("pvc", claim)["status"]["capacity"]["storage"] == wanted


def test_numbered_pods_keep_their_data(k, cluster):
    k("apply", "-f", "-", stdin=DATABASE)
    k("rollout", "status", "statefulset/db", "--timeout=60s")
    claims = k.get("pvc")["items"]
    assert [c["metadata"]["name"] for c in claims] == ["data-db-0", "data-db-1"]
    assert {c["spec"]["storageClassName"] for c in claims} == {"local-path"}
    k("delete", "pod", "db-0")
    k("wait", "--for=condition=Ready", "pod/db-0", "--timeout=30s")
    assert k("exec", "db-0", "--", "cat", "/data/log").split() == ["db-0", "db-0"]
    assert k("exec", "db-1", "--", "cat", "/data/log").split() == ["db-1"]

    # no more than was asked for, and more when more is asked for
    assert 16 <= size(k, "db-1") <= 32
    told = k("exec", "db-1", "--", "dd", "if=/dev/zero", "of=/data/x", "bs=1M", "count=64",
             check=False)  # fmt: skip
    assert "No space left on device" in told.stderr
    k("exec", "db-1", "--", "rm", "/data/x")
    more = {"spec": {"resources": {"requests": {"storage": "64Mi"}}}}
    k("patch", "pvc", "data-db-1", "--type=merge", "-p", json.dumps(more))
    # at once where the kernel lets us, else with the next pod
    eventually(
        lambda: grown(k, "data-db-1", "64Mi") or k.get("pvc", "data-db-1")["status"].get("conditions")
    )  # fmt: skip
    k("delete", "pod", "db-1")
    k("wait", "--for=condition=Ready", "pod/db-1", "--timeout=30s")
    eventually(lambda: grown(k, "data-db-1", "64Mi"), 30)
    assert size(k, "db-1") > 40
    assert k("exec", "db-1", "--", "cat", "/data/log").split() == ["db-1", "db-1"]

    # the claims outlive the set, and the data goes with the claims
    k("delete", "statefulset", "db")
    assert len(k.get("pvc")["items"]) == 2
    names = [c["spec"]["volumeName"] for c in k.get("pvc")["items"]]
    k("delete", "pvc", "--all", "--timeout=30s")
    volumes = cluster.directory / "volumes"

    def gone():
        return not any((volumes / name).exists() for name in names) and not any(
            v["metadata"]["name"] in names for v in k.get("pv")["items"]
        )

    eventually(gone, 30)


def test_what_cannot_be_provided_is_said(k):
    claim = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "shared"},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Mi"}}},
    }  # fmt: skip
    k("apply", "-f", "-", stdin=json.dumps(claim))
    container = {"name": "c", "image": IMAGE, "command": ["sleep", "100"]}
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": "shared"}}
    pod = {"containers": [container], "volumes": [volume]}
    k("apply", "-f", "-", stdin=json.dumps(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": pod}
    ))  # fmt: skip
    eventually(lambda: "use ReadWriteOnce, not ReadWriteMany" in k("describe", "pvc", "shared"))
    smaller = {"spec": {"resources": {"requests": {"storage": "2Mi"}}}}
    told = k("patch", "pvc", "shared", "-p", json.dumps(smaller), check=False)
    assert "spec is immutable after creation except" in told.stderr
