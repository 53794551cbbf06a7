"""Kinds that a test defines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api.scheme import Kind
from tests.conformance.wire import Resource

if TYPE_CHECKING:
    from tests.conformance.world import World

API = "apiextensions.k8s.io/v1"
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def version(name: str, schema: Any = None, *, storage: bool = False, **more: Any) -> dict[str, Any]:
    """Return one version of a definition."""
    return {
        "name": name, "served": True, "storage": storage,
        "schema": {"openAPIV3Schema": schema or ANYTHING}, **more,
    }  # fmt: skip


def definition(
    *versions: Any,
    kind: str = "CronTab",
    group: str = "stable.example.com",
    scope: str = "Namespaced",
    **names: Any,
) -> dict[str, Any]:
    """Return a definition; the first version is stored unless one says so."""
    listed = list(versions) or [version("v1")]
    if not any(each["storage"] for each in listed):
        listed[0]["storage"] = True
    plural = f"{kind.lower()}s"
    return {
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group, "scope": scope, "versions": listed,
            "names": {"kind": kind, "plural": plural, **names},
        },
    }  # fmt: skip


async def define(w: World, body: dict[str, Any]) -> None:
    """Create a definition and wait until its kind is there."""
    definitions, name = w.resource(API, "customresourcedefinitions"), body["metadata"]["name"]
    await definitions.create(body)

    async def established() -> bool:
        conditions = (await definitions.get(name))["status"].get("conditions", ())
        return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)

    await w.wait(established, interval=0.01)


def objects(w: World, body: dict[str, Any], number: int = 0, namespace: str = "") -> Resource:
    """Return a handle for the objects of a definition, in one of its versions."""
    spec = body["spec"]
    names = spec["names"]
    kind = Kind(
        spec["group"], spec["versions"][number]["name"], names["kind"], names["plural"],
        names["kind"].lower(), spec["scope"] == "Namespaced",
    )  # fmt: skip
    return Resource(w, kind, namespace, dynamic=True)
