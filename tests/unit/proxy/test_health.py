"""What load balancers are told."""

import asyncio
import json

from tests.ports import free_port

from kybern.lib.http.client import HttpClient
from kybern.proxy.health import HealthPorts, answer
from kybern.proxy.model import Check


def test_words():
    good = answer("shop/web", 2, healthy=True)
    assert good.status == 200
    assert json.loads(good.body) == {
        "service": {"namespace": "shop", "name": "web"},
        "localEndpoints": 2,
        "serviceProxyHealthy": True,
    }
    assert dict(good.headers)["X-Load-Balancing-Endpoint-Weight"] == "2"
    assert answer("shop/web", 0, healthy=True).status == 503
    assert answer("shop/web", 2, healthy=False).status == 503


def test_ports_open_change_and_close():
    async def story():
        ports, port = HealthPorts(lambda: True), free_port()
        hosts = ["127.0.0.1"]

        async def ask():
            client = HttpClient(f"http://127.0.0.1:{port}")
            try:
                return (await client.request("GET", "/")).status
            except OSError:
                return 0
            finally:
                await client.close()

        await ports.update({"a/b": Check(port, 1)}, hosts)
        assert await ask() == 200
        await ports.update({"a/b": Check(port, 0)}, hosts)
        assert await ask() == 503
        # a port in use by another is told, and harms nobody
        await ports.update({"c/d": Check(port, 1)}, hosts)
        assert await ask() == 503
        await ports.update({"a/b": None, "c/d": None}, hosts)
        assert await ask() == 0
        await ports.close()

    asyncio.run(story())
