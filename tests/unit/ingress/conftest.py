"""What the tests of the ingress have in common: objects, and a world to plan in."""

import pytest

from kybern.api.core.v1 import Service, ServicePort, ServiceSpec
from kybern.api.discovery.v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from kybern.api.meta.v1 import ObjectMeta
from kybern.api.networking.v1 import (
    HTTPIngressPath,
    HTTPIngressRuleValue,
    Ingress,
    IngressBackend,
    IngressRule,
    IngressServiceBackend,
    IngressSpec,
    IngressTLS,
    ServiceBackendPort,
)
from kybern.ingress import plan
from kybern.ingress.backends import Around


def to(service, port=80):
    wanted = ServiceBackendPort(**{"name" if isinstance(port, str) else "number": port})
    return IngressBackend(service=IngressServiceBackend(name=service, port=wanted))


def rule(host, *paths):
    """Make a rule of (path, type, service) triples."""
    return IngressRule(
        host=host,
        http=HTTPIngressRuleValue(
            paths=[HTTPIngressPath(path=p, pathType=t, backend=to(s)) for p, t, s in paths]
        ),
    )


def ingress(*rules, name="web", namespace="shop", default=None, tls=(), created=None):
    return Ingress(
        metadata=ObjectMeta(name=name, namespace=namespace, creationTimestamp=created),
        spec=IngressSpec(
            ingressClassName="haproxy",
            rules=list(rules) or None,
            defaultBackend=to(default) if default else None,
            tls=[IngressTLS(secretName=s, hosts=list(h) or None) for s, *h in tls] or None,
        ),
    )


def service(name="web", namespace="shop", protocol=None, **more):
    port = ServicePort(name="http", port=80, protocol="TCP", appProtocol=protocol)
    return Service(
        metadata=ObjectMeta(name=name, namespace=namespace), spec=ServiceSpec(ports=[port], **more)
    )


def endpoint(ip, **conditions):
    return Endpoint(addresses=[ip], conditions=EndpointConditions(**conditions))


def piece(*endpoints, port=8080):
    return EndpointSlice(
        metadata=ObjectMeta(name="piece"),
        addressType="IPv4",
        ports=[EndpointPort(name="http", port=port, protocol="TCP")],
        endpoints=list(endpoints),
    )


class World:
    """Services and their slices, to be changed by tests."""

    def __init__(self):
        self.services = {}
        self.slices = {}

    def add(self, name, *ips, namespace="shop", port=8080, **more):
        self.services[namespace, name] = service(name, namespace, **more)
        self.slices[namespace, name] = [piece(*map(endpoint, ips), port=port)]
        return self

    @property
    def around(self):
        return Around(lambda *key: self.services.get(key), lambda *key: self.slices.get(key, ()))

    def plan(self, *ingresses, certificates=None):
        return plan.make(ingresses, self.around, certificates or {})


@pytest.fixture
def world():
    return World().add("web", "10.0.0.1").add("api", "10.0.0.2").add("other", "10.0.0.3")
