"""The loop, against the real API server, with a haproxy that only listens to what it is told."""

import base64
import contextlib

import pytest
from tests.unit.controllers.cluster import cluster

from kybern.api import errors
from kybern.api.core.v1 import Secret
from kybern.api.discovery.v1 import EndpointSlice
from kybern.api.meta.v1 import ObjectMeta
from kybern.api.networking.v1 import Ingress, IngressClass
from kybern.client.informer import Informers
from kybern.client.transport import Identity
from kybern.cluster import prerequisites
from kybern.cmd import ingress_access
from kybern.ingress import plan, status, sync
from kybern.ingress.backends import Target
from kybern.ingress.config import IngressConfig
from kybern.ingress.haproxy import ProxyError
from kybern.lib import pki
from kybern.lib.clock import run_virtual

from .conftest import endpoint, ingress, piece, rule, service


class FakeHaproxy:
    """Takes plans; refuses those it is told to."""

    def __init__(self, _config, _clock, _tasks, _ended):
        self.plans = []
        self.ports = self
        self.numbers = {}
        self.refused = {}
        self.failures = 0
        self.reloads = 0

    def open(self):
        self.numbers = {"http": 80, "https": 443} if not self.refused else {}
        return self.refused

    async def apply(self, plan):
        if self.failures:
            self.failures -= 1
            raise ProxyError("no")
        self.plans.append(plan)

    async def stop(self):
        self.numbers = {}


PROXY = Identity("system:kube-proxy", ("system:authenticated",))


@contextlib.asynccontextmanager
async def world(monkeypatch, tmp_path):
    made = []

    def make(*words):
        made.append(FakeHaproxy(*words))
        return made[-1]

    monkeypatch.setattr(sync, "Haproxy", make)
    monkeypatch.setattr(prerequisites, "find", lambda _: "/usr/sbin/haproxy")
    async with cluster(nodes=False) as it:
        await it.namespace("shop")
        config = IngressConfig(node_name="n", address="10.1.2.3", directory=tmp_path)
        keeper = ingress_access.Keeper(it.client, it.informers)
        it.tasks.spawn_forever(keeper.run, "access")
        await it.settle(1)
        it.proxy_informers = Informers(it.client_as(PROXY), it.tasks)
        loop = sync.IngressProxy(config, it.client_as(PROXY), it.proxy_informers)
        it.tasks.spawn_forever(loop.run, "ingress")
        await loop.synced.wait()
        yield it, made[0]


@pytest.fixture
def story(monkeypatch, tmp_path):
    def run(told):
        async def main():
            async with world(monkeypatch, tmp_path) as (it, proxy):
                await told(it, proxy)

        run_virtual(main())

    return run


def kinds(it):
    return {each.kind.kind for each in it.proxy_informers.running()}


async def addresses(it, name="web"):
    one = await it.client.get(Ingress, name, "shop")
    return status.current(one)


def test_without_an_ingress_nothing_is_followed(story):
    async def told(it, proxy):
        assert kinds(it) == {"Ingress", "IngressClass"}
        assert (proxy.plans, proxy.numbers) == ([], {})
        found = await it.client.get(IngressClass, "haproxy")
        assert found.spec.controller == "kybern.io/haproxy"

    story(told)


def test_an_ingress_from_the_cradle_to_the_grave(story):
    async def told(it, proxy):
        await it.client.create(ingress(rule("a.test", ("/", "Prefix", "web"))))
        await it.settle(1)
        assert proxy.plans[-1].routes.prefix == {"a.test/": plan.NOBODY}
        assert await it.events("shop") == [("ServiceNotFound", 'Service "web" not found')]
        assert await addresses(it) == ["10.1.2.3"]

        await it.client.create(service())
        slices = piece(endpoint("10.0.0.1"))
        slices.metadata.namespace = "shop"
        slices.metadata.labels = {sync.SERVICE_LABEL: "web"}
        await it.client.create(slices)
        await it.settle(1)
        assert proxy.plans[-1].routes.prefix == {"a.test/": "shop_web_80"}
        assert proxy.plans[-1].backends["shop_web_80"].targets == (Target("10.0.0.1", 8080),)

        await it.client.delete(Ingress, "web", "shop")
        await it.settle(1)
        assert proxy.numbers == {}
        count = len(proxy.plans)
        await it.client.delete(EndpointSlice, "piece", "shop")
        await it.settle(60)
        assert len(proxy.plans) == count

    story(told)


def test_a_node_reads_the_secrets_that_are_named_and_no_others(story):
    async def told(it, proxy):
        authority = pki.make_ca("ca", now=0)
        pair = pki.issue(authority, pki.Subject("a.test"), now=0, server=True)
        data = {"tls.crt": pair.certificate, "tls.key": pair.key}
        for name in ("mine", "private"):
            coded = {key: base64.b64encode(value).decode() for key, value in data.items()}
            metadata = ObjectMeta(name=name, namespace="shop")
            await it.client.create(Secret(metadata=metadata, type="kubernetes.io/tls", data=coded))
        tls = [("mine", "a.test")]
        await it.client.create(ingress(rule("a.test", ("/", "Prefix", "web")), tls=tls))
        await it.settle(60)
        [sni] = proxy.plans[-1].certificates
        assert (sni.hosts, sni.pem) == (("a.test",), pair.certificate + pair.key)
        node = it.client_as(PROXY)
        await node.get(Secret, "mine", "shop")
        with pytest.raises(errors.Forbidden):
            await node.get(Secret, "private", "shop")

        await it.client.delete(Secret, "mine", "shop")
        await it.settle(1)
        assert proxy.plans[-1].certificates == ()
        assert ("CertificateUnusable", 'Secret "mine" not found') in await it.events("shop")

        await it.client.delete(Ingress, "web", "shop")
        await it.settle(1)
        with pytest.raises(errors.Forbidden):
            await node.get(Secret, "mine", "shop")

    story(told)


def test_ports_that_are_taken_are_told_once_and_tried_again(story):
    async def told(it, proxy):
        proxy.refused = {80: "Address already in use"}
        await it.client.create(ingress(default="web"))
        await it.settle(300)
        told = [each for each in await it.events("shop") if each[0] == "PortTaken"]
        assert told == [("PortTaken", "Port 80 of the node cannot be had: Address already in use")]
        assert (proxy.plans, await addresses(it)) == ([], [])
        proxy.refused = {}
        await it.settle(60)
        assert proxy.plans
        assert await addresses(it) == ["10.1.2.3"]

    story(told)


def test_without_haproxy_users_are_told_what_to_install(story, monkeypatch):
    async def told(it, proxy):
        monkeypatch.setattr(prerequisites, "find", lambda _: None)
        await it.client.create(ingress(default="web"))
        await it.settle(1)
        assert await it.events("shop") == [("NoProxy", sync.INSTALL)]
        monkeypatch.setattr(prerequisites, "find", lambda _: "/usr/sbin/haproxy")
        await it.settle(60)  # it was installed
        assert proxy.plans

    story(told)


def test_what_was_refused_is_tried_again(story):
    async def told(it, proxy):
        proxy.failures = 3
        await it.client.create(ingress(default="web"))
        await it.settle(60)
        assert proxy.plans

    story(told)


def test_those_of_other_classes_are_left_alone(story):
    async def told(it, proxy):
        other = ingress(default="web")
        other.spec.ingressClassName = "nginx"
        await it.client.create(other)
        await it.settle(60)
        assert (proxy.plans, await addresses(it)) == ([], [])

    story(told)
