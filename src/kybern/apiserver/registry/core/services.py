"""Services: addresses and ports of their own, and fields that depend on the type.

In:   Services to be created, changed or deleted.
Out:  clusterIPs, node ports and IP families filled in; what a Service no longer needs given back.
By:   registry.special. What is taken is a Claim: it is given back when the Service is not stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import errors
from kybern.api.core.v1 import LoadBalancerStatus, ServiceStatus
from kybern.api.field_path import Path, Problem, internal, invalid
from kybern.apiserver.registry.core import families
from kybern.apiserver.registry.core.allocation import Taken
from kybern.apiserver.registry.strategy import Strategy

if TYPE_CHECKING:
    from kybern.api.core.v1 import ServicePort, ServiceSpec
    from kybern.apiserver.context import RequestContext
    from kybern.apiserver.registry.core.allocation import Allocators

NONE = "None"
EXTERNAL, CLUSTER, NODE, BALANCER = "ExternalName", "ClusterIP", "NodePort", "LoadBalancer"
SPEC = Path("spec")


class ServiceClaim:
    """What was taken for a Service, and what it will no longer need."""

    def __init__(self, allocators: Allocators, key: str) -> None:
        """Take nothing yet, for the Service with this key in the store."""
        self.key = key
        self._allocators = allocators
        self._addresses: list[str] = []
        self._ports: list[int] = []
        self._unused_addresses: list[str] = []
        self._unused_ports: list[int] = []

    def take_address(self, wanted: str, family: str) -> str:
        """Take an address of a family, this one if it is not empty."""
        pool = self._allocators.addresses
        if wanted:
            pool.take(wanted)
        address = wanted or pool.take_any(family)
        self._addresses.append(address)
        return address

    def take_port(self, wanted: int) -> int:
        """Take a node port, this one if it is not 0."""
        pool = self._allocators.ports
        if wanted:
            pool.take(wanted)
        port = wanted or pool.take_any()
        self._ports.append(port)
        return port

    @property
    def numbers(self) -> set[str | int]:
        """What was taken."""
        return {*self._addresses, *self._ports}

    def drop(self, addresses: set[str], ports: set[int]) -> None:
        """Note what is not needed once the Service is stored."""
        self._unused_addresses += addresses
        self._unused_ports += ports

    def keep(self) -> str:
        """The Service is stored: give back what it no longer needs."""
        _release(self._allocators, self._unused_addresses, self._unused_ports)
        lost = self._settled()
        if not lost:
            return ""
        numbers = ", ".join(sorted(map(str, lost)))
        return f"another API server allocated {numbers} at the same time; please try again"

    def release(self) -> None:
        """It is not: give back what was taken for it."""
        lost = self._settled()
        _release(
            self._allocators,
            [address for address in self._addresses if address not in lost],
            [port for port in self._ports if port not in lost],
        )

    def _settled(self) -> set[str | int]:
        neighbours = self._allocators.neighbours
        return set() if neighbours is None else neighbours.settled(self)


class ServiceStrategy(Strategy):
    """Services."""

    def prepare_for_create(self, ctx: RequestContext, obj: Any) -> None:
        """Start without a status; make the old and the new form of addresses agree."""
        del ctx
        obj.status = ServiceStatus(loadBalancer=LoadBalancerStatus())
        normalise_addresses(obj.spec, None)

    def prepare_for_update(self, ctx: RequestContext, obj: Any, old: Any) -> None:
        """Carry over what was allocated; drop what the new type does not have."""
        del ctx
        obj.status = old.status
        drop_for_type(obj.spec, old.spec)
        keep_allocated(obj.spec, old.spec)
        normalise_addresses(obj.spec, old.spec)

    def claim(self, ctx: RequestContext, obj: Any, old: Any | None) -> ServiceClaim | None:
        """Take addresses and ports the Service lacks.

        Raises:
            Invalid: what it asks for cannot be had.
        """
        neighbours = ctx.services.allocators.neighbours
        if neighbours is not None:
            neighbours.catch_up()
        meta = obj.metadata
        key = ctx.resource.key(meta.namespace or "", meta.name or "")
        claim = ServiceClaim(ctx.services.allocators, key)
        try:
            if problems := families.settle(obj, old, ctx.services.allocators.addresses.families):
                raise _Refused(*problems)
            _claim_addresses(claim, obj.spec, None if old is None else old.spec)
            _claim_ports(claim, obj.spec, None if old is None else old.spec)
        except _Refused as refusal:
            claim.release()
            raise errors.Invalid.of(self.kind, obj.metadata.name or "", refusal.problems) from None
        if old is not None:
            claim.drop(
                addresses_of(old.spec) - addresses_of(obj.spec),
                ports_of(old.spec) - ports_of(obj.spec),
            )
        if ctx.dry_run:
            claim.release()
            return None
        if neighbours is not None:
            neighbours.expect(claim)
        return claim

    def removed(self, ctx: RequestContext, obj: Any) -> None:
        """Give back what the Service had."""
        _release(ctx.services.allocators, addresses_of(obj.spec), ports_of(obj.spec))


class _Refused(Exception):  # carries problems to the one place that answers
    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = list(problems)


def addresses_of(spec: ServiceSpec) -> set[str]:
    """Return the cluster IPs a Service has."""
    found = {*(spec.clusterIPs or ()), spec.clusterIP or ""}
    return {ip for ip in found if ip and ip != NONE}


def ports_of(spec: ServiceSpec) -> set[int]:
    """Return the node ports a Service has."""
    found = {port.nodePort or 0 for port in spec.ports or ()}
    found.add(spec.healthCheckNodePort or 0)
    return found - {0}


def normalise_addresses(spec: ServiceSpec, old: ServiceSpec | None) -> None:
    """Make clusterIP and the first of clusterIPs the same, whichever the client changed."""
    if old is None:
        if spec.clusterIP and not spec.clusterIPs:
            spec.clusterIPs = [spec.clusterIP]
        return
    same_ip = spec.clusterIP == old.clusterIP
    same_ips = spec.clusterIPs == old.clusterIPs
    if not same_ip and same_ips:
        spec.clusterIPs = [spec.clusterIP] if spec.clusterIP else None
    elif same_ip and not same_ips and not spec.clusterIPs:
        spec.clusterIP = None


def drop_for_type(spec: ServiceSpec, old: ServiceSpec) -> None:
    """Drop what only the old type had, unless the client changed it."""
    if _has_address(old) and not _has_address(spec):
        if _same_addresses(spec, old):
            spec.clusterIP, spec.clusterIPs = None, None
        if spec.ipFamilies == old.ipFamilies:
            spec.ipFamilies = None
        if spec.ipFamilyPolicy == old.ipFamilyPolicy:
            spec.ipFamilyPolicy = None
    if _has_node_ports(old) and not _has_node_ports(spec):
        before = {port.nodePort for port in old.ports or ()}
        for port in spec.ports or ():
            if port.nodePort in before:
                port.nodePort = None
    if _has_health_port(old) and not _has_health_port(spec):
        spec.healthCheckNodePort = None
    if _is_external(old) and not _is_external(spec):
        spec.externalTrafficPolicy = None
    if old.type == BALANCER and spec.type != BALANCER:
        spec.allocateLoadBalancerNodePorts = None
        spec.loadBalancerClass = None


def keep_allocated(spec: ServiceSpec, old: ServiceSpec) -> None:
    """Fill in what was allocated before and the client left out."""
    if _has_address(old) and _has_address(spec):
        spec.clusterIP = spec.clusterIP or old.clusterIP
        if not spec.clusterIPs and spec.clusterIP == old.clusterIP:
            spec.clusterIPs = old.clusterIPs
    if _has_node_ports(old) and _has_node_ports(spec):
        known = {_port_key(port): port.nodePort for port in old.ports or ()}
        used = {port.nodePort for port in spec.ports or () if port.nodePort}
        for port in spec.ports or ():
            number = known.get(_port_key(port))
            if not port.nodePort and number and number not in used:
                port.nodePort = number
    if _has_health_port(old) and _has_health_port(spec):
        spec.healthCheckNodePort = spec.healthCheckNodePort or old.healthCheckNodePort


def _port_key(port: ServicePort) -> tuple[str, int]:
    return (port.protocol or "TCP", port.port)


def _claim_addresses(claim: ServiceClaim, spec: ServiceSpec, old: ServiceSpec | None) -> None:
    if not _has_address(spec):
        return
    if spec.clusterIP == NONE:
        spec.clusterIPs = spec.clusterIPs or [NONE]
        return
    given, wanted = list(spec.clusterIPs or ()), list(spec.ipFamilies or ())
    given += [""] * (len(wanted) - len(given))
    for index in _without_address(spec, old):
        given[index] = _claim_address(claim, given, index, wanted[index])
    spec.clusterIP, spec.clusterIPs = given[0] if given else None, given or None


def _without_address(spec: ServiceSpec, old: ServiceSpec | None) -> range:
    """Return the places of the families for which an address is to be taken.

    One that a Service has may not change; that the client tries to is for validation to say.
    """
    count = len(spec.ipFamilies or ())
    if old is None or not _has_address(old):
        return range(count)
    if families.keeps_preference(spec, old) or not addresses_of(old):
        return range(0)
    return range(len(old.ipFamilies or ()), count)


def _claim_address(claim: ServiceClaim, given: list[str], index: int, family: str) -> str:
    wanted = given[index]
    try:
        return claim.take_address(wanted, family)
    except Taken as refusal:
        if not wanted:
            text = f"failed to allocate a serviceIP: {refusal}"
            raise _Refused(internal(SPEC / "clusterIPs", text)) from None
        text = f"failed to allocate IP {wanted}: {refusal}"
        raise _Refused(invalid(SPEC / "clusterIPs", given, text)) from None


def _claim_ports(claim: ServiceClaim, spec: ServiceSpec, old: ServiceSpec | None) -> None:
    had = ports_of(old) if old is not None else set()
    if _has_node_ports(spec):
        _claim_node_ports(claim, spec, had)
    if _has_health_port(spec) and (spec.healthCheckNodePort or 0) not in had:
        where = SPEC / "healthCheckNodePort"
        spec.healthCheckNodePort = _take(claim, spec.healthCheckNodePort or 0, where)


def _claim_node_ports(claim: ServiceClaim, spec: ServiceSpec, had: set[int]) -> None:
    automatic = spec.type == NODE or spec.allocateLoadBalancerNodePorts is not False
    mine: dict[int, set[str]] = {}
    ports = spec.ports or []
    for index, port in enumerate(ports):
        protocol = port.protocol or "TCP"
        wanted = port.nodePort or _twin(ports[:index], port, mine)
        if wanted in had or wanted in mine:
            port.nodePort = wanted
        elif wanted or automatic:
            port.nodePort = _take(claim, wanted, (SPEC / "ports")[index] / "nodePort")
        if port.nodePort:
            mine.setdefault(port.nodePort, set()).add(protocol)


def _twin(before: list[ServicePort], port: ServicePort, mine: dict[int, set[str]]) -> int:
    """Return the node port of the same port in another protocol: one number serves both."""
    for other in before:
        number = other.nodePort
        if other.port == port.port and number and (port.protocol or "TCP") not in mine[number]:
            return number
    return 0


def _take(claim: ServiceClaim, wanted: int, where: Path) -> int:
    try:
        return claim.take_port(wanted)
    except Taken as refusal:
        if wanted:
            raise _Refused(invalid(where, wanted, str(refusal))) from None
        text = f"failed to allocate a nodePort: {refusal}"
        raise _Refused(internal(where, text)) from None


def _has_address(spec: ServiceSpec) -> bool:
    return spec.type in (CLUSTER, NODE, BALANCER)


def _same_addresses(spec: ServiceSpec, old: ServiceSpec) -> bool:
    return spec.clusterIP in (old.clusterIP, None, "") and spec.clusterIPs in (
        old.clusterIPs, None, [],
    )  # fmt: skip


def _has_node_ports(spec: ServiceSpec) -> bool:
    return spec.type in (NODE, BALANCER)


def _has_health_port(spec: ServiceSpec) -> bool:
    return spec.type == BALANCER and spec.externalTrafficPolicy == "Local"


def _is_external(spec: ServiceSpec) -> bool:
    return spec.type in (NODE, BALANCER) or bool(spec.externalIPs)


def _release(allocators: Allocators, addresses: Any, ports: Any) -> None:
    for address in addresses:
        allocators.addresses.release(address)
    for port in ports:
        allocators.ports.release(port)
