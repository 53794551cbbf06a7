"""The layout of keys, as upstream's own test of it says (test/integration/etcd/data.go)."""

from __future__ import annotations

import pytest

from kybern.store import keys

UPSTREAM = {
    ("", "configmaps"): "configmaps",
    ("", "endpoints"): "services/endpoints",
    ("", "events"): "events",
    ("", "limitranges"): "limitranges",
    ("", "namespaces"): "namespaces",
    ("", "nodes"): "minions",
    ("", "persistentvolumeclaims"): "persistentvolumeclaims",
    ("", "persistentvolumes"): "persistentvolumes",
    ("", "pods"): "pods",
    ("", "podtemplates"): "podtemplates",
    ("", "replicationcontrollers"): "controllers",
    ("", "resourcequotas"): "resourcequotas",
    ("", "secrets"): "secrets",
    ("", "serviceaccounts"): "serviceaccounts",
    ("", "services"): "services/specs",
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"): (
        "mutatingwebhookconfigurations"
    ),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"): (
        "validatingadmissionpolicies"
    ),
    ("apiextensions.k8s.io", "customresourcedefinitions"): (
        "apiextensions.k8s.io/customresourcedefinitions"
    ),
    ("apiregistration.k8s.io", "apiservices"): "apiregistration.k8s.io/apiservices",
    ("apps", "controllerrevisions"): "controllerrevisions",
    ("apps", "daemonsets"): "daemonsets",
    ("apps", "deployments"): "deployments",
    ("apps", "replicasets"): "replicasets",
    ("apps", "statefulsets"): "statefulsets",
    ("autoscaling", "horizontalpodautoscalers"): "horizontalpodautoscalers",
    ("batch", "cronjobs"): "cronjobs",
    ("batch", "jobs"): "jobs",
    ("certificates.k8s.io", "certificatesigningrequests"): "certificatesigningrequests",
    ("coordination.k8s.io", "leases"): "leases",
    ("discovery.k8s.io", "endpointslices"): "endpointslices",
    ("events.k8s.io", "events"): "events",
    ("flowcontrol.apiserver.k8s.io", "flowschemas"): "flowschemas",
    ("networking.k8s.io", "ingressclasses"): "ingressclasses",
    ("networking.k8s.io", "ingresses"): "ingress",
    ("networking.k8s.io", "ipaddresses"): "ipaddresses",
    ("networking.k8s.io", "networkpolicies"): "networkpolicies",
    ("networking.k8s.io", "servicecidrs"): "servicecidrs",
    ("node.k8s.io", "runtimeclasses"): "runtimeclasses",
    ("policy", "poddisruptionbudgets"): "poddisruptionbudgets",
    ("rbac.authorization.k8s.io", "clusterroles"): "clusterroles",
    ("resource.k8s.io", "resourceclaims"): "resourceclaims",
    ("scheduling.k8s.io", "priorityclasses"): "priorityclasses",
    ("storage.k8s.io", "csinodes"): "csinodes",
    ("storage.k8s.io", "storageclasses"): "storageclasses",
    ("awesome.bears.com", "pandas"): "awesome.bears.com/pandas",
}


@pytest.mark.parametrize(("resource", "path"), UPSTREAM.items())
def test_collections_are_where_upstream_has_them(resource, path):
    assert keys.collection(*resource) == f"/registry/{path}/"


def test_every_built_in_kind_is_covered():
    from kybern.api.scheme import SCHEME

    for kind in SCHEME.kinds:
        if kind.group in {"apiextensions.k8s.io", "apiregistration.k8s.io"}:
            continue
        if not kind.in_protobuf:  # a custom resource at upstream, and stored like one
            continue
        assert kind.group in keys.BUILT_IN_GROUPS, kind


def test_a_custom_resource_lives_under_its_group_whatever_that_is():
    assert keys.collection("policy", "x", custom=True) == "/registry/policy/x/"


def test_keys_of_objects():
    pods = keys.collection("", "pods")
    assert keys.key(pods, "web-0", "default") == "/registry/pods/default/web-0"
    assert keys.key(keys.collection("", "nodes"), "n1") == "/registry/minions/n1"
    assert keys.in_namespace(pods, "default") == "/registry/pods/default/"
    assert keys.in_namespace(pods, "") == pods
    assert keys.key("/registry/roles/", "system:a", "x") == "/registry/roles/x/system:a"


def test_parts_of_a_key():
    pods = keys.collection("", "pods")
    assert keys.parts(pods, "/registry/pods/default/web-0") == ("default", "web-0")
    assert keys.parts("/registry/minions/", "/registry/minions/n1") == ("", "n1")


@pytest.mark.parametrize("bad", ["", "a/b", ".", ".."])
def test_what_cannot_be_part_of_a_key_is_refused(bad):
    with pytest.raises(ValueError, match="not a part of a key"):
        keys.key("/registry/pods/", bad, "ns")
    if bad:
        with pytest.raises(ValueError, match="not a part of a key"):
            keys.key("/registry/pods/", "name", bad)
