"""Bootstrap tokens: who may show one, and when it ends."""

from __future__ import annotations

import asyncio

from tests.unit.apiserver.harness import PODS, Server

from kybern.lib.clock import VirtualClock, run_virtual

SECRETS = "/api/v1/namespaces/kube-system/secrets"
NAME = "bootstrap-token-abcdef"
TOKEN = "abcdef.0123456789abcdef"
WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"


def secret(name=NAME, type_="bootstrap.kubernetes.io/token", **data):
    values = {
        "token-id": "abcdef",
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-authentication": "true",
        **{key.replace("_", "-"): value for key, value in data.items()},
    }
    return {
        "metadata": {"name": name}, "type": type_,
        "stringData": {key: value for key, value in values.items() if value is not None},
    }  # fmt: skip


async def who(server, token=TOKEN):
    answer = await server.post(WHOAMI, {}, user=None, authorization=f"Bearer {token}")
    return answer.tree["status"]["userInfo"] if answer.status == 201 else answer.status


def test_a_token_stands_for_a_machine_that_joins():
    async def story():
        async with Server(bootstrap_tokens=True) as server:
            assert await who(server) == 401
            groups = "system:bootstrappers:kubeadm:default-node-token,system:bootstrappers:a"
            made = await server.post(SECRETS, secret(auth_extra_groups=groups))
            assert made.status == 201, made.body
            assert await who(server) == {
                "username": "system:bootstrap:abcdef",
                "groups": [
                    "system:bootstrappers", "system:bootstrappers:a",
                    "system:bootstrappers:kubeadm:default-node-token", "system:authenticated",
                ],
            }  # fmt: skip
            review = (await server.post(REVIEWS, {"spec": {"token": TOKEN}})).tree["status"]
            assert review["authenticated"]
            assert review["user"]["username"] == "system:bootstrap:abcdef"
            allowed = await server.get(PODS, user=None, authorization=f"Bearer {TOKEN}")
            assert allowed.status == 403
            for wrong in (
                "abcdef.0123456789abcdee",
                "abcdeg.0123456789abcdef",
                "abcdef",
                TOKEN + "\n0",
            ):
                assert await who(server, wrong) == 401, wrong
            await server.delete(f"{SECRETS}/{NAME}")
            assert await who(server) == 401

    asyncio.run(story())


def test_what_makes_a_secret_good_for_nothing():
    async def story():
        async with Server(bootstrap_tokens=True) as server:
            for spoiled in (
                secret(token_secret="x"),
                secret(token_secret=None),
                secret(token_id="abcdee"),
                secret(usage_bootstrap_authentication="yes"),
                secret(usage_bootstrap_authentication=None),
                secret(auth_extra_groups="system:masters"),
                secret(auth_extra_groups="system:bootstrappers:a,"),
                secret(expiration="tomorrow"),
                secret(type_="Opaque"),
            ):
                made = await server.post(SECRETS, spoiled)
                assert made.status == 201, made.body
                assert await who(server) == 401, spoiled
                await server.delete(f"{SECRETS}/{NAME}")
            held = secret()
            held["metadata"]["finalizers"] = ["example.com/held"]
            await server.post(SECRETS, held)
            assert (await who(server))["username"] == "system:bootstrap:abcdef"
            await server.delete(f"{SECRETS}/{NAME}")
            assert await who(server) == 401

    asyncio.run(story())


def test_a_token_ends_when_its_time_has_come():
    async def story():
        async with Server(bootstrap_tokens=True, clock=VirtualClock()) as server:
            clock = server.api.services.clock
            from kybern.lib.clock import rfc3339

            await server.post(SECRETS, secret(expiration=rfc3339(clock.now() + 60)))
            assert (await who(server))["username"] == "system:bootstrap:abcdef"
            await asyncio.sleep(61)
            assert await who(server) == 401

    run_virtual(story())


def test_only_where_it_is_turned_on():
    async def story():
        async with Server() as server:
            await server.post(SECRETS, secret())
            assert await who(server) == 401

    asyncio.run(story())
