"""The documents that kubectl explain and kubectl apply read."""

import json

import pytest

from kybern.api.scheme import SCHEME
from kybern.apiserver import discovery
from kybern.apiserver.openapi import OpenApi


@pytest.fixture(scope="module")
def api():
    return OpenApi([discovery.served(kind) for kind in SCHEME.kinds])


def test_every_reference_in_v3_leads_somewhere(api):
    for prefix in api.index()["paths"]:
        text = api.v3(prefix).decode()
        schemas = json.loads(text)["components"]["schemas"]
        found = {part.split('"', 1)[0] for part in text.split("#/components/schemas/")[1:]}
        assert found <= set(schemas), prefix


def test_kubectl_finds_field_validation_by_kind(api):
    paths = json.loads(api.v3("apis/apps/v1"))["paths"]
    patch = paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"]["kind"] == "Deployment"
    assert "fieldValidation" in {p["name"] for p in patch["parameters"]}


def test_kubectl_explain_finds_the_schema_by_kind(api):
    schemas = json.loads(api.v3("api/v1"))["components"]["schemas"]
    pod = schemas["io.k8s.api.core.v1.Pod"]
    assert pod["x-kubernetes-group-version-kind"] == [{"group": "", "kind": "Pod", "version": "v1"}]
    assert pod["properties"]["spec"]["allOf"] == [
        {"$ref": "#/components/schemas/io.k8s.api.core.v1.PodSpec"}
    ]


def test_v2_refers_to_definitions(api):
    tree = json.loads(api.v2())
    assert tree["swagger"] == "2.0"
    spec = tree["definitions"]["io.k8s.api.core.v1.Pod"]["properties"]["spec"]
    assert spec["$ref"] == "#/definitions/io.k8s.api.core.v1.PodSpec"


def test_the_hash_changes_with_what_is_served(api):
    fewer = OpenApi([discovery.served(k) for k in SCHEME.kinds if k.kind != "Pod"])
    assert fewer.v3_hash("api/v1") != api.v3_hash("api/v1")
    assert fewer.v3_hash("apis/apps/v1") == api.v3_hash("apis/apps/v1")
    assert fewer.v2_hash() != api.v2_hash()


def test_kinds_that_upstream_serves_as_custom_resources_have_schemas(api):
    schemas = json.loads(api.v3("apis/snapshot.storage.k8s.io/v1"))["components"]["schemas"]
    name = "io.k8s.storage.snapshot.v1.VolumeSnapshotContent"
    content = schemas[name + "Spec"]["properties"]
    assert content["deletionPolicy"] == {"type": "string"}
    reference = "#/components/schemas/io.k8s.api.core.v1.ObjectReference"
    assert content["volumeSnapshotRef"] == {"$ref": reference}
    status = schemas[name + "Status"]["properties"]
    assert status["restoreSize"] == {"type": "integer", "format": "int64"}
    assert schemas[name]["x-kubernetes-group-version-kind"][0]["kind"] == "VolumeSnapshotContent"
    assert schemas[name + "List"]["properties"]["items"]["type"] == "array"
    parameters = schemas["io.k8s.storage.snapshot.v1.VolumeSnapshotClass"]["properties"][
        "parameters"
    ]
    assert parameters["additionalProperties"] == {"type": "string"}
