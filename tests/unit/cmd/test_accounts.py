"""Each controller speaks with the token of its own account."""

import asyncio

import pytest

from kybern.api.authentication.v1 import TokenRequest, TokenRequestStatus
from kybern.api.errors import AlreadyExists, Forbidden, NotFound
from kybern.client.transport import Unreachable
from kybern.cmd.accounts import AccountTransport
from kybern.lib.clock import VirtualClock, rfc3339, run_virtual


class Main:
    """The controller manager's own client; gives out numbered tokens."""

    def __init__(self):
        self.clock = VirtualClock()
        self.accounts = {"known"}
        self.asked = []
        self.error = None

    async def create_subresource(self, what, name, namespace, subresource, request):
        await asyncio.sleep(0.01)
        if self.error is not None:
            raise self.error
        if name not in self.accounts:
            raise NotFound("no such account", {})
        assert (namespace, subresource) == ("kube-system", "token")
        self.asked.append(name)
        until = rfc3339(self.clock.now() + request.spec.expirationSeconds)
        token = f"{name}-{len(self.asked)}"
        return TokenRequest(status=TokenRequestStatus(token=token, expirationTimestamp=until))

    async def create(self, account):
        if account.metadata.name in self.accounts:
            raise AlreadyExists("there is one", {})
        self.accounts.add(account.metadata.name)


class Answer:
    def __init__(self, status):
        self.status = status


class Wire:
    """What would go over the network."""

    def __init__(self):
        self.sent = []
        self.status = 200

    async def request(self, method, path, *, query="", headers=None, body=None):
        self.sent.append(headers["authorization"])
        return Answer(self.status)

    async def upgrade(self, path, protocol, *, method="GET", query="", headers=None):
        self.sent.append(headers["authorization"])


def transport(account="known"):
    main, wire = Main(), Wire()
    return main, wire, AccountTransport(wire, main, account)


def test_requests_carry_the_accounts_token():
    async def scenario():
        main, wire, account = transport()
        await account.request("GET", "/api", headers={"accept": "x"})
        await account.upgrade("/exec", "websocket")
        await account.close()
        assert wire.sent == ["Bearer known-1"] * 2
        assert main.asked == ["known"]

    run_virtual(scenario())


def test_a_missing_account_is_made():
    async def scenario():
        main, wire, account = transport("new")
        await account.request("GET", "/api")
        assert wire.sent == ["Bearer new-1"]
        assert "new" in main.accounts

    run_virtual(scenario())


def test_many_at_once_ask_once():
    async def scenario():
        main, wire, account = transport()
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(account.request("GET", "/api"))
        assert main.asked == ["known"]
        assert set(wire.sent) == {"Bearer known-1"}

    run_virtual(scenario())


def test_a_token_is_replaced_before_it_ends():
    async def scenario():
        _, wire, account = transport()
        await account.request("GET", "/api")
        await asyncio.sleep(3600 * 0.7)
        await account.request("GET", "/api")
        await asyncio.sleep(3600 * 0.15)
        await account.request("GET", "/api")
        assert wire.sent == ["Bearer known-1", "Bearer known-1", "Bearer known-2"]

    run_virtual(scenario())


def test_a_token_that_is_no_longer_good_is_replaced():
    async def scenario():
        _, wire, account = transport()
        wire.status = 401
        assert (await account.request("GET", "/api")).status == 401
        wire.status = 200
        await account.request("GET", "/api")
        assert wire.sent == ["Bearer known-1", "Bearer known-2"]

    run_virtual(scenario())


def test_without_a_token_the_server_counts_as_unreachable():
    async def scenario():
        main, wire, account = transport()
        main.error = Forbidden("you may not", {})
        with pytest.raises(Unreachable, match="no token for kube-system/known"):
            await account.request("GET", "/api")
        assert wire.sent == []
        main.error = None
        await account.request("GET", "/api")

    run_virtual(scenario())
