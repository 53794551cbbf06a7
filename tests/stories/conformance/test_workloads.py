"""Workloads whose pods answer."""

from tests.conformance.marks import conforms
from tests.stories.conformance.pods import make, shell
from tests.stories.conformance.test_networks import SPEAKER, from_node
from tests.stories.conftest import eventually


def replicated(api_version, kind, selector):
    template = {
        "metadata": {"labels": {"app": "basic"}},
        "spec": {"containers": [shell("c", SPEAKER)], "terminationGracePeriodSeconds": 0},
    }
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "basic"},
            "spec": {"replicas": 2, "selector": selector, "template": template}}  # fmt: skip


def each_answers_with_its_name(k, kind):
    def ready():
        return k.get(kind, "basic")["status"].get("readyReplicas") == 2

    eventually(ready)
    pods = {one["metadata"]["name"]: one["status"]["podIP"] for one in k.get("pods")["items"]}
    assert len(pods) == 2
    for name, address in pods.items():
        eventually(lambda name=name, address=address: from_node(f"{address}:8080") == name)


@conforms(
    "[sig-apps] ReplicaSet should serve a basic image on each replica with a public image [Conformance]"
)
def test_a_replica_set_serves(k):
    make(k, replicated("apps/v1", "ReplicaSet", {"matchLabels": {"app": "basic"}}))
    each_answers_with_its_name(k, "replicaset")


@conforms(
    "[sig-apps] ReplicationController should serve a basic image on each replica with a public image [Conformance]"
)
def test_a_replication_controller_serves(k):
    make(k, replicated("v1", "ReplicationController", {"app": "basic"}))
    each_answers_with_its_name(k, "replicationcontroller")
