"""What discovery says, as kubectl and the official clients read it."""

import pytest

from kybern.api.scheme import SCHEME
from kybern.apiserver.discovery import Discovery, served


@pytest.fixture(scope="module")
def documents():
    return Discovery([served(kind) for kind in SCHEME.kinds], "192.0.2.1:6443")


def test_groups_have_a_preferred_version(documents):
    groups = {g["name"]: g for g in documents.groups()["groups"]}
    assert groups["autoscaling"]["preferredVersion"]["version"] == "v2"
    assert [v["version"] for v in groups["autoscaling"]["versions"]] == ["v2", "v1"]
    assert "" not in groups


def test_resources_of_core(documents):
    entries = {e["name"]: e for e in documents.resources("", "v1")["resources"]}
    assert entries["pods"]["shortNames"] == ["po"]
    assert entries["pods/exec"]["kind"] == "PodExecOptions"
    assert entries["pods/eviction"] | {} == {
        "name": "pods/eviction", "singularName": "", "namespaced": True,
        "group": "policy", "version": "v1", "kind": "Eviction", "verbs": ["create"],
    }  # fmt: skip
    assert "deletecollection" not in entries["namespaces"]["verbs"]


def test_aggregated(documents):
    tree = documents.aggregated("v2", core=True)
    (core,) = tree["items"]
    pods = next(r for r in core["versions"][0]["resources"] if r["resource"] == "pods")
    assert pods["scope"] == "Namespaced"
    assert {s["subresource"] for s in pods["subresources"]} >= {"log", "exec", "status", "binding"}
    groups = [item["metadata"]["name"] for item in documents.aggregated("v2", core=False)["items"]]
    assert groups[:2] == ["apiregistration.k8s.io", "apps"]
