"""Tokens in Secrets: filled, good, noted, marked, gone; against the real API server."""

from __future__ import annotations

import base64

import pytest
from tests.unit.controllers.cluster import cluster

from kybern.api import errors
from kybern.api.authentication.v1 import TokenReview, TokenReviewSpec
from kybern.api.core.v1 import ConfigMap, ObjectReference, Secret, ServiceAccount
from kybern.api.meta.v1 import ObjectMeta
from kybern.apiserver.config import Config
from kybern.lib import pki
from kybern.lib.clock import run_virtual

CONTROLLERS = ("serviceaccount-token", "legacy-service-account-token-cleaner")
ACCOUNT = "kubernetes.io/service-account.name"
LAST, INVALID = "kubernetes.io/legacy-token-last-used", "kubernetes.io/legacy-token-invalid-since"
DAY = 86400


def wish(name="robot-token", account="robot"):
    metadata = ObjectMeta(name=name, namespace="default", annotations={ACCOUNT: account})
    return Secret(metadata=metadata, type="kubernetes.io/service-account-token")


async def make(it, *, refer=False):
    account = ServiceAccount(metadata=ObjectMeta(name="robot", namespace="default"))
    if refer:
        account.secrets = [ObjectReference(name="robot-token"), ObjectReference(name="pull")]
    await it.client.create(account)
    await it.client.create(wish())
    await it.settle(2)
    held = (await it.client.get(Secret, "robot-token", "default")).data
    return base64.b64decode(held["token"]).decode()


async def who(it, token):
    answer = await it.client.create(TokenReview(spec=TokenReviewSpec(token=token)))
    return answer.status.user.username if answer.status.authenticated else None


def run(story, **options):
    key = pki.make_key()

    async def main():
        server = Config(service_account_key=key)
        options["service_account_key"] = key
        async with cluster(*CONTROLLERS, nodes=False, server=server, **options) as it:
            await story(it)

    run_virtual(main())


def test_a_secret_gets_a_token_that_ends_with_it():
    async def story(it):
        token = await make(it)
        assert await who(it, token) == "system:serviceaccount:default:robot"
        await it.settle(2)
        labels = (await it.client.get(Secret, "robot-token", "default")).metadata.labels
        assert list(labels) == [LAST]
        change = {"metadata": {"labels": {INVALID: "2026-01-01"}}}
        await it.client.patch(Secret, "robot-token", "default", change)
        assert await who(it, token) is None
        change = {"metadata": {"labels": {INVALID: None}}}
        await it.client.patch(Secret, "robot-token", "default", change)
        assert await who(it, token) == "system:serviceaccount:default:robot"
        await it.client.delete(Secret, "robot-token", "default")
        assert await who(it, token) is None
        await it.settle(2)
        it.detector.check()

    run(story)


def test_another_token_in_the_same_secret():
    async def story(it):
        token = await make(it)
        await it.client.patch(Secret, "robot-token", "default", {"data": {"token": None}})
        await it.settle(2)
        held = (await it.client.get(Secret, "robot-token", "default")).data
        fresh = base64.b64decode(held["token"]).decode()
        assert fresh != token
        assert await who(it, token) is None
        assert await who(it, fresh) == "system:serviceaccount:default:robot"

    run(story)


def test_secrets_go_with_their_account_and_references_with_their_secret():
    async def story(it):
        await make(it, refer=True)
        await it.client.create(wish("second"))
        await it.client.create(wish("orphan", "nobody"))
        await it.settle(2)
        with pytest.raises(errors.NotFound):
            await it.client.get(Secret, "orphan", "default")
        await it.client.delete(Secret, "robot-token", "default")
        await it.settle(2)
        account = await it.client.get(ServiceAccount, "robot", "default")
        assert [each.name for each in account.secrets] == ["pull"]
        await it.client.delete(ServiceAccount, "robot", "default")
        await it.settle(2)
        assert (await it.client.list(Secret, "default"))[0] == []

    run(story)


def test_what_nobody_uses_is_marked_and_then_deleted():
    async def story(it):
        since = (await it.client.get(
            ConfigMap, "kube-apiserver-legacy-service-account-token-tracking", "kube-system"
        )).data["since"]  # fmt: skip
        assert len(since) == 10
        token = await make(it, refer=True)
        await it.client.create(wish("by-hand"))
        await it.settle(3 * DAY)
        labels = (await it.client.get(Secret, "robot-token", "default")).metadata.labels
        assert INVALID in labels
        assert await who(it, token) is None
        await it.settle(2.5 * DAY)
        with pytest.raises(errors.NotFound):
            await it.client.get(Secret, "robot-token", "default")
        await it.client.get(Secret, "by-hand", "default")

    run(story, legacy_token_clean_up_period=DAY / 2)
