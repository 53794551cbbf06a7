"""What Ingresses ask for, all in all."""

import pytest

from kybern.api.core.v1 import TypedLocalObjectReference
from kybern.api.meta.v1 import ObjectMeta
from kybern.api.networking.v1 import IngressBackend, IngressClass, IngressClassSpec
from kybern.ingress import classes, plan
from kybern.ingress.certificates import UNKNOWN, Certificate
from kybern.ingress.routes import exact_key, prefix_key

from .conftest import ingress, rule, to


@pytest.mark.parametrize(
    ("host", "path", "exact", "prefix"),
    [
        ("Shop.example", "/", "shop.example/", "shop.example/"),
        ("shop.example", "/foo", "shop.example/foo", "shop.example/foo/"),
        ("shop.example", "/foo/", "shop.example/foo/", "shop.example/foo/"),
        ("*.example", "/foo", ".example/foo", ".example/foo/"),
        (None, "/foo", "/foo", "/foo/"),
        ("a", "/a b\nc d", "a/a%20b%0Ac%20d", "a/a%20b%0Ac%20d/"),
        ("a", "/%41é", "a/%41%C3%A9", "a/%41%C3%A9/"),
    ],
)
def test_keys(host, path, exact, prefix):
    assert (exact_key(host, path), prefix_key(host, path)) == (exact, prefix)


def test_rules_become_routes(world):
    made = world.plan(
        ingress(
            rule("a.example", ("/", "Prefix", "web"), ("/api", "Exact", "api")),
            rule("*.example", ("", "ImplementationSpecific", "other")),
        )
    )
    assert made.routes.exact == {"a.example/api": "shop_api_80"}
    assert made.routes.prefix == {"a.example/": "shop_web_80", ".example/": "shop_other_80"}
    assert made.problems == ()


def test_the_older_ingress_keeps_its_route(world):
    old = ingress(rule("a", ("/", "Prefix", "web")), name="z", created="2025")
    new = ingress(rule("a", ("/", "Prefix", "api")), name="a", created="2026")
    made = world.plan(new, old)
    assert made.routes.prefix == {"a/": "shop_web_80"}
    [problem] = made.problems
    assert (problem.ingress, problem.reason) == (("shop", "a"), "RouteConflict")


def test_default_backends(world):
    made = world.plan(
        ingress(rule("a", ("/x", "Prefix", "web")), name="a", default="api", created="2025"),
        ingress(name="b", default="other", created="2026"),
    )
    assert made.routes.default == {"a": "shop_api_80", "*": "shop_other_80"}


def test_a_bad_ingress_harms_nobody(world):
    bad = ingress(rule("a", ("/", "Prefix", "none")), tls=[("gone", "a")], name="bad")
    good = ingress(rule("b", ("/", "Prefix", "web")), tls=[("there", "b")], name="good")
    certificates = {
        ("shop", "gone"): Certificate(problem='Secret "gone" not found'),
        ("shop", "there"): Certificate(pem=b"PEM"),
    }
    made = world.plan(bad, good, certificates=certificates)
    assert made.routes.prefix == {"a/": plan.NOBODY, "b/": "shop_web_80"}
    assert [each.hosts for each in made.certificates] == [("b",)]
    assert {(p.ingress[1], p.reason, p.message) for p in made.problems} == {
        ("bad", "ServiceNotFound", 'Service "none" not found'),
        ("bad", "CertificateUnusable", 'Secret "gone" not found'),
    }
    assert made.services == {("shop", "none"), ("shop", "web")}  # one may come any time


def test_nothing_is_said_about_what_nobody_knows_yet(world):
    waiting = ingress(rule("a", ("/", "Prefix", "web")), tls=[("new", "a")])
    made = world.plan(waiting, certificates={("shop", "new"): UNKNOWN})
    assert (made.certificates, made.problems) == ((), ())


@pytest.mark.parametrize(
    ("backend", "reason"),
    [
        (to("web", 81), "PortNotFound"),
        (to("web", "grpc"), "PortNotFound"),
        (to("away"), "BackendUnsupported"),
        (
            IngressBackend(resource=TypedLocalObjectReference(kind="Bucket", name="x")),
            "BackendUnsupported",
        ),
    ],
)
def test_backends_that_cannot_be(world, backend, reason):
    world.add("away", type="ExternalName", externalName="example.com")
    one = ingress()
    one.spec.defaultBackend = backend
    made = world.plan(one)
    assert made.routes.default == {"*": plan.NOBODY}
    assert [p.reason for p in made.problems] == [reason]


def test_ports_by_name_and_number_are_one_backend(world):
    one = ingress(rule("a", ("/", "Prefix", "web")))
    one.spec.rules[0].http.paths[0].backend = to("web", "http")
    assert set(world.plan(one, ingress(default="web", name="b")).backends) == {"shop_web_80"}


def test_only_endpoints_change(world):
    made = world.plan(ingress(rule("a", ("/", "Prefix", "web"), ("/b", "Prefix", "api"))))
    world.add("web", "10.0.0.9").add("api", "10.0.0.8")
    later = plan.with_endpoints(made, {("shop", "web")}, world.around)
    assert later.shape == made.shape
    assert [t.ip for b in later.backends.values() for t in b.targets] == ["10.0.0.9", "10.0.0.2"]


def test_whose_ingress_it_is():
    def class_(name, controller):
        spec = IngressClassSpec(controller=controller)
        return IngressClass(metadata=ObjectMeta(name=name), spec=spec)

    names = classes.ours([class_("ours", "kybern.io/haproxy"), class_("nginx", "k8s.io/nginx")])
    one = ingress()
    for name, annotation, expected in (
        ("ours", None, True), ("nginx", None, False), (None, None, False), (None, "ours", True),
        ("nginx", "ours", False), ("", "ours", False),
    ):  # fmt: skip
        one.spec.ingressClassName = name
        given = {classes.ANNOTATION: annotation} if annotation else None
        one.metadata.annotations = given
        assert classes.claims(one, names) is expected
