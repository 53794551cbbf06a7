"""Policies about objects of kinds that users defined, and with such objects as parameters."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.conformance.definitions import definition, version
from tests.unit.apiserver.admission.policies.making import (
    CONFIG_MAPS,
    MAPS,
    bind,
    config_map,
    created,
    policy,
    serving,
)

if TYPE_CHECKING:
    from tests.unit.apiserver.harness import Server

CRONTABS = "/apis/stable.example.com/v1/namespaces/default/crontabs"
RULES = {
    "apiGroups": ["stable.example.com"], "apiVersions": ["v2"], "operations": ["CREATE"],
    "resources": ["crontabs"],
}  # fmt: skip
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "replicas": {"type": "integer", "default": 1}, "image": {"type": "string"},
                "tags": {"type": "array", "items": {"type": "string"}},
            },
        }
    },
}  # fmt: skip


async def define(server: Server) -> None:
    body = definition(version("v1", SCHEMA), version("v2", SCHEMA))
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    await created(server, path, body)
    async with asyncio.timeout(10):
        while (await server.get(CRONTABS)).status != 200:
            await asyncio.sleep(0.01)


def crontab(name: str = "m", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": {"name": name},
        "spec": spec,
    }  # fmt: skip


@serving
async def test_they_are_validated_in_the_version_that_was_asked_for(server: Server) -> None:
    await define(server)
    await policy(
        server, "object.apiVersion == 'stable.example.com/v2'", "object.spec.replicas < 3",
        rules=RULES,
    )  # fmt: skip
    await bind(server)
    assert (await created(server, CRONTABS, crontab())).tree["spec"] == {"replicas": 1}
    answer = await server.post(CRONTABS, crontab("n", replicas=3))
    assert answer.status == 422
    assert answer.message.endswith("failed expression: object.spec.replicas < 3")


@serving
async def test_they_are_changed(server: Server) -> None:
    await define(server)
    text = "Object{spec: Object.spec{image: 'i', replicas: object.spec.replicas + 1}}"
    mutations = [
        {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": text}},
        {
            "patchType": "JSONPatch",
            "jsonPatch": {
                "expression": "[JSONPatch{op: 'add', path: '/spec/tags', value: ['a', 'b']}]"
            },
        },
    ]
    await policy(server, rules=RULES, mutations=mutations, reinvocationPolicy="Never")
    await bind(server, kind="mutating")
    made = (await created(server, CRONTABS, crontab())).tree
    assert made["apiVersion"] == "stable.example.com/v1"
    assert made["spec"] == {"image": "i", "replicas": 2, "tags": ["a", "b"]}


@serving
async def test_they_are_parameters(server: Server) -> None:
    await define(server)
    kind = {"apiVersion": "stable.example.com/v1", "kind": "CronTab"}
    await policy(
        server, "size(object.data) <= params.spec.replicas", paramKind=kind, rules=CONFIG_MAPS
    )
    await bind(server, paramRef={"name": "limit", "parameterNotFoundAction": "Deny"})
    await created(server, CRONTABS, crontab("limit"))
    assert (await server.post(MAPS, config_map(data={"a": "1"}))).status == 201
    assert (await server.post(MAPS, config_map("n", data={"a": "1", "b": "2"}))).status == 422
