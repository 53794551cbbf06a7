"""What is accepted, and what is said about it."""

from __future__ import annotations

from typing import Any

import pytest

from kybern.api import codec, defaults
from kybern.api.scheme import SCHEME
from kybern.api.warnings import WARNINGS


def made(api_version: str, kind: str, spec: Any, name: str = "x", **meta: Any) -> Any:
    tree = {"metadata": {"name": name, **meta}, "spec": spec}
    obj = codec.from_tree(tree, SCHEME.by_kind(api_version, kind).struct)
    defaults.apply(obj)
    return obj


def warned(obj: Any, old: Any = None) -> list[str]:
    kind = SCHEME.of(obj)
    return WARNINGS[kind.group, kind.kind](obj, old)


def of_pod(spec: dict[str, Any], container: dict[str, Any] | None = None, **meta: Any) -> list[str]:
    containers = [{"name": "c", "image": "i", **(container or {})}]
    return warned(made("v1", "Pod", {"containers": containers, **spec}, **meta))


def test_most_pods_are_fine() -> None:
    usual = {
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)"}],
        "ports": [{"containerPort": 80}, {"containerPort": 81, "hostPort": 81}],
        "resources": {"limits": {"memory": "1Gi", "cpu": "100m"}},
    }
    spec = {"nodeSelector": {"kubernetes.io/os": "linux"}, "volumes": [{"name": "v"}]}
    assert of_pod(spec, usual) == []


POD = [
    ({"nodeSelector": {"beta.kubernetes.io/os": "linux"}}, {}, [
        'spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" '
        "instead"
    ]),
    ({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [
            {"key": "node-role.kubernetes.io/master", "operator": "Exists"}]}]}}}}, {}, [
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution."
        "nodeSelectorTerms[0].matchExpressions[0].key: node-role.kubernetes.io/master is "
        'use "node-role.kubernetes.io/control-plane" instead'
    ]),
    ({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "x"}]}}}, {}, [
        "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]."
        "labelSelector: a null labelSelector results in matching no pod"
    ]),
    ({"topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "x", "whenUnsatisfiable": "DoNotSchedule"}]}, {}, [
        "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in "
        "matching no pod"
    ]),
    ({"volumes": [{"name": "v", "gitRepo": {"repository": "r"}}]}, {}, [
        "spec.volumes[0].gitRepo: deprecated in v1.11"
    ]),
    ({"imagePullSecrets": [{"name": "a"}, {"name": "a"}, {}]}, {}, [
        'spec.imagePullSecrets[1].name: duplicate name "a"',
        'spec.imagePullSecrets[2].name: invalid empty name ""',
    ]),
    ({"terminationGracePeriodSeconds": -1}, {}, [
        "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will "
        "be treated as 1"
    ]),
    ({}, {"resources": {"requests": {"memory": "1500m"}}}, [
        'spec.containers[0].resources.requests[memory]: fractional byte value "1500m" is invalid, '
        "must be an integer"
    ]),
    ({}, {"env": [
        {"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}, {"name": "A", "value": "3"}
    ]}, [
        'spec.containers[0].env[2]: hides previous definition of "A", which may be dropped when '
        "using apply"
    ]),
    ({}, {"ports": [{"containerPort": 80}, {"containerPort": 80, "name": "again"}]}, [
        "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]"
    ]),
    ({}, {"ports": [{"containerPort": 80, "hostPort": 1}, {"containerPort": 80}]}, [
        "spec.containers[0].ports[1]: overlapping port definition with spec.containers[0].ports[0]"
    ]),
    ({}, {"ports": [{"containerPort": 80, "hostPort": 1, "hostIP": "1.2.3.4"},
                    {"containerPort": 80, "hostPort": 1}]}, [
        "spec.containers[0].ports[1]: dangerously ambiguous port definition with "
        "spec.containers[0].ports[0]"
    ]),
    ({}, {"ports": [{"containerPort": 80, "hostIP": "1.2.3.4"}]}, [
        "spec.containers[0].ports[0]: hostIP set without hostPort: "
        "{Name: HostPort:0 ContainerPort:80 Protocol:TCP HostIP:1.2.3.4}"
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "container", "expected"), POD)
def test_pods(spec: Any, container: Any, expected: list[str]) -> None:
    assert of_pod(spec, container) == expected


def test_names_that_make_bad_host_names() -> None:
    [said] = of_pod({}, name="a.b")
    assert said == (
        "metadata.name: this is used in the Pod's hostname, which can result in surprising "
        "behavior; a DNS label is recommended: [must not contain dots]"
    )
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}
    workload = made("apps/v1", "Deployment", {"template": template}, name="a.b")
    assert "this is used in Pod names and hostnames" in warned(workload)[0]


def test_templates_are_looked_at_when_they_change() -> None:
    env = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    pods = {"spec": {"containers": [{"name": "c", "image": "i", "env": env}]}}
    new = made("apps/v1", "Deployment", {"template": pods}, generation=2)
    assert warned(new)[0].startswith("spec.template.spec.containers[0].env[1]: hides previous")
    assert warned(new, made("apps/v1", "Deployment", {"template": pods}, generation=2)) == []
    assert warned(new, made("apps/v1", "Deployment", {"template": pods}, generation=1)) != []
    jobs = {"schedule": "TZ=UTC * * * * *", "jobTemplate": {"spec": {"template": pods}}}
    place, zone = warned(made("batch/v1", "CronJob", jobs))
    assert place.startswith("spec.jobTemplate.spec.template.spec.containers[0].env[1]: ")
    assert zone.startswith("CRON_TZ or TZ used in spec.schedule is not officially supported")


def test_services() -> None:
    headless = {"clusterIP": "None", "sessionAffinity": "ClientIP", "externalIPs": ["1.2.3.4"]}
    assert warned(made("v1", "Service", headless)) == [
        "spec.externalIPs is ignored for headless services",
        "spec.SessionAffinity is ignored for headless services",
    ]
    assert warned(made("v1", "Service", {"externalName": "x"})) == [
        'spec.externalName is ignored when spec.type is not "ExternalName"'
    ]
    assert warned(made("v1", "Service", {"trafficDistribution": "PreferClose"})) == [
        'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'
    ]


def test_ingresses() -> None:
    old = {"kubernetes.io/ingress.class": "x"}
    assert warned(made("networking.k8s.io/v1", "Ingress", {}, annotations=old)) == [
        'annotation "kubernetes.io/ingress.class" is deprecated, please use '
        "'spec.ingressClassName' instead"
    ]
