"""What the server says it serves, in which version, and what it cannot show."""

from __future__ import annotations

import re

from kybern.api.scheme import SCHEME
from tests.conformance.marks import conforms
from tests.conformance.operations import served
from tests.conformance.world import World, refused, world

V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
V2BETA1 = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
CLIENT_GO = f"{V2},{V2BETA1},application/json"
EXPECTED = {
    "apps/v1": {"deployments", "replicasets", "daemonsets", "statefulsets", "controllerrevisions"},
    "apiextensions.k8s.io/v1": {"customresourcedefinitions"},
    "batch/v1": {"jobs", "cronjobs"},
    "rbac.authorization.k8s.io/v1": {
        "roles", "rolebindings", "clusterroles", "clusterrolebindings",
    },
    "admissionregistration.k8s.io/v1": {
        "mutatingwebhookconfigurations", "validatingwebhookconfigurations",
    },
    "discovery.k8s.io/v1": {"endpointslices"},
    "storage.k8s.io/v1": {"storageclasses", "csidrivers", "volumeattachments"},
    "v1": {
        "namespaces", "nodes", "pods", "services", "secrets", "configmaps", "events",
        "serviceaccounts", "persistentvolumes", "persistentvolumeclaims", "endpoints",
        "replicationcontrollers", "resourcequotas", "limitranges", "podtemplates",
    },
}  # fmt: skip


async def aggregated(w: World, path: str, accept: str) -> tuple[str, dict[str, dict[str, dict]]]:
    """Return the content type, and resources by group version and name."""
    answer = await w.raw("GET", path, accept=accept)
    assert answer.status == 200
    tree = answer.tree
    assert tree["kind"] == "APIGroupDiscoveryList"
    found = {}
    for group in tree["items"]:
        name = group["metadata"].get("name", "")
        for version in group["versions"]:
            resources = {r["resource"]: r for r in version["resources"]}
            assert len(resources) == len(version["resources"])
            found[f"{name}/{version['version']}" if name else version["version"]] = resources
            assert version["freshness"] == "Current"
    return answer.headers["content-type"], found


@conforms(
    "[sig-api-machinery] AggregatedDiscovery should support raw aggregated discovery endpoint"
    " Accept headers [Conformance]"
)
@world()
async def test_aggregated_documents_come_as_asked(w: World) -> None:
    for accept, wanted in ((V2, V2), (V2BETA1, V2BETA1), (CLIENT_GO, V2)):
        groups_type, groups = await aggregated(w, "/apis", accept)
        core_type, core = await aggregated(w, "/api", accept)
        assert groups_type == core_type == wanted
        for version, names in EXPECTED.items():
            assert names <= (groups | core)[version].keys()
    # who asks for no version it has, or plainly, gets the old documents
    for accept in ("application/json", f"{V2.replace('v2', 'v3')},application/json", "*/*"):
        answer = await w.raw("GET", "/apis", accept=accept)
        assert answer.tree["kind"] == "APIGroupList"
        assert (await w.raw("GET", "/api", accept=accept)).tree["kind"] == "APIVersions"


@conforms(
    "[sig-api-machinery] AggregatedDiscovery should support aggregated discovery interface"
    " [Conformance]"
)
@world()
async def test_aggregated_documents_say_the_same_as_the_old_ones(w: World) -> None:
    _, groups = await aggregated(w, "/apis", CLIENT_GO)
    _, core = await aggregated(w, "/api", CLIENT_GO)
    for version, resources in (groups | core).items():
        old = await w.get(f"/apis/{version}" if version in groups else f"/api/{version}")
        plain = {r["name"]: r for r in old["resources"]}
        for name, resource in resources.items():
            same = plain.pop(name)
            assert resource["scope"] == ("Namespaced" if same["namespaced"] else "Cluster")
            assert resource["responseKind"]["kind"] == same["kind"]
            assert set(resource["verbs"]) == set(same["verbs"])
            assert resource.get("shortNames") == same.get("shortNames")
            for below in resource.get("subresources", ()):
                assert set(plain.pop(f"{name}/{below['subresource']}")["verbs"]) == set(
                    below["verbs"]
                )
        assert plain == {}
    for version, names in EXPECTED.items():
        assert names <= (groups | core)[version].keys()


@conforms(
    "[sig-api-machinery] Discovery should validate PreferredVersion for each APIGroup [Conformance]"
)
@world()
async def test_preferred_versions_exist(w: World) -> None:
    listed = await w.get("/apis")
    assert listed["kind"] == "APIGroupList"
    assert len(listed["groups"]) > 15
    for group in listed["groups"]:
        one = await w.get(f"/apis/{group['name']}")
        assert one["kind"] == "APIGroup"
        assert one["name"] == group["name"]
        preferred = one["preferredVersion"]
        assert preferred in one["versions"]
        assert preferred["groupVersion"] == f"{group['name']}/{preferred['version']}"


@conforms(
    "[sig-api-machinery] Discovery should locate the groupVersion and a resource within each"
    " APIGroup [Conformance]"
)
@world()
async def test_every_group_has_its_resources(w: World) -> None:
    groups = {group["name"]: group for group in (await w.get("/apis"))["groups"]}
    versions = {v["groupVersion"] for group in groups.values() for v in group["versions"]}
    for version in versions | {"v1"}:
        listed = await w.get(f"/apis/{version}" if "/" in version else f"/api/{version}")
        assert listed["groupVersion"] == version
        known = {r["name"] for r in listed["resources"]}
        kinds = [k for k in SCHEME.kinds if k.api_version == version and k.plural]
        assert known >= {k.plural for k in kinds}
        assert EXPECTED.get(version, set()) <= known


@conforms("[sig-api-machinery] server version should find the server version [Conformance]")
@world()
async def test_the_version(w: World) -> None:
    found = await w.get("/version")
    assert found["major"].isdecimal()
    assert found["minor"].isdecimal()
    assert (found["major"], found["minor"]) == ("1", "36")
    assert re.fullmatch(r"v1\.36\.\d+(\+kybern[.\w]*)?", found["gitVersion"])


@conforms(
    "[sig-api-machinery] Servers with support for Table transformation should return a 406 for a"
    " backend which does not implement metadata [Conformance]"
)
@world()
async def test_reviews_are_no_tables(w: World) -> None:
    review = {
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"namespace": "default", "verb": "list", "resource": "pods"}},
    }  # fmt: skip
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    with refused(406, "NotAcceptable", "only the following media types are accepted"):
        await w.call("POST", path, review, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert (await w.call("POST", path, review))["status"]["allowed"] is True


@conforms(
    "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should include webhook"
    " resources in discovery documents [Conformance]"
)
@world()
async def test_webhook_configurations_are_discovered(w: World) -> None:
    await served(
        w, "admissionregistration.k8s.io/v1",
        "mutatingwebhookconfigurations", "validatingwebhookconfigurations",
    )  # fmt: skip
