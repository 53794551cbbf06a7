"""Who sends a request: certificates, static tokens, service account tokens, nobody."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from tests.unit.apiserver.harness import DEFAULT, PODS, Identity, Server, pod

from kybern.lib import pki
from kybern.lib.clock import SYSTEM, run_virtual

WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
ISSUER = "https://kubernetes.default.svc.cluster.local"


def _der(name: str, groups: tuple[str, ...] = (), lifetime: float = 3600.0) -> bytes:
    ca = pki.make_ca("test", now=SYSTEM.now())
    pair = pki.issue(
        ca, pki.Subject(name, groups), now=SYSTEM.now(), lifetime=lifetime, client=True
    )
    return ssl.PEM_cert_to_DER_cert(pair.certificate.decode())


async def _whoami(server: Server, **how: object) -> dict:
    answer = await server.post(WHOAMI, {}, user=None, **how)
    assert answer.status == 201, answer.body
    return answer.tree["status"]["userInfo"]


def test_certificates() -> None:
    async def story() -> None:
        async with Server() as server:
            user = await _whoami(server, certificate=_der("joe", ("devs", "ops")))
            assert user["username"] == "joe"
            assert user["groups"] == ["devs", "ops", "system:authenticated"]
            nameless = await server.get(PODS, user=None, certificate=_der("", ("devs",)))
            assert nameless.status == 401
            expired = await server.get(PODS, user=None, certificate=_der("joe", lifetime=-10))
            assert expired.status == 401

    asyncio.run(story())


def test_static_tokens(tmp_path) -> None:
    async def story() -> None:
        file = tmp_path / "tokens.csv"
        file.write_text('abc,ann,7,"devs,ops"\ndef,bob,8\n')
        async with Server(token="secret", token_file=file) as server:
            admin = await _whoami(server, authorization="Bearer secret")
            assert "system:masters" in admin["groups"]
            ann = await _whoami(server, authorization="bearer abc")
            assert (ann["username"], ann["uid"]) == ("ann", "7")
            assert ann["groups"] == ["devs", "ops", "system:authenticated"]
            for header in ("Bearer nope", "Bearer ", "Basic c2VjcmV0", "secret"):
                assert (await server.get(PODS, user=None, authorization=header)).status == 401

    asyncio.run(story())


def test_nobody_gets_401_but_may_ask_for_health() -> None:
    async def story() -> None:
        async with Server() as server:
            for path in (
                PODS,
                "/api",
                "/version",
                "/metrics",
                "/openapi/v3",
                "/healthzz",
                "/readyz/ping",
            ):
                answer = await server.get(path, user=None)
                assert answer.status == 401, path
                assert answer.tree["reason"] == "Unauthorized"
            for path in ("/healthz", "/livez", "/readyz", "/livez?verbose"):
                assert (await server.get(path, user=None)).status == 200, path
            wrong = await server.get("/healthz", user=None, authorization="Bearer nope")
            assert wrong.status == 401

    asyncio.run(story())


def test_service_account_tokens_speak_for_the_account() -> None:
    async def story() -> None:
        async with Server() as server:
            token = await server.token()
            user = await _whoami(server, authorization=f"Bearer {token}")
            assert user["username"] == "system:serviceaccount:default:default"
            assert user["groups"] == [
                "system:serviceaccounts", "system:serviceaccounts:default",
                "system:authenticated",
            ]  # fmt: skip
            credential = user["extra"]["authentication.kubernetes.io/credential-id"]
            assert credential[0].startswith("JTI=")
            tampered = token[:-6] + "AAAAAA"
            answer = await server.get(PODS, user=None, authorization=f"Bearer {tampered}")
            assert answer.status == 401

    asyncio.run(story())


def test_a_token_ends_with_what_it_is_bound_to() -> None:
    async def story() -> None:
        async with Server() as server:
            made = (await server.post(PODS, pod("p", nodeName="n1"))).tree
            ref = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": made["metadata"]["uid"]}
            token = await server.token(boundObjectRef=ref)
            bearer = {"user": None, "authorization": f"Bearer {token}"}
            user = await _whoami(server, authorization=f"Bearer {token}")
            assert user["extra"]["authentication.kubernetes.io/pod-name"] == ["p"]
            assert user["extra"]["authentication.kubernetes.io/node-name"] == ["n1"]
            await server.delete(f"{PODS}/p?gracePeriodSeconds=0")
            assert (await server.get(PODS, **bearer)).status == 401
            await server.post(PODS, pod("p"))
            assert (await server.get(PODS, **bearer)).status == 401

            token = await server.token()
            await server.delete(f"{DEFAULT}/serviceaccounts/default")
            gone = await server.get(PODS, user=None, authorization=f"Bearer {token}")
            assert gone.status == 401

    asyncio.run(story())


def test_a_token_expires() -> None:
    async def story() -> None:
        from kybern.lib.clock import VirtualClock

        clock = VirtualClock()
        async with Server(clock=clock) as server:
            token = await server.token(expirationSeconds=600)
            bearer = {"user": None, "authorization": f"Bearer {token}"}
            assert (await server.get(PODS, **bearer)).status == 403
            await clock.sleep(599)
            assert (await server.get(PODS, **bearer)).status == 403
            await clock.sleep(2)
            assert (await server.get(PODS, **bearer)).status == 401

    run_virtual(story())


def test_audiences() -> None:
    async def story() -> None:
        async with Server() as server:
            token = await server.token(audiences=["vault"])
            assert (
                await server.get(PODS, user=None, authorization=f"Bearer {token}")
            ).status == 401
            path = "/apis/authentication.k8s.io/v1/tokenreviews"
            ours = await server.post(path, {"spec": {"token": token}})
            assert ours.tree["status"].get("authenticated") is not True
            theirs = await server.post(
                path, {"spec": {"token": token, "audiences": ["vault", "x"]}}
            )
            assert theirs.tree["status"]["authenticated"] is True
            assert theirs.tree["status"]["audiences"] == ["vault"]
            plain = await server.post(path, {"spec": {"token": await server.token()}})
            assert plain.tree["status"]["audiences"] == [ISSUER]
            assert (await server.post(path, {"spec": {}})).status == 400

    asyncio.run(story())


@pytest.mark.parametrize(
    ("spec", "status", "text"),
    [
        ({"expirationSeconds": 10}, 422, "may not specify a duration less than 10 minutes"),
        ({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "none"}}, 404, "not found"),
        ({"boundObjectRef": {"kind": "ConfigMap", "apiVersion": "v1", "name": "x"}}, 400,
         "cannot bind token to object of type"),
    ],
)  # fmt: skip
def test_requests_for_tokens_that_make_no_sense(spec: dict, status: int, text: str) -> None:
    async def story() -> None:
        async with Server() as server:
            answer = await server.post(f"{DEFAULT}/serviceaccounts/default/token", {"spec": spec})
            assert answer.status == status
            assert text in answer.message

    asyncio.run(story())


def test_a_token_is_bound_to_the_pod_that_is_meant() -> None:
    async def story() -> None:
        async with Server() as server:
            await server.post(f"{DEFAULT}/serviceaccounts", {"metadata": {"name": "other"}})
            await server.post(PODS, pod("p", serviceAccountName="other"))
            path = f"{DEFAULT}/serviceaccounts/default/token"
            ref = {"kind": "Pod", "apiVersion": "v1", "name": "p"}
            wrong = await server.post(path, {"spec": {"boundObjectRef": ref}})
            assert wrong.status == 400
            assert "different serviceaccount name" in wrong.message
            ref["uid"] = "another"
            stale = await server.post(path, {"spec": {"boundObjectRef": ref}})
            assert stale.status == 409

    asyncio.run(story())


def test_keys_are_published() -> None:
    async def story() -> None:
        async with Server() as server:
            document = (await server.get("/.well-known/openid-configuration")).tree
            assert document["issuer"] == ISSUER
            assert document["id_token_signing_alg_values_supported"] == ["ES256"]
            keys = (await server.get("/openid/v1/jwks")).tree["keys"]
            assert [key["alg"] for key in keys] == ["ES256"]
            token = await server.token()
            bearer = {"user": None, "authorization": f"Bearer {token}"}
            assert (await server.get("/openid/v1/jwks", **bearer)).status == 200
            stranger = await server.get("/openid/v1/jwks", user=Identity("joe"))
            assert stranger.status == 403

    asyncio.run(story())
