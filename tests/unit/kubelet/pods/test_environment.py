"""Environments, and what they are made from."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.unit.kubelet.making import pod

from kybern.api import codec
from kybern.api.core.v1 import ConfigMap, Secret, Service
from kybern.kubelet.pods.environment import (
    ConfigProblem,
    Reference,
    Surroundings,
    environment,
    references,
)
from kybern.kubelet.pods.expansion import expand, unknown_references
from kybern.kubelet.pods.field_values import Facts, UnknownField, field_value, format_map
from kybern.kubelet.pods.service_env import service_variables, visible_services


def around(**more: Any) -> Surroundings:
    config = ConfigMap(data={"colour": "red", "size": "9"})
    secret = Secret(data={"key": base64.b64encode(b"s3cret").decode()})
    return Surroundings({"settings": config, "none": None}, {"keys": secret, "none": None}, **more)


def made(*env: dict[str, Any], env_from: Any = None, **more: Any) -> dict[str, str]:
    the_pod = pod([{"name": "main", "env": list(env), "envFrom": env_from or []}])
    return environment(the_pod, the_pod.spec.containers[0], around(**more))


def test_values_refer_to_those_before_them_and_to_services() -> None:
    assert made(
        {"name": "A", "value": "1"},
        {"name": "B", "value": "$(A)$(HOST)$(NOT)$$(A)"},
        services={"HOST": "h"},
    ) == {"A": "1", "B": "1h$(NOT)$(A)", "HOST": "h"}


def test_env_wins_over_env_from_and_both_over_services() -> None:
    sources = [
        {"prefix": "P_", "configMapRef": {"name": "settings"}},
        {"secretRef": {"name": "keys"}},
    ]
    assert made(
        {"name": "P_size", "value": "10"}, env_from=sources, services={"P_colour": "no"}
    ) == {"P_colour": "red", "P_size": "10", "key": "s3cret"}


def test_keys_of_config_maps_and_secrets() -> None:
    assert made(
        {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "key"}}},
        {
            "name": "C",
            "valueFrom": {"configMapKeyRef": {"name": "none", "key": "x", "optional": True}},
        },
    ) == {"A": "red", "B": "s3cret"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMapKeyRef": {"name": "none", "key": "x"}}, 'configmap "none" not found'),
        ({"secretKeyRef": {"name": "none", "key": "x"}}, 'secret "none" not found'),
        (
            {"configMapKeyRef": {"name": "settings", "key": "x"}},
            "couldn't find key x in ConfigMap shop/settings",
        ),
        (
            {"secretKeyRef": {"name": "keys", "key": "x"}},
            "couldn't find key x in Secret shop/keys",
        ),
        ({"fieldRef": {"fieldPath": "spec.nothing"}}, "unsupported fieldPath: spec.nothing"),
    ],
)
def test_what_is_missing_is_said(source: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigProblem) as problem:
        made({"name": "A", "valueFrom": source})
    assert str(problem.value) == message


def test_a_missing_source_of_everything_is_said_too() -> None:
    with pytest.raises(ConfigProblem, match='configmap "none" not found'):
        made(env_from=[{"configMapRef": {"name": "none"}}])
    assert made(env_from=[{"configMapRef": {"name": "none", "optional": True}}]) == {}


def test_references_name_all_sources() -> None:
    the_pod = pod(
        [
            {
                "name": "main",
                "env": [{"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                "envFrom": [{"configMapRef": {"name": "c"}}],
            }
        ]
    )
    assert references(the_pod.spec.containers[0]) == {
        Reference("ConfigMap", "c"),
        Reference("Secret", "s"),
    }


def test_resources_in_multiples_of_the_divisor_rounded_up() -> None:
    limits = {"cpu": "1500m", "memory": "100Mi"}
    the_pod = pod([{"name": "main", "resources": {"limits": limits, "requests": {"cpu": "250m"}}}])
    facts = Facts(allocatable={"ephemeral-storage": "10Gi"})

    def value(resource: str, divisor: str = "") -> str:
        ref = {"resource": resource, "divisor": divisor or "0"}
        env = [{"name": "A", "valueFrom": {"resourceFieldRef": ref}}]
        other = pod(
            [
                {
                    "name": "main",
                    "env": env,
                    "resources": {"limits": limits, "requests": {"cpu": "250m"}},
                }
            ]
        )
        return environment(other, other.spec.containers[0], around(facts=facts))["A"]

    assert value("limits.cpu") == "2"
    assert value("limits.cpu", "1m") == "1500"
    assert value("requests.cpu", "1m") == "250"
    assert value("limits.memory", "1Mi") == "100"
    assert value("requests.memory") == str(100 << 20)
    assert value("limits.ephemeral-storage", "1Gi") == "10"
    assert the_pod.spec.containers[0].name == "main"


def test_fields_of_the_pod() -> None:
    the_pod = pod(
        labels={"app": "x", "b": 'say "hi"'},
        annotations={"note": "n"},
        nodeName="one",
        serviceAccountName="robot",
    )
    facts = Facts(("1.1.1.1",), ("2.2.2.2", "::2"))
    values = {
        "metadata.name": "web",
        "metadata.namespace": "shop",
        "metadata.uid": "u-1",
        "metadata.labels['app']": "x",
        "metadata.annotations['note']": "n",
        "metadata.annotations['none']": "",
        "spec.nodeName": "one",
        "spec.serviceAccountName": "robot",
        "status.hostIP": "1.1.1.1",
        "status.podIP": "2.2.2.2",
        "status.podIPs": "2.2.2.2,::2",
        "metadata.labels": 'app="x"\nb="say \\"hi\\""',
    }
    assert {path: field_value(the_pod, path, facts) for path in values} == values
    with pytest.raises(UnknownField):
        field_value(the_pod, "metadata.generation", facts)
    assert format_map(None) == ""


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("$(A)", "1"),
        ("$(A)$(B)", "1$(B)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A $(A", "$A $(A"),
        ("end$", "end$"),
        ("$()", "$()"),
        ("$(A)-$(A)", "1-1"),
    ],
)
def test_expansion(text: str, result: str) -> None:
    assert expand(text, {"A": "1"}) == result


def test_unknown_references_are_found() -> None:
    assert unknown_references("$(A)/$(B)/$$(C)", {"A": "1"}) == ["B"]


def service(which: str, namespace: str = "shop", ip: str = "10.96.0.7", **port: Any) -> Service:
    tree = {
        "metadata": {"name": which, "namespace": namespace},
        "spec": {"clusterIP": ip, "ports": [{"port": 80, **port}]},
    }
    return codec.from_tree(tree, Service)


def test_services_become_variables() -> None:
    assert service_variables([service("my-db", port=53, protocol="UDP", name="dns-udp")]) == {
        "MY_DB_SERVICE_HOST": "10.96.0.7",
        "MY_DB_SERVICE_PORT": "53",
        "MY_DB_SERVICE_PORT_DNS_UDP": "53",
        "MY_DB_PORT": "udp://10.96.0.7:53",
        "MY_DB_PORT_53_UDP": "udp://10.96.0.7:53",
        "MY_DB_PORT_53_UDP_PROTO": "udp",
        "MY_DB_PORT_53_UDP_PORT": "53",
        "MY_DB_PORT_53_UDP_ADDR": "10.96.0.7",
    }


def test_a_pod_is_told_of_its_namespaces_services_and_of_the_api() -> None:
    services = [
        service("db"),
        service("headless", ip="None"),
        service("other", "elsewhere"),
        service("kubernetes", "default"),
    ]

    def names(*, links: bool) -> list[str | None]:
        return [s.metadata.name for s in visible_services(services, "shop", links=links)]

    assert names(links=True) == ["db", "kubernetes"]
    assert names(links=False) == ["kubernetes"]
