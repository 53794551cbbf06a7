"""Service accounts, their tokens, certificate requests, and reviews of who may do what."""

from __future__ import annotations

import base64
from typing import Any

from kybern.lib import pki
from tests.conformance.marks import conforms
from tests.conformance.operations import operations, served
from tests.conformance.wire import MERGE, STRATEGIC
from tests.conformance.world import ROOT_CA, World, refused, world

CERTIFICATES = "certificates.k8s.io/v1"
IMPERSONATE = "impersonate-user"


@conforms(
    "[sig-auth] ServiceAccounts should run through the lifecycle of a ServiceAccount [Conformance]"
)
@world()
async def test_service_accounts_live(w: World) -> None:
    accounts = w.resource("v1", "serviceaccounts", await w.namespace())
    static = "test-serviceaccount-static=true"
    async with await accounts.watch(static) as watch:
        body = {"metadata": {"name": "testserviceaccount",
                             "labels": {"test-serviceaccount-static": "true"}}}  # fmt: skip
        made = await accounts.create(body)
        assert await watch.expect("ADDED") == [made]
        change = {"automountServiceAccountToken": False}
        patched = await accounts.patch("testserviceaccount", change, STRATEGIC)
        assert await watch.expect("MODIFIED") == [patched]
        (found,) = await accounts.items(static, everywhere=True)
        assert found["automountServiceAccountToken"] is False
        await accounts.delete_collection(static)
        await watch.expect("DELETED")
    assert await accounts.missing("testserviceaccount")


@conforms("[sig-auth] ServiceAccounts should update a ServiceAccount [Conformance]")
@world()
async def test_service_accounts_change(w: World) -> None:
    accounts = w.resource("v1", "serviceaccounts", await w.namespace())
    await accounts.create({"metadata": {"name": "e2e-sa"}})
    found = await accounts.get("e2e-sa")
    assert "automountServiceAccountToken" not in found
    found["automountServiceAccountToken"] = True
    assert (await accounts.update(found))["automountServiceAccountToken"] is True
    assert (await accounts.get("e2e-sa"))["automountServiceAccountToken"] is True


@conforms(
    "[sig-auth] ServiceAccounts should guarantee kube-root-ca.crt exist in any namespace"
    " [Conformance]"
)
@world()
async def test_the_root_certificate_is_everywhere(w: World) -> None:
    maps = w.resource("v1", "configmaps", await w.namespace())
    assert (await maps.get("kube-root-ca.crt"))["data"] == {"ca.crt": ROOT_CA}

    async def right() -> bool:
        if await maps.missing("kube-root-ca.crt"):
            return False
        return (await maps.get("kube-root-ca.crt"))["data"] == {"ca.crt": ROOT_CA}

    await maps.delete("kube-root-ca.crt", {"gracePeriodSeconds": 0})
    await w.wait(right)
    found = await maps.get("kube-root-ca.crt")
    await maps.update({**found, "data": {"ca.crt": ""}})
    await w.wait(right)


@conforms("[sig-auth] ServiceAccounts should allow opting out of API token automount [Conformance]")
@world()
async def test_tokens_are_mounted_unless_one_opts_out(w: World) -> None:
    namespace = await w.namespace()
    accounts = w.resource("v1", "serviceaccounts", namespace)
    pods = w.resource("v1", "pods", namespace)
    for account, automount in (("default", None), ("mount", True), ("nomount", False)):
        if automount is not None:
            await accounts.create(
                {"metadata": {"name": account}, "automountServiceAccountToken": automount}
            )
        for wish in (None, True, False):
            name = f"pod-{account}-{str(wish).lower()}"
            spec: dict[str, Any] = {
                "serviceAccountName": account,
                "containers": [{"name": "c", "image": "pause"}],
            }
            if wish is not None:
                spec["automountServiceAccountToken"] = wish
            made = await pods.create({"metadata": {"name": name}, "spec": spec})
            mounts = made["spec"]["containers"][0].get("volumeMounts", [])
            where = [m["mountPath"] for m in mounts]
            expected = wish if wish is not None else automount is not False
            assert bool(where) is expected, name
            assert where == (["/var/run/secrets/kubernetes.io/serviceaccount"] * expected)


@conforms(
    "[sig-auth] ServiceAccounts should create a serviceAccountToken and ensure a successful"
    " TokenReview [Conformance]"
)
@world()
async def test_a_token_is_what_it_says(w: World) -> None:
    namespace = await w.namespace()
    account = await w.resource("v1", "serviceaccounts", namespace).create(
        {"metadata": {"name": "e2e-sa"}}
    )
    pod = await w.resource("v1", "pods", namespace).create(
        {
            "metadata": {"name": "p"},
            "spec": {
                "serviceAccountName": "e2e-sa",
                "containers": [{"name": "c", "image": "pause"}],
            },
        }
    )
    request: dict[str, Any] = {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {},
    }  # fmt: skip
    reference = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": pod["metadata"]["uid"]}
    for bound in (None, reference):
        request["spec"] = {"boundObjectRef": bound} if bound else {}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/e2e-sa/token"
        token = (await w.call("POST", path, request))["status"]["token"]
        assert token.count(".") == 2
        user = await reviewed(w, token)
        assert user["username"] == f"system:serviceaccount:{namespace}:e2e-sa"
        assert user["uid"] == account["metadata"]["uid"]
        assert user["groups"] == [
            "system:serviceaccounts", f"system:serviceaccounts:{namespace}",
            "system:authenticated",
        ]  # fmt: skip
        extra = user["extra"]
        (credential,) = extra["authentication.kubernetes.io/credential-id"]
        assert credential.startswith("JTI=")
        if bound:
            assert extra["authentication.kubernetes.io/pod-name"] == ["p"]
            assert extra["authentication.kubernetes.io/pod-uid"] == [pod["metadata"]["uid"]]
        else:
            assert "authentication.kubernetes.io/pod-name" not in extra
    await w.resource("v1", "pods", namespace).delete("p", {"gracePeriodSeconds": 0})
    assert (await review(w, token))["status"].get("authenticated") is not True
    assert (await review(w, "nonsense"))["status"].get("authenticated") is not True


async def review(w: World, token: str) -> Any:
    body = {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token},
    }  # fmt: skip
    return await w.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body)


async def reviewed(w: World, token: str) -> Any:
    status = (await review(w, token))["status"]
    assert status["authenticated"] is True
    assert "error" not in status
    return status["user"]


@conforms("[sig-auth] SubjectReview should support SubjectReview API operations [Conformance]")
@world()
async def test_reviews_say_what_happens(w: World) -> None:
    namespace = await w.namespace()
    await w.resource("v1", "serviceaccounts", namespace).create({"metadata": {"name": "e2e"}})
    user = f"system:serviceaccount:{namespace}:e2e"

    async def really(path: str) -> bool:
        answer = await w.raw("GET", path, headers={IMPERSONATE: user})
        if answer.status == 200:
            return True
        assert answer.status == 403
        assert f'User "{user}" cannot list resource "configmaps"' in answer.tree["message"]
        return False

    async def both() -> tuple[bool, bool]:
        attributes = {"verb": "list", "resource": "configmaps", "version": "v1"}
        body = {
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"resourceAttributes": {**attributes, "namespace": namespace}, "user": user},
        }  # fmt: skip
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        cluster = (await w.call("POST", path, body))["status"]["allowed"]
        path = f"/apis/authorization.k8s.io/v1/namespaces/{namespace}/localsubjectaccessreviews"
        body["kind"] = "LocalSubjectAccessReview"
        local = (await w.call("POST", path, body))["status"]["allowed"]
        return cluster, local

    path = f"/api/v1/namespaces/{namespace}/configmaps"
    assert await both() == (False, False)
    assert await really(path) is False
    binding = {
        "metadata": {"name": "view"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "e2e", "namespace": namespace}],
    }
    bindings = w.resource("rbac.authorization.k8s.io/v1", "rolebindings", namespace)
    await bindings.create(binding)
    await w.settle(1)
    assert await both() == (True, True)
    assert await really(path) is True
    # only who may impersonate may
    with refused(403, "Forbidden", 'cannot impersonate resource "users"'):
        await w.as_account(namespace, "e2e").get(path, headers={IMPERSONATE: "somebody"})


@conforms(
    "[sig-auth] Certificates API [Privileged:ClusterAdmin] should support CSR API operations"
    " [Conformance]"
)
@world()
async def test_certificate_requests(w: World) -> None:
    requests = w.resource(CERTIFICATES, "certificatesigningrequests")
    key = pki.make_key()
    wish = base64.b64encode(pki.make_request(pki.Subject("e2e.example.com"), key)).decode()
    signer = "example.com/e2e"
    body = {
        "spec": {
            "request": wish, "signerName": signer, "expirationSeconds": 3600,
            "usages": ["digital signature", "key encipherment", "server auth"],
        }
    }  # fmt: skip
    await served(
        w, CERTIFICATES, "certificatesigningrequests", "certificatesigningrequests/approval",
        "certificatesigningrequests/status",
    )  # fmt: skip
    await operations(w, requests, body, subresources=("approval", "status"))

    made = await requests.create({"metadata": {"generateName": "e2e-example-csr-"}, **body})
    name = made["metadata"]["name"]
    assert made["spec"]["expirationSeconds"] == 3600
    assert made["spec"]["username"] == "kybern"
    assert set(made["spec"]["groups"]) == {"system:masters", "system:authenticated"}
    assert await requests.names(fieldSelector=f"spec.signerName={signer}") == [name]
    assert await requests.names(fieldSelector="spec.signerName=another.com/one") == []

    assert await requests.get(name, subresource="approval") == made
    condition = {"type": "ApprovalPatch", "status": "True", "reason": "e2e"}
    change = {
        "metadata": {"annotations": {"patchedapproval": "true"}},
        "status": {"conditions": [condition]},
    }
    patched = await requests.patch(name, change, MERGE, subresource="approval")
    assert [c["type"] for c in patched["status"]["conditions"]] == ["ApprovalPatch"]
    assert patched["metadata"]["annotations"]["patchedapproval"] == "true"
    approval = {"type": "Approved", "status": "True", "reason": "E2E", "message": "by a test"}
    patched["status"]["conditions"].append(approval)
    updated = await requests.update(patched, subresource="approval")
    assert [c["type"] for c in updated["status"]["conditions"]] == ["ApprovalPatch", "Approved"]
    assert updated["status"]["conditions"][1]["lastTransitionTime"]

    assert await requests.get(name, subresource="status") == updated
    authority = pki.make_ca("e2e.example.com", now=w.clock.now())
    certificate = base64.b64encode(authority.certificate).decode()
    change = {
        "metadata": {"annotations": {"patchedstatus": "true"}},
        "status": {"certificate": certificate},
    }
    patched = await requests.patch(name, change, MERGE, subresource="status")
    assert patched["status"]["certificate"] == certificate
    assert patched["metadata"]["annotations"]["patchedstatus"] == "true"
    more = {"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "by a test"}
    patched["status"]["conditions"].append(more)
    updated = await requests.update(patched, subresource="status")
    assert [c["type"] for c in updated["status"]["conditions"]][2] == "StatusUpdate"

    with refused(422, "Invalid", "spec.request"):
        await requests.create(
            {"metadata": {"name": "bad"}, "spec": {**body["spec"], "request": "YQ=="}}
        )
    changed = await requests.update({**updated, "spec": {**updated["spec"], "usages": ["any"]}})
    assert changed["spec"] == updated["spec"]
    await requests.delete(name)
    assert await requests.missing(name)
