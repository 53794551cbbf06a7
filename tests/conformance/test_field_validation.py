"""Fields that do not exist, and fields that are there twice."""

from __future__ import annotations

from tests.conformance.marks import conforms
from tests.conformance.wire import APPLY, JSON, JSON_PATCH, MERGE, STRATEGIC
from tests.conformance.world import World, refused, world

DEPLOYMENT = """
{
  "apiVersion": "apps/v1", "kind": "Deployment",
  "metadata": {"name": "d", "labels": {"app": "nginx"}%s},
  "spec": {
    "selector": {"matchLabels": {"app": "nginx"}},
    "template": {
      "metadata": {"labels": {"app": "nginx"}},
      "spec": {"containers": [{"name": "nginx", "image": "nginx:latest"}]}
    }%s
  }
}
"""


@conforms(
    "[sig-api-machinery] FieldValidation should detect unknown and duplicate fields of a typed"
    " object [Conformance]"
)
@world()
async def test_unknown_and_duplicate_fields(w: World) -> None:
    path = f"/apis/apps/v1/namespaces/{await w.namespace()}/deployments"
    body = (DEPLOYMENT % ("", ', "unknownField": "foo", "replicas": 2, "replicas": 3')).encode()
    both = (
        'strict decoding error: unknown field "spec.unknownField", duplicate field "spec.replicas"'
    )
    for content_type in ("", JSON):  # a client that sends plain bytes names no type
        with refused(400, "BadRequest", both):
            await w.call("POST", path, body, query="fieldValidation=Strict",
                         content_type=content_type)  # fmt: skip
    # the default tells, and carries on
    answer = await w.raw("POST", path, body, query="dryRun=All")
    assert answer.status == 201
    assert answer.tree["spec"]["replicas"] == 3
    warnings = answer.headers["warning"]
    assert '299 - "unknown field \\"spec.unknownField\\""' in warnings
    ignored = await w.raw("POST", path, body, query="fieldValidation=Ignore")
    assert ignored.status == 201
    assert "warning" not in ignored.headers
    twice = b'{"spec": {"unknownField": "foo", "replicas": 1, "replicas": 2}}'
    for kind, patch, problem in (
        (MERGE, twice, 'duplicate field "spec.replicas", unknown field "spec.unknownField"'),
        (STRATEGIC, twice, 'duplicate field "spec.replicas", unknown field "spec.unknownField"'),
        (JSON_PATCH, b'[{"op": "add", "path": "/spec/unknownField", "value": "foo"}]',
         'unknown field "spec.unknownField"'),
    ):  # fmt: skip
        with refused(422, "Invalid", f"strict decoding error: {problem}") as answers:
            await w.call("PATCH", f"{path}/d", patch, content_type=kind,
                         query="fieldValidation=Strict")  # fmt: skip
        assert [cause["field"] for cause in answers[0].details["causes"]] == ["patch"]


@conforms(
    "[sig-api-machinery] FieldValidation should detect unknown metadata fields of a typed object"
    " [Conformance]"
)
@world()
async def test_unknown_metadata(w: World) -> None:
    path = f"/apis/apps/v1/namespaces/{await w.namespace()}/deployments"
    body = (DEPLOYMENT % (', "unknownMeta": "foo"', "")).encode()
    with refused(400, "BadRequest", 'strict decoding error: unknown field "metadata.unknownMeta"'):
        await w.call("POST", path, body, query="fieldValidation=Strict", content_type=JSON)
    with refused(500, "", ".metadata.unknownMeta: field not declared in schema"):
        await w.call(
            "PATCH", f"{path}/d", body, content_type=APPLY,
            query="fieldValidation=Strict&fieldManager=tester",
        )  # fmt: skip


YAML = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: y}
spec:
  paused: true
  paused: false
  selector: {matchLabels: {app: y}}
  template:
    metadata: {labels: {app: y}}
    spec:
      containers:
        - name: c
          image: i
          imagePullPolicy: Always
          imagePullPolicy: Never
"""


@world()
async def test_duplicate_fields_of_yaml(w: World) -> None:
    path = f"/apis/apps/v1/namespaces/{await w.namespace()}/deployments"
    lines = (
        'line 7: key "paused" already set in map',
        'line 16: key "imagePullPolicy" already set in map',
    )
    said = "yaml: unmarshal errors:\n  " + "\n  ".join(lines)
    query = "fieldManager=tester&fieldValidation="
    with refused(400, "BadRequest", f"strict decoding error: {said}"):
        await w.call("POST", path, YAML.encode(), content_type="application/yaml",
                     query=f"{query}Strict")  # fmt: skip
    with refused(400, "BadRequest", "error strict decoding YAML: error converting YAML to JSON: "
                 + said):  # fmt: skip
        await w.call("PATCH", f"{path}/y", YAML.encode(), content_type=APPLY,
                     query=f"{query}Strict")  # fmt: skip
    for method, where, content_type in (
        ("POST", path, "application/yaml"), ("PATCH", f"{path}/y", APPLY),
    ):  # fmt: skip
        answer = await w.raw(method, where, YAML.encode(), content_type=content_type,
                             query=f"{query}Warn")  # fmt: skip
        assert answer.status < 300
        for line in lines:
            assert line.replace('"', '\\"') in answer.headers["warning"]
        assert "\\n" not in answer.headers["warning"]
