"""What the proxy has to do, all in all.

In:   the Ingresses that are ours, Services, slices and certificates.
Out:  a Plan: routes, backends, certificates, and what is wrong.
By:   sync.py. Pure.

Where two Ingresses want the same host and path, the older one has it. A default backend answers for
the hosts of its own Ingress before it answers for others, and that of an Ingress without rules
answers for everybody before one that has rules does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kybern.ingress.backends import Around, Backend, Key, Problem, refreshed, resolve
from kybern.ingress.routes import EVERYBODY, Routes, exact_key, host_key, prefix_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from kybern.api.networking.v1 import Ingress, IngressBackend
    from kybern.ingress.certificates import Certificate

NOBODY = "nobody"
"""The backend that answers 503: for what is asked for and cannot be."""


class Sni(NamedTuple):
    """For which names a certificate is shown; none for those it was made for."""

    secret: Key
    hosts: tuple[str, ...]
    pem: bytes


class Plan(NamedTuple):
    """What the proxy has to do."""

    routes: Routes
    backends: Mapping[str, Backend]
    certificates: tuple[Sni, ...]
    problems: tuple[Problem, ...]
    services: frozenset[Key]  # whose changes matter, those that are not there included

    @property
    def shape(self) -> object:
        """All that a running proxy can learn only by reading its configuration anew."""
        kinds = {name: backend.protocol for name, backend in self.backends.items()}
        return self.routes, kinds, self.certificates


def make(
    ingresses: Iterable[Ingress], around: Around, certificates: Mapping[Key, Certificate]
) -> Plan:
    """Return the plan for these Ingresses."""
    building = _Building(around)
    ordered = sorted(ingresses, key=_age)
    for ingress in ordered:
        building.add(ingress)
    # `sorted` is stable: among equals the oldest comes first
    for ingress in sorted(ordered, key=lambda each: bool(each.spec.rules)):
        if ingress.spec.defaultBackend is not None:
            building.default(ingress, ingress.spec.defaultBackend)
    names = list(_certificates(ordered, certificates, building.problems))
    routes = Routes(building.exact, building.prefix, building.defaults)
    problems = tuple(dict.fromkeys(building.problems))
    services = frozenset(building.services)
    return Plan(routes, building.backends, tuple(names), problems, services)


def with_endpoints(plan: Plan, services: Collection[Key], around: Around) -> Plan:
    """Return the plan with the endpoints of now of these services."""
    backends = {
        name: refreshed(backend, around) if backend.service in services else backend
        for name, backend in plan.backends.items()
    }
    return plan._replace(backends=backends)


def secrets(ingresses: Iterable[Ingress]) -> set[Key]:
    """Return the Secrets whose certificates are wanted."""
    return {
        (ingress.metadata.namespace or "", tls.secretName)
        for ingress in ingresses
        for tls in ingress.spec.tls or ()
        if tls.secretName
    }


class _Building:
    """A plan on its way."""

    def __init__(self, around: Around) -> None:
        self.exact: dict[str, str] = {}
        self.prefix: dict[str, str] = {}
        self.defaults: dict[str, str] = {}
        self.backends: dict[str, Backend] = {}
        self.problems: list[Problem] = []
        self.services: set[Key] = set()
        self._around = around

    def add(self, ingress: Ingress) -> None:
        """Take in the rules of an Ingress."""
        key = key_of(ingress)
        for rule in ingress.spec.rules or ():
            for path in rule.http.paths if rule.http else ():
                name = self._backend(path.backend, key)
                if path.pathType == "Exact":
                    table, at = self.exact, exact_key(rule.host, path.path or "/")
                else:  # what is ImplementationSpecific is a prefix for us
                    table, at = self.prefix, prefix_key(rule.host, path.path or "/")
                if table.setdefault(at, name) != name:
                    where = f"{rule.host or '*'}{path.path or '/'}"
                    message = f"{where} is served by another rule, which was there before"
                    self.problems.append(Problem(key, "RouteConflict", message))

    def default(self, ingress: Ingress, wanted: IngressBackend) -> None:
        """Take in what answers when no rule fits."""
        name = self._backend(wanted, key_of(ingress))
        for rule in ingress.spec.rules or ():
            if rule.host:
                self.defaults.setdefault(host_key(rule.host), name)
        self.defaults.setdefault(EVERYBODY, name)

    def _backend(self, wanted: IngressBackend, ingress: Key) -> str:
        if wanted.service is not None:
            self.services.add((ingress[0], wanted.service.name))
        found = resolve(wanted, ingress, self._around)
        if isinstance(found, Problem):
            self.problems.append(found)
            return NOBODY
        self.backends[found.name] = found
        return found.name


def _certificates(
    ingresses: Iterable[Ingress],
    certificates: Mapping[Key, Certificate],
    problems: list[Problem],
) -> Iterator[Sni]:
    taken: set[str] = set()
    for ingress in ingresses:
        for tls in ingress.spec.tls or ():
            if not tls.secretName:  # encrypted all the same, with the certificate for strangers
                continue
            secret = (ingress.metadata.namespace or "", tls.secretName)
            found = certificates[secret]
            if found.problem:
                problems.append(Problem(key_of(ingress), "CertificateUnusable", found.problem))
            hosts = tuple(h for h in dict.fromkeys(tls.hosts or ()) if h not in taken)
            if found.pem and (hosts or not tls.hosts):
                taken.update(hosts)
                yield Sni(secret, hosts, found.pem)


def key_of(ingress: Ingress) -> Key:
    """Return namespace and name."""
    return ingress.metadata.namespace or "", ingress.metadata.name or ""


def _age(ingress: Ingress) -> tuple[str, Key]:
    return ingress.metadata.creationTimestamp or "", key_of(ingress)
