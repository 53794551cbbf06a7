"""Kinds that users define: definitions, and objects of them."""

from __future__ import annotations

import pytest

from tests.conformance.definitions import ANYTHING, API, define, definition, objects, version
from tests.conformance.marks import conforms
from tests.conformance.test_discovery import CLIENT_GO, V2, aggregated
from tests.conformance.wire import APPLY, JSON, STRATEGIC
from tests.conformance.world import World, refused, world

SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object", "required": ["cronSpec"],
            "properties": {
                "cronSpec": {"type": "string", "pattern": r"^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$"},
                "foo": {"type": "string"},
                "replicas": {"type": "integer", "minimum": 1, "maximum": 10},
                "ports": {
                    "type": "array", "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["containerPort", "protocol"],
                    "items": {
                        "type": "object", "required": ["containerPort", "protocol"],
                        "properties": {
                            "containerPort": {"type": "integer"}, "protocol": {"type": "string"},
                            "name": {"type": "string"},
                        },
                    },
                },
            },
        }
    },
}  # fmt: skip
SPEC = {"cronSpec": "* * * * */5"}


def cron_tab(name: str, **spec: object) -> dict:
    return {"apiVersion": "stable.example.com/v1", "kind": "CronTab",
            "metadata": {"name": name}, "spec": {**SPEC, **spec}}  # fmt: skip


@conforms(
    "[sig-api-machinery] CustomResourceDefinition resources [Privileged:ClusterAdmin] Simple"
    " CustomResourceDefinition creating/deleting custom resource definition objects works"
    " [Conformance]"
)
@world()
async def test_a_kind_comes_and_goes(w: World) -> None:
    body = definition(version("v1", SCHEMA))
    await define(w, body)
    definitions = w.resource(API, "customresourcedefinitions")
    made = await definitions.get("crontabs.stable.example.com")
    assert made["status"]["storedVersions"] == ["v1"]
    assert made["status"]["acceptedNames"]["listKind"] == "CronTabList"
    tabs = objects(w, body, namespace=await w.namespace())
    await tabs.create(cron_tab("one"))
    await definitions.delete("crontabs.stable.example.com")
    await w.wait(lambda: definitions.missing("crontabs.stable.example.com"), interval=0.01)
    answer = await w.raw("GET", tabs.kind.path(tabs.namespace))
    assert (answer.status, answer.body) == (404, b"404 page not found\n")
    await define(w, definition(version("v1", SCHEMA)))
    assert await tabs.names() == []  # what was of the kind before is gone with it


@conforms(
    "[sig-api-machinery] CustomResourceDefinition resources [Privileged:ClusterAdmin] Simple"
    " CustomResourceDefinition listing custom resource definition objects works [Conformance]"
)
@world()
async def test_definitions_by_label(w: World) -> None:
    definitions = w.resource(API, "customresourcedefinitions")
    for number in range(10):
        body = definition(kind=f"Kind{chr(97 + number)}")
        body["metadata"]["labels"] = {"test": "listing"}
        await define(w, body)
    await define(w, definition(kind="Other"))
    assert len(await definitions.names("test=listing")) == 10
    await definitions.delete_collection("test=listing")

    async def gone() -> bool:
        return await definitions.names() == ["others.stable.example.com"]

    await w.wait(gone, interval=0.01)


@conforms(
    "[sig-api-machinery] CustomResourceDefinition resources [Privileged:ClusterAdmin] Simple"
    " CustomResourceDefinition getting/updating/patching custom resource definition status"
    " sub-resource works [Conformance]"
)
@world()
async def test_the_status_of_a_definition(w: World) -> None:
    definitions, name = w.resource(API, "customresourcedefinitions"), "crontabs.stable.example.com"
    await define(w, definition())
    made = await definitions.get(name, subresource="status")
    extra = {"type": "Mine", "status": "True", "reason": "UpdateStatus", "message": "updated"}
    made["status"]["conditions"].append(extra)
    await definitions.update(made, subresource="status")
    found = (await definitions.get(name))["status"]["conditions"]
    assert any(c["message"] == "updated" and c["type"] == "Mine" for c in found)
    patch = {"status": {"conditions": [{**extra, "message": "patched"}]}}
    await definitions.patch(name, patch, subresource="status")
    found = (await definitions.get(name))["status"]["conditions"]
    assert any(c["message"] == "patched" for c in found)


@conforms(
    "[sig-api-machinery] CustomResourceDefinition Watch [Privileged:ClusterAdmin]"
    " CustomResourceDefinition Watch watch on custom resource definition objects [Conformance]"
)
@world()
async def test_watching_objects_of_a_kind(w: World) -> None:
    body = definition(kind="Noxu", group="mygroup.example.com", scope="Cluster")
    await define(w, body)
    noxus = objects(w, body)
    made = {"apiVersion": "mygroup.example.com/v1", "kind": "Noxu", "metadata": {"name": "a"},
            "content": {"key": "value"}, "num": {"num1": 1}}  # fmt: skip
    watch = await noxus.watch()
    await noxus.create(made)
    (added,) = await watch.expect("ADDED")
    assert added["content"] == {"key": "value"}
    await noxus.patch("a", {"num": {"num1": 2}})
    (modified,) = await watch.expect("MODIFIED")
    assert modified["num"] == {"num1": 2}
    await noxus.delete("a")
    await watch.expect("DELETED")
    await watch.close()


@conforms(
    "[sig-api-machinery] CustomResourceDefinition resources [Privileged:ClusterAdmin] custom"
    " resource defaulting for requests and from storage works [Conformance]"
)
@world()
async def test_defaults_of_requests_and_of_what_is_stored(w: World) -> None:
    def schema(**defaults: str) -> dict:
        properties = {
            name: {"type": "string", **({"default": defaults[name]} if name in defaults else {})}
            for name in ("a", "b")
        }
        return {"type": "object", "properties": properties}

    body = definition(version("v1", schema()), scope="Cluster")
    await define(w, body)
    tabs = objects(w, body)
    head = {"apiVersion": "stable.example.com/v1", "kind": "CronTab"}
    await tabs.create({**head, "metadata": {"name": "one"}})
    definitions, name = w.resource(API, "customresourcedefinitions"), "crontabs.stable.example.com"
    place = "/spec/versions/0/schema/openAPIV3Schema/properties"

    async def change(*operations: dict) -> None:
        await definitions.patch(name, list(operations), "application/json-patch+json")

    async def reads(wanted: str) -> bool:
        return (await tabs.get("one")).get(wanted) == f"{wanted.upper()}"

    await change({"op": "add", "path": f"{place}/a/default", "value": "A"})
    await w.wait(lambda: reads("a"), interval=0.01)
    await tabs.create({**head, "metadata": {"name": "two"}})
    await change(
        {"op": "remove", "path": f"{place}/a/default"},
        {"op": "add", "path": f"{place}/b/default", "value": "B"},
    )
    await w.wait(lambda: reads("b"), interval=0.01)
    assert "a" not in await tabs.get("one")  # it was only read that way
    two = await tabs.get("two")
    assert (two["a"], two["b"]) == ("A", "B")


@conforms(
    "[sig-api-machinery] AggregatedDiscovery should support raw aggregated discovery request for"
    " CRDs [Conformance]",
    "[sig-api-machinery] AggregatedDiscovery should support aggregated discovery interface for"
    " CRDs [Conformance]",
)
@world()
async def test_kinds_are_discovered(w: World) -> None:
    await define(w, definition(version("v1"), version("v1beta1"), version("v2alpha1")))
    for accept in (V2, CLIENT_GO):
        _, found = await aggregated(w, "/apis", accept)
        assert found["stable.example.com/v1"]["crontabs"]["responseKind"]["kind"] == "CronTab"
    group = await w.get("/apis/stable.example.com")
    assert [each["version"] for each in group["versions"]] == ["v1", "v1beta1", "v2alpha1"]
    resources = (await w.get("/apis/stable.example.com/v1"))["resources"]
    assert [each["name"] for each in resources] == ["crontabs"]


@conforms(
    "[sig-api-machinery] FieldValidation should create/apply a valid CR for CRD with validation"
    " schema [Conformance]"
)
@world()
async def test_a_valid_object(w: World) -> None:
    body = definition(version("v1", SCHEMA))
    await define(w, body)
    tabs = objects(w, body, namespace=await w.namespace())
    made = cron_tab("one", foo="bar", replicas=1)
    assert (await tabs.apply(made, fieldValidation="Strict"))["spec"]["foo"] == "bar"
    assert await tabs.names() == ["one"]
    with refused(422, "Invalid", ""):
        await tabs.create(cron_tab("two", cronSpec="often"))


@conforms(
    "[sig-api-machinery] FieldValidation should create/apply a CR with unknown fields for CRD with"
    " no validation schema [Conformance]"
)
@world()
async def test_unknown_fields_where_anything_goes(w: World) -> None:
    body = definition(version("v1", ANYTHING))
    await define(w, body)
    tabs = objects(w, body, namespace=await w.namespace())
    made = await tabs.apply(cron_tab("one", unknown="x"), fieldValidation="Strict")
    assert made["spec"]["unknown"] == "x"


@conforms(
    "[sig-api-machinery] FieldValidation should create/apply an invalid CR with extra properties"
    " for CRD with validation schema [Conformance]"
)
@world()
async def test_unknown_fields_are_refused_or_dropped(w: World) -> None:
    body = definition(version("v1", SCHEMA))
    await define(w, body)
    tabs = objects(w, body, namespace=await w.namespace())
    bad = cron_tab("one", extraProperty="arbitrary")
    path = tabs.kind.path(tabs.namespace)
    with refused(400, "BadRequest", 'strict decoding error: unknown field "spec.extraProperty"'):
        await w.call("POST", path, bad, query="fieldValidation=Strict", content_type=JSON)
    answer = await w.raw("POST", path, bad, query="fieldValidation=Warn", content_type=JSON)
    assert answer.status == 201
    assert '299 - "unknown field \\"spec.extraProperty\\""' in answer.headers["warning"]
    assert "extraProperty" not in answer.tree["spec"]
    with refused(500, "", ".spec.extraProperty: field not declared in schema"):
        await w.call(
            "PATCH", f"{path}/two", cron_tab("two", extraProperty="arbitrary"),
            content_type=APPLY, query="fieldValidation=Strict&fieldManager=tester",
        )  # fmt: skip


@conforms(
    "[sig-api-machinery] FieldValidation should detect duplicates in a CR when preserving unknown"
    " fields [Conformance]"
)
@world()
async def test_fields_given_twice(w: World) -> None:
    body = definition(version("v1", SCHEMA | {"x-kubernetes-preserve-unknown-fields": True}))
    await define(w, body)
    tabs = objects(w, body, namespace=await w.namespace())
    text = (
        b'{"apiVersion":"stable.example.com/v1","kind":"CronTab","metadata":{"name":"one"},'
        b'"spec":{"cronSpec":"* * * * */5","foo":"a","foo":"b"},"knownField":1,"knownField":2}'
    )
    path = tabs.kind.path(tabs.namespace)
    twice = 'strict decoding error: duplicate field "spec.foo", duplicate field "knownField"'
    with refused(400, "BadRequest", twice):
        await w.call("POST", path, text, query="fieldValidation=Strict", content_type=JSON)
    answer = await w.raw("POST", path, text, content_type=JSON)
    assert answer.status == 201
    assert 'duplicate field \\"spec.foo\\"' in answer.headers["warning"]
    assert (answer.tree["spec"]["foo"], answer.tree["knownField"]) == ("b", 2)


@conforms(
    "[sig-api-machinery] FieldValidation should detect unknown metadata fields in both the root and"
    " embedded object of a CR [Conformance]"
)
@world()
async def test_unknown_metadata(w: World) -> None:
    template = {
        "type": "object", "x-kubernetes-embedded-resource": True,
        "x-kubernetes-preserve-unknown-fields": True,
    }  # fmt: skip
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"template": template}}},
    }
    body = definition(version("v1", schema))
    await define(w, body)
    tabs = objects(w, body, namespace=await w.namespace())
    inner = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "unknownSub": 1}}
    made = {
        "apiVersion": "stable.example.com/v1", "kind": "CronTab",
        "metadata": {"name": "one", "unknownMeta": "x"}, "spec": {"template": inner},
    }  # fmt: skip
    problems = (
        'strict decoding error: unknown field "metadata.unknownMeta", '
        'unknown field "spec.template.metadata.unknownSub"'
    )
    path = tabs.kind.path(tabs.namespace)
    with refused(400, "BadRequest", problems):
        await w.call("POST", path, made, query="fieldValidation=Strict", content_type=JSON)
    answer = await w.raw("POST", path, made, content_type=JSON)
    assert answer.tree["spec"]["template"]["metadata"] == {"name": "p"}


async def names_in_v2(w: World) -> set[str]:
    return set((await w.get("/openapi/v2"))["definitions"])


@conforms(
    "[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin]"
    " works for multiple CRDs of different groups [Conformance]",
    "[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin]"
    " works for multiple CRDs of same group but different versions [Conformance]",
    "[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin]"
    " works for multiple CRDs of same group and version but different kinds [Conformance]",
)
@world()
async def test_schemas_of_several_kinds_are_published(w: World) -> None:
    await define(w, definition(version("v1", SCHEMA), version("v2", SCHEMA)))
    await define(w, definition(version("v1", SCHEMA), kind="Timer"))
    await define(w, definition(version("v1", SCHEMA), group="other.example.org"))
    wanted = {
        "com.example.stable.v1.CronTab", "com.example.stable.v2.CronTab",
        "com.example.stable.v1.Timer", "org.example.other.v1.CronTab",
    }  # fmt: skip
    assert wanted <= await names_in_v2(w)
    index = (await w.get("/openapi/v3"))["paths"]
    for group_version in ("stable.example.com/v1", "stable.example.com/v2", "other.example.org/v1"):
        url = index[f"apis/{group_version}"]["serverRelativeURL"]
        assert (await w.raw("GET", *url.split("?")[:1])).status == 200


@conforms(
    "[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin]"
    " updates the published spec when one version gets renamed [Conformance]",
    "[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin]"
    " removes definition from spec when one version gets changed to not be served"
    " [Conformance]",
)
@world()
async def test_published_schemas_follow_the_definition(w: World) -> None:
    await define(w, definition(version("v2", SCHEMA), version("v3", SCHEMA)))
    definitions, name = w.resource(API, "customresourcedefinitions"), "crontabs.stable.example.com"
    before = await names_in_v2(w)
    assert {"com.example.stable.v2.CronTab", "com.example.stable.v3.CronTab"} <= before
    rename = [{"op": "test", "path": "/spec/versions/1/name", "value": "v3"},
              {"op": "replace", "path": "/spec/versions/1/name", "value": "v4"}]  # fmt: skip
    await definitions.patch(name, rename, "application/json-patch+json")
    await w.settle(1)
    after = await names_in_v2(w)
    assert after - before >= {"com.example.stable.v4.CronTab"}
    assert "com.example.stable.v3.CronTab" not in after
    hide = [{"op": "replace", "path": "/spec/versions/1/served", "value": False}]
    await definitions.patch(name, hide, "application/json-patch+json")
    await w.settle(1)
    assert "com.example.stable.v4.CronTab" not in await names_in_v2(w)
    assert "com.example.stable.v2.CronTab" in await names_in_v2(w)


@world()
async def test_columns_status_and_scale(w: World) -> None:
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
            "status": {
                "type": "object",
                "properties": {
                    "replicas": {"type": "integer"},
                    "labelSelector": {"type": "string"},
                },
            },
        },
    }
    scale = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
             "labelSelectorPath": ".status.labelSelector"}  # fmt: skip
    columns = [{"name": "Wanted", "type": "integer", "jsonPath": ".spec.replicas"},
               {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]  # fmt: skip
    body = definition(
        version("v1", schema, subresources={"status": {}, "scale": scale},
                additionalPrinterColumns=columns),
        shortNames=["ct"],
    )  # fmt: skip
    await define(w, body)
    tabs = objects(w, body, namespace=await w.namespace())
    head = {"apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": {"name": "one"}}
    made = await tabs.create({**head, "spec": {"replicas": 2}, "status": {"replicas": 9}})
    assert "status" not in made
    assert made["metadata"]["generation"] == 1
    status = {"status": {"replicas": 1, "labelSelector": "a=b"}, "spec": {"replicas": 7}}
    changed = await tabs.patch("one", status, subresource="status")
    assert (changed["spec"]["replicas"], changed["metadata"]["generation"]) == (2, 1)
    shown = await tabs.get("one", subresource="scale")
    assert shown["spec"] == {"replicas": 2}
    assert shown["status"] == {"replicas": 1, "selector": "a=b"}
    await tabs.patch("one", {"spec": {"replicas": 5}}, subresource="scale")
    grown = await tabs.get("one")
    assert (grown["spec"]["replicas"], grown["metadata"]["generation"]) == (5, 2)
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    table = (await w.raw("GET", tabs.kind.path(tabs.namespace), accept=accept)).tree
    assert [c["name"] for c in table["columnDefinitions"]] == ["Name", "Wanted", "Age"]
    assert table["rows"][0]["cells"][:2] == ["one", 5]
    with refused(415, "UnsupportedMediaType", ""):
        await tabs.patch("one", {}, STRATEGIC)


@world()
async def test_objects_of_a_kind_follow_their_owner_and_namespace(w: World) -> None:
    body = definition(version("v1", SCHEMA))
    await define(w, body)
    namespace = await w.namespace()
    tabs, maps = objects(w, body, namespace=namespace), w.resource("v1", "configmaps", namespace)
    owner = await tabs.create(cron_tab("one"))
    reference = {"apiVersion": "stable.example.com/v1", "kind": "CronTab", "name": "one",
                 "uid": owner["metadata"]["uid"]}  # fmt: skip
    await maps.create({"metadata": {"name": "owned", "ownerReferences": [reference]}})
    await tabs.delete("one")
    await w.wait(lambda: maps.missing("owned"))
    await tabs.create(cron_tab("two"))
    await w.resource("v1", "namespaces").delete(namespace)
    await w.wait(lambda: w.resource("v1", "namespaces").missing(namespace))
    assert await tabs.names() == []


@world()
async def test_two_definitions_cannot_have_one_name(w: World) -> None:
    await define(w, definition(version("v1"), shortNames=["ct"]))
    other = definition(version("v1"), kind="Contract", shortNames=["ct"])
    definitions = w.resource(API, "customresourcedefinitions")
    await definitions.create(other)
    await w.settle(1)
    status = (await definitions.get("contracts.stable.example.com"))["status"]
    found = {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}
    assert found["NamesAccepted"] == ("False", "ShortNamesConflict")
    assert found["Established"] == ("False", "NotAccepted")
    await definitions.delete("crontabs.stable.example.com")
    await w.settle(1)
    status = (await definitions.get("contracts.stable.example.com"))["status"]
    found = {each["type"]: each["status"] for each in status["conditions"]}
    assert found == {"NamesAccepted": "True", "Established": "True"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"group": "example"}, 'spec.group: Invalid value: "example": should be a domain'),
        ({"scope": "World"}, 'spec.scope: Unsupported value: "World": supported values: "Cluster"'),
        ({"versions": []}, "must have exactly one version marked as storage version"),
        (
            {
                "versions": [
                    version("v1", {"type": "object", "properties": {"a": {}}}, storage=True)
                ]
            },
            "spec.versions[0].schema.openAPIV3Schema.properties[a].type: Required value: must not "
            "be empty for specified object fields",
        ),
        (
            {"versions": [{"name": "v1", "served": True, "storage": True}]},
            "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required",
        ),
    ],
)
def test_a_definition_that_is_none(change: dict, message: str) -> None:
    @world()
    async def story(w: World) -> None:
        body = definition()
        body["spec"] |= change
        with refused(422, "Invalid", "") as answers:
            await w.resource(API, "customresourcedefinitions").create(body)
        assert message in answers[0].message

    story()
