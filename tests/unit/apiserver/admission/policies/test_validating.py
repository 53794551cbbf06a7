from __future__ import annotations

from typing import Any

from tests.unit.apiserver.admission.policies.making import (
    CONFIG_MAPS,
    GROUP,
    MAPS,
    bind,
    config_map,
    created,
    policy,
    serving,
)
from tests.unit.apiserver.harness import PODS, Identity, Server, pod


async def refused(server: Server, body: Any = None, path: str = MAPS, **more: Any) -> str:
    answer = await server.post(path, body or config_map(), **more)
    assert answer.status == 422, answer.tree
    return answer.message


@serving
async def test_a_policy_holds_as_soon_as_it_is_bound(server: Server) -> None:
    await policy(server, "has(object.data) && object.data.a == 'b'")
    assert (await server.post(MAPS, config_map("free"))).status == 201
    await bind(server)
    answer = await server.post(MAPS, config_map())
    assert answer.status == 422
    told = (
        "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: failed expression: "
        "has(object.data) && object.data.a == 'b'"
    )
    assert answer.tree["message"] == f'configmaps "m" is forbidden: {told}'
    assert answer.tree["reason"] == "Invalid"
    assert answer.tree["details"] == {
        "name": "m", "kind": "configmaps", "causes": [{"message": told}],
    }  # fmt: skip
    assert (await server.post(MAPS, config_map(data={"a": "b"}))).status == 201
    await server.delete(f"{GROUP}/validatingadmissionpolicybindings/b")
    assert (await server.post(MAPS, config_map("again"))).status == 201


@serving
async def test_messages_and_reasons(server: Server) -> None:
    await policy(
        server,
        {
            "expression": "object.metadata.name != 'one'", "reason": "Forbidden",
            "messageExpression": "'not ' + object.metadata.name", "message": "unused",
        },
        {
            "expression": "object.metadata.name != 'two'", "message": " told ",
            "messageExpression": "'a' + object.metadata.none",
        },
        {"expression": "object.metadata.name != 'three'", "reason": "Unauthorized"},
    )  # fmt: skip
    await bind(server)
    one = await server.post(MAPS, config_map("one"))
    assert (one.status, one.tree["reason"]) == (403, "Forbidden")
    assert one.message.endswith("denied request: not one")
    assert (await refused(server, config_map("two"))).endswith("denied request: told")
    assert (await server.post(MAPS, config_map("three"))).status == 401


@serving
async def test_warnings_instead_of_refusals(server: Server) -> None:
    await policy(server, "false")
    await bind(server, validationActions=["Warn", "Audit"])
    answer = await server.post(MAPS, config_map())
    assert answer.status == 201
    told = "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': failed expression: false"
    assert answer.header("warning") == [f'299 - "{told}"']


@serving
async def test_errors_deny_unless_they_are_ignored(server: Server) -> None:
    await policy(server, "object.data.none == '1'")
    await bind(server)
    assert (await refused(server, config_map(data={"a": "b"}))).endswith(
        "denied request: expression 'object.data.none == '1'' resulted in error: no such key: none"
    )
    path = f"{GROUP}/validatingadmissionpolicies/p"
    await server.patch(path, {"spec": {"failurePolicy": "Ignore"}})
    assert (await server.post(MAPS, config_map(data={"a": "b"}))).status == 201


@serving
async def test_variables_are_evaluated_once_and_know_each_other(server: Server) -> None:
    await policy(
        server, "variables.twice <= 4", "variables.broken || variables.twice < 9",
        variables=[
            {"name": "count", "expression": "size(object.data)"},
            {"name": "twice", "expression": "variables.count * 2"},
            {"name": "broken", "expression": "object.none"},
        ],
    )  # fmt: skip
    await bind(server)
    assert (await server.post(MAPS, config_map(data={"a": "", "b": ""}))).status == 201
    told = await refused(server, config_map(data={"a": "", "b": "", "c": ""}))
    assert told.endswith("failed expression: variables.twice <= 4")
    many = {str(index): "" for index in range(5)}
    told = await refused(server, config_map(data=many))
    assert told.endswith("failed expression: variables.twice <= 4")


SEEN = (
    "request.kind.kind == 'ConfigMap'",
    "request.resource.group == '' && request.resource.resource == 'configmaps'",
    "request.operation in ['CREATE', 'UPDATE']",
    "request.namespace == 'default' && request.name == 'm'",
    "request.userInfo.username == 'jo' && 'system:masters' in request.userInfo.groups",
    "!request.dryRun && request.options.kind.endsWith('Options')",
    "namespaceObject.metadata.labels['kubernetes.io/metadata.name'] == 'default'",
    "!has(request.subResource)",
    "oldObject == null ? request.operation == 'CREATE' : oldObject.metadata.name == 'm'",
    "object.kind == 'ConfigMap' && object.apiVersion == 'v1'",
    "authorizer.requestResource.check('create').allowed()",
    "authorizer.path('/healthz').check('get').allowed()",
    "!authorizer.serviceAccount('default', 'x').group('').resource('pods')"
    ".namespace('default').check('create').allowed()",
)


@serving
async def test_what_expressions_see(server: Server) -> None:
    await policy(server, *SEEN)
    await bind(server)
    jo = Identity("jo", ("system:masters",))
    answer = await server.post(MAPS, config_map(), user=jo)
    assert answer.status == 201, answer.tree
    answer = await server.patch(f"{MAPS}/m", {"data": {"a": "b"}}, user=jo)
    assert answer.status == 200, answer.tree


@serving
async def test_conditions_come_first(server: Server) -> None:
    await policy(
        server, "false",
        matchConditions=[
            {"name": "broken", "expression": "object.none == 1"},
            {"name": "labelled", "expression": "has(object.metadata.labels)"},
        ],
    )  # fmt: skip
    await bind(server)
    assert (await server.post(MAPS, config_map("free"))).status == 201
    labelled = config_map(metadata={"labels": {"a": "b"}})
    assert (await refused(server, labelled)).endswith("no such key: none")


@serving
async def test_selectors_and_rules(server: Server) -> None:
    await server.post("/api/v1/namespaces", {"metadata": {"name": "other"}})
    await server.patch("/api/v1/namespaces/other", {"metadata": {"labels": {"strict": "1"}}})
    await policy(
        server, "false", rules={**CONFIG_MAPS, "scope": "Namespaced"},
        match={
            "objectSelector": {"matchLabels": {"a": "b"}},
            "excludeResourceRules": [{**CONFIG_MAPS, "resourceNames": ["spared"]}],
        },
    )  # fmt: skip
    await bind(server, matchResources={"namespaceSelector": {"matchLabels": {"strict": "1"}}})
    labels = {"labels": {"a": "b"}}
    assert (await server.post(MAPS, config_map(metadata=labels))).status == 201
    other = MAPS.replace("default", "other")
    assert (await server.post(other, config_map())).status == 201
    assert (await server.post(other, config_map("spared", metadata=labels))).status == 201
    await refused(server, config_map("caught", metadata=labels), other)
    patched = await server.patch(f"{other}/m", {"metadata": labels})
    assert patched.status == 422


@serving
async def test_deletions_and_old_objects(server: Server) -> None:
    rules = {**CONFIG_MAPS, "operations": ["DELETE"]}
    await policy(server, "object == null && !has(oldObject.immutable)", rules=rules)
    await bind(server)
    await server.post(MAPS, config_map(immutable=True))
    await server.post(MAPS, config_map("free"))
    assert (await server.delete(f"{MAPS}/m")).status == 422
    assert (await server.delete(f"{MAPS}/free")).status == 200


@serving
async def test_parameters(server: Server) -> None:
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    rules = {**CONFIG_MAPS, "resources": ["secrets"]}
    await policy(server, "object.metadata.name == params.data.name", paramKind=kind, rules=rules)
    ref = {"name": "wanted", "parameterNotFoundAction": "Deny"}
    await bind(server, paramRef=ref)
    secrets = MAPS.replace("configmaps", "secrets")
    assert (await refused(server, path=secrets)).endswith(
        "failed to configure binding: no params found for policy binding with `Deny` "
        "parameterNotFoundAction"
    )
    await server.post(MAPS, config_map("wanted", data={"name": "m"}))
    assert (await server.post(secrets, config_map())).status == 201
    assert "failed expression" in await refused(server, config_map("x"), secrets)
    selected = {"selector": {"matchLabels": {"a": "b"}}, "parameterNotFoundAction": "Allow"}
    await bind(server, "all", paramRef=selected, validationActions=["Warn"])
    for index in range(2):
        labels = {"labels": {"a": "b"}}
        await server.post(MAPS, config_map(f"p{index}", data={"name": "n"}, metadata=labels))
    await server.delete(f"{GROUP}/validatingadmissionpolicybindings/b")
    answer = await server.post(secrets, config_map("y"))
    assert answer.status == 201
    assert len(answer.header("warning")) == 1  # the same text is told once


@serving
async def test_unknown_kinds_of_parameters(server: Server) -> None:
    kind = {"apiVersion": "example.com/v1", "kind": "Limit"}
    await policy(server, "params.x == 1", paramKind=kind)
    await bind(server, paramRef={"name": "x", "parameterNotFoundAction": "Deny"})
    assert (await refused(server)).endswith(
        "ValidatingAdmissionPolicy 'p' denied request: failed to configure policy: failed to "
        "find resource referenced by paramKind: 'example.com/v1, Kind=Limit'"
    )


@serving
async def test_equivalent_versions(server: Server) -> None:
    rules = {
        "apiGroups": ["autoscaling"], "apiVersions": ["v1"], "operations": ["CREATE"],
        "resources": ["horizontalpodautoscalers"],
    }  # fmt: skip
    await policy(
        server, "object.apiVersion == 'autoscaling/v1'",
        "request.requestKind.version == 'v2' && request.kind.version == 'v1'",
        "object.spec.targetCPUUtilizationPercentage < 50", rules=rules,
    )  # fmt: skip
    await bind(server)
    target = {"type": "Utilization", "averageUtilization": 80}
    spec = {
        "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"},
        "maxReplicas": 3,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
    path = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
    told = await refused(server, config_map("h", spec=spec), path)
    assert told.endswith("failed expression: object.spec.targetCPUUtilizationPercentage < 50")


@serving
async def test_subresources(server: Server) -> None:
    rules = {
        "apiGroups": ["apps"], "apiVersions": ["*"], "operations": ["UPDATE"],
        "resources": ["deployments/scale"],
    }  # fmt: skip
    await policy(
        server, "object.kind == 'Scale' && request.kind.kind == 'Scale'",
        "object.spec.replicas <= 3", rules=rules,
    )  # fmt: skip
    await bind(server)
    path = "/apis/apps/v1/namespaces/default/deployments"
    labels = {"app": "x"}
    pod = {"containers": [{"name": "c", "image": "i"}]}
    spec = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    await created(server, path, config_map("d", spec=spec))
    assert (await server.patch(f"{path}/d/scale", {"spec": {"replicas": 2}})).status == 200
    answer = await server.patch(f"{path}/d/scale", {"spec": {"replicas": 9}})
    assert answer.status == 422
    assert answer.message.endswith("failed expression: object.spec.replicas <= 3")


@serving
async def test_nothing_is_in_the_way_of_policies_themselves(server: Server) -> None:
    every = {
        "apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"],
    }  # fmt: skip
    await policy(server, "false", rules=every)
    await bind(server)
    await refused(server)
    reviews = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    assert (await server.post(reviews, {})).status == 201
    assert (await server.delete(f"{GROUP}/validatingadmissionpolicybindings/b")).status == 200
    assert (await server.post(MAPS, config_map())).status == 201


@serving
async def test_the_budget(server: Server) -> None:
    heavy = "object.data.all(a, object.data.all(b, object.data.all(c, a + b + c != 'x')))"
    await policy(server, heavy)
    await bind(server)
    data = {f"{index:04}": "" for index in range(150)}
    told = await refused(server, config_map(data=data))
    assert told.endswith("operation cancelled: actual cost limit exceeded")


@serving
async def test_bindings_and_conversations(server: Server) -> None:
    rules = [
        {
            "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "CONNECT"],
            "resources": ["pods/binding", "pods/exec"],
        }
    ]  # fmt: skip
    await policy(
        server, "object.kind != 'Binding' || object.target.name == 'good'",
        "object.kind != 'PodExecOptions' || !(object.stdin && 'sh' in object.command)",
        "request.operation == 'CONNECT' ? request.subResource == 'exec' : true", rules=rules,
    )  # fmt: skip
    await bind(server)
    await created(server, PODS, pod())
    name = pod()["metadata"]["name"]
    body = {"metadata": {"name": name}, "target": {"kind": "Node", "name": "bad"}}
    assert (await server.post(f"{PODS}/{name}/binding", body)).status == 422
    answer = await server.post(f"{PODS}/{name}/exec?command=sh&stdin=true", None)
    assert answer.status == 422
    assert answer.message.startswith(f'pods "{name}" is forbidden: ValidatingAdmissionPolicy')
    body["target"]["name"] = "good"
    assert (await server.post(f"{PODS}/{name}/binding", body)).status == 201
