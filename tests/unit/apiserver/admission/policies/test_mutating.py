from __future__ import annotations

from typing import Any

from tests.unit.apiserver.admission.policies.making import (
    CONFIG_MAPS,
    MAPS,
    bind,
    config_map,
    created,
    policy,
    serving,
)
from tests.unit.apiserver.harness import PODS, Server, pod

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
RULES = {
    "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"],
    "resources": ["deployments"],
}  # fmt: skip


def merging(text: str) -> dict[str, Any]:
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": text}}


def patching(text: str) -> dict[str, Any]:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": text}}


async def mutating(server: Server, *mutations: dict[str, Any], **spec: Any) -> None:
    name = spec.setdefault("name", "p")
    spec.setdefault("reinvocationPolicy", "Never")
    await policy(server, mutations=list(mutations), **spec)
    await bind(server, name, name, kind="mutating")


def deployment() -> dict[str, Any]:
    labels = {"app": "x"}
    containers = [{"name": "a", "image": "a"}, {"name": "b", "image": "b"}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return config_map("d", spec=spec)


def data(text: str) -> dict[str, Any]:
    return merging(f"Object{{data: {text}}}")


@serving
async def test_objects_are_merged(server: Server) -> None:
    containers = """Object{
        metadata: Object.metadata{annotations: {"by": "policy"}},
        spec: Object.spec{
            replicas: object.spec.replicas + 1336,
            template: Object.spec.template{spec: Object.spec.template.spec{containers: [
                Object.spec.template.spec.containers{name: "b", imagePullPolicy: "Never"}
            ]}}
        }
    }"""
    await mutating(server, merging(containers), rules=RULES)
    made = (await created(server, DEPLOYMENTS, deployment())).tree
    assert made["metadata"]["annotations"] == {"by": "policy"}
    assert made["spec"]["replicas"] == 1337
    a, b = made["spec"]["template"]["spec"]["containers"]
    assert (a["name"], a["image"], b["image"], b["imagePullPolicy"]) == ("a", "a", "b", "Never")
    assert a["imagePullPolicy"] == "Always"


@serving
async def test_patches_are_applied(server: Server) -> None:
    text = """[
        JSONPatch{op: "test", path: "/data/a", value: "b"},
        JSONPatch{op: "add", path: "/data/" + jsonpatch.escapeKey("x/y"), value: "z"},
        JSONPatch{op: "remove", path: "/data/a"}
    ]"""
    await mutating(server, patching(text.replace("x/y", "x.y")))
    made = (await created(server, MAPS, config_map(data={"a": "b"}))).tree
    assert made["data"] == {"x.y": "z"}
    untouched = (await created(server, MAPS, config_map("n", data={"a": "c"}))).tree
    assert untouched["data"] == {"a": "c"}


@serving
async def test_mutations_see_each_other_and_updates_too(server: Server) -> None:
    await mutating(
        server,
        data("{'a': '1'}"),
        data("{'b': object.data.a + '2', 'size': string(variables.size)}"),
        variables=[{"name": "size", "expression": "size(object.data)"}],
    )
    made = (await created(server, MAPS, config_map())).tree
    assert made["data"] == {"a": "1", "b": "12", "size": "1"}
    answer = await server.patch(f"{MAPS}/m", {"data": {"a": "9", "c": "d"}})
    assert answer.tree["data"] == {"a": "1", "b": "12", "c": "d", "size": "4"}


@serving
async def test_policies_run_by_name_and_again_if_needed(server: Server) -> None:
    count = "has(object.data) && has(object.data.{0}) ? object.data.{0} + 'x' : 'x'"
    await mutating(
        server, data("{'a': " + count.format("a") + "}"), name="a", reinvocationPolicy="IfNeeded"
    )
    await mutating(
        server, data("{'b': " + count.format("b") + "}"), name="b", reinvocationPolicy="IfNeeded"
    )
    await mutating(server, data("{'c': " + count.format("c") + "}"), name="c")
    made = (await created(server, MAPS, config_map())).tree
    assert made["data"] == {"a": "xx", "b": "xx", "c": "x"}


@serving
async def test_one_policy_runs_once(server: Server) -> None:
    text = "{'a': has(object.data) ? 'twice' : 'once'}"
    await mutating(server, data(text), reinvocationPolicy="IfNeeded")
    assert (await created(server, MAPS, config_map())).tree["data"] == {"a": "once"}


@serving
async def test_built_in_plugins_look_again(server: Server) -> None:
    text = "Object{spec: Object.spec{priorityClassName: 'system-node-critical'}}"
    rules = {**CONFIG_MAPS, "operations": ["CREATE"], "resources": ["pods"]}
    await mutating(server, merging(text), rules=rules)
    answer = await server.post(PODS, pod())
    # The first round has computed a priority: naming another class is refused in the second.
    assert answer.status == 403
    assert "the integer value of priority" in answer.message
    sidecar = (
        "[JSONPatch{op: 'add', path: '/spec/containers/-', value: {'name': 's', 'image': 'i'}}]"
    )
    await mutating(server, patching(sidecar), rules=rules, name="z")
    await server.delete("/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies/p")
    made = (await created(server, PODS, pod())).tree
    mounts = [len(each["volumeMounts"]) for each in made["spec"]["containers"]]
    assert mounts == [1, 1]
    assert len(made["spec"]["volumes"]) == 1


@serving
async def test_failures(server: Server) -> None:
    await mutating(server, data("{'a': object.data.none + 'b'}"))
    answer = await server.post(MAPS, config_map(data={"a": "b"}))
    told = (
        "policy 'p' with binding 'p' denied request: expression "
        "'Object{data: {'a': object.data.none + 'b'}}' resulted in error: no such key: none"
    )
    assert (answer.status, answer.tree["reason"], answer.message) == (403, "Invalid", told)
    assert answer.tree["details"]["causes"] == [{"message": told}]
    path = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies/p"
    await server.patch(path, {"spec": {"failurePolicy": "Ignore"}})
    assert (await server.post(MAPS, config_map(data={"a": "b"}))).status == 201


@serving
async def test_what_may_not_be_made(server: Server) -> None:
    cases = {
        "Object{spec: Object.other{replicas: 1}}": (
            'type mismatch: unexpected type name "Object.other", expected "Object.spec", which '
            "matches field name path from root Object type"
        ),
        "Object{spec: Object.spec{selector: Object.spec.selector{matchLabels: {'a': 'b'}}}}": (
            "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps "
            "or structs: .spec.selector"
        ),
        "Object{spec: Object.spec{nothing: 1}}": (
            "error applying patch: failed to convert patch object to typed object: .spec.nothing: "
            "field not declared in schema"
        ),
        "Object{spec: Object.spec{replicas: 'a'}}": (
            "error applying patch: failed to convert patch object to typed object: "
            ".spec.replicas: expected numeric (int or float), got string"
        ),
    }
    for text, told in cases.items():
        await mutating(server, merging(text), rules=RULES)
        answer = await server.post(DEPLOYMENTS, deployment())
        assert answer.message == f"policy 'p' with binding 'p' denied request: {told}"
        for kind in ("policies/p", "policybindings/p"):
            path = f"/apis/admissionregistration.k8s.io/v1/mutatingadmission{kind}"
            assert (await server.delete(path)).status == 200


@serving
async def test_mutations_of_a_scale(server: Server) -> None:
    rules = {**RULES, "operations": ["UPDATE"], "resources": ["deployments/scale"]}
    at_most = "object.spec.replicas > 3 ? 3 : object.spec.replicas"
    await mutating(
        server, merging(f"Object{{spec: Object.spec{{replicas: {at_most}}}}}"), rules=rules
    )
    await created(server, DEPLOYMENTS, deployment())
    answer = await server.patch(f"{DEPLOYMENTS}/d/scale", {"spec": {"replicas": 9}})
    assert answer.tree["spec"]["replicas"] == 3


@serving
async def test_mutations_of_a_binding(server: Server) -> None:
    rules = {**CONFIG_MAPS, "operations": ["CREATE"], "resources": ["pods/binding"]}
    noted = "Object{metadata: Object.metadata{annotations: {'to': object.target.name}}}"
    await mutating(server, merging(noted), rules=rules)
    await created(server, PODS, pod())
    name = pod()["metadata"]["name"]
    body = {"metadata": {"name": name}, "target": {"kind": "Node", "name": "one"}}
    answer = await server.post(f"{PODS}/{name}/binding", body)
    assert answer.status == 201, answer.tree
    assert (await server.get(f"{PODS}/{name}")).tree["metadata"]["annotations"] == {"to": "one"}
