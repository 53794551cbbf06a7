"""Policies and bindings, as short as tests want them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.unit.apiserver.harness import Answer, Server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

GROUP = "/apis/admissionregistration.k8s.io/v1"
MAPS = "/api/v1/namespaces/default/configmaps"
CONFIG_MAPS = {
    "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
    "resources": ["configmaps"],
}  # fmt: skip


def serving(test: Callable[[Server], Awaitable[None]]) -> Callable[[], None]:
    """Run a test with a server."""

    def run() -> None:
        async def main() -> None:
            async with Server() as server:
                await test(server)

        asyncio.run(main())

    return run


async def created(server: Server, path: str, body: dict[str, Any]) -> Answer:
    answer = await server.post(path, body)
    assert answer.status == 201, answer.tree
    return answer


async def policy(
    server: Server,
    *validations: str | dict[str, Any],
    name: str = "p",
    rules: Any = CONFIG_MAPS,
    match: dict[str, Any] | None = None,
    **spec: Any,
) -> None:
    rules = rules if isinstance(rules, list) else [rules]
    spec["matchConstraints"] = {"resourceRules": rules, **(match or {})}
    if validations:
        spec["validations"] = [
            {"expression": each} if isinstance(each, str) else each for each in validations
        ]
    kind = "mutatingadmissionpolicies" if "mutations" in spec else "validatingadmissionpolicies"
    await created(server, f"{GROUP}/{kind}", {"metadata": {"name": name}, "spec": spec})


async def bind(
    server: Server, name: str = "b", to: str = "p", kind: str = "validating", **spec: Any
) -> None:
    spec["policyName"] = to
    if kind == "validating":
        spec.setdefault("validationActions", ["Deny"])
    path = f"{GROUP}/{kind}admissionpolicybindings"
    await created(server, path, {"metadata": {"name": name}, "spec": spec})


def config_map(name: str = "m", **more: Any) -> dict[str, Any]:
    meta = {"name": name, **more.pop("metadata", {})}
    return {"metadata": meta, **more}
