"""What haproxy reads.

In:   a Plan, and the servers of its backends.
Out:  texts by file name.
By:   haproxy.py. Pure.

Hosts and paths are in maps (see routes.py): a request costs a few look-ups, however many Ingresses
there are. Only look-ups that could find something are written down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kybern.ingress.backends import H2C, HTTPS
from kybern.ingress.plan import NOBODY
from kybern.ingress.routes import EVERYBODY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kybern.ingress.plan import Plan
    from kybern.ingress.slots import Slots

CONFIGURATION = "haproxy.cfg"
SOCKET = "runtime.sock"
STRANGERS = "strangers.pem"
"""The certificate for names nobody asked one for."""

_GLOBAL = """\
global
  description {generation}
  stats socket unix@{socket} mode 600 level admin
  chroot empty
{user}\
  maxconn {connections}
  hard-stop-after 24h
  ssl-default-bind-options ssl-min-ver TLSv1.2

defaults
  mode http
  balance roundrobin
  timeout connect 5s
  timeout http-request 30s
  timeout http-keep-alive 60s
  timeout queue 30s
  timeout client 1h
  timeout server 1h
  timeout client-fin 30s
  timeout server-fin 30s
  timeout tunnel 24h
  option redispatch 1
  retries 3
  retry-on conn-failure empty-response

frontend ingress
"""
# A connection that was promised to stay open is not closed because of a reload, but with the
# answer to its next request. What may not be repeated is not: only GET and HEAD are.
_REQUESTS = """\
  option idle-close-on-response
  http-request disable-l7-retry unless METH_GET
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
"""
_END = """\
  use_backend %[var(txn.to)] if { var(txn.to) -m found }
  default_backend nothing

backend nothing
  http-request return status 404 content-type text/plain string "404 page not found\\n"

"""
_HOST = "http-request set-var(txn.host) req.hdr(host),host_only,lower,rtrim(.)"
_PARENT = "http-request set-var(txn.parent) var(txn.host),regsub(^[^.]*,)"
_PATH = "http-request set-var(txn.path) path"
_SERVER = {H2C: " proto h2", HTTPS: " ssl verify none"}


class Place(NamedTuple):
    """What only the machine knows.

    Attributes:
        http: words that name the listening sockets of HTTP.
        https: the same for HTTPS.
        user: whom haproxy becomes; "" to stay who it is.
        connections: how many clients there may be at a time; each takes two file descriptors.
    """

    http: tuple[str, ...]
    https: tuple[str, ...]
    user: str = ""
    connections: int = 20_000


def files(
    plan: Plan, slots: Mapping[str, Slots], place: Place, generation: int
) -> dict[str, bytes]:
    """Return everything haproxy reads but the certificate for strangers."""
    user = f"  user {place.user}\n  group {place.user}\n" if place.user else ""
    head = _GLOBAL.format(
        generation=generation, socket=SOCKET, user=user, connections=place.connections
    )
    text = head + "".join(f"  {line}\n" for line in _binds(place))
    text += _REQUESTS + "".join(f"  {line}\n" for line in _look_ups(plan)) + _END
    text += "\n".join(_backends(plan, slots))
    result = {CONFIGURATION: text.encode()}
    for name, table in plan.routes._asdict().items():
        result[f"{name}.map"] = "".join(f"{k} {v}\n" for k, v in sorted(table.items())).encode()
    names = [STRANGERS]
    for number, sni in enumerate(plan.certificates):
        result[f"{number}.pem"] = sni.pem
        names.append(" ".join((f"{number}.pem", *sni.hosts)))
    result["certificates.list"] = "".join(f"{line}\n" for line in names).encode()
    return result


def _binds(place: Place) -> Iterator[str]:
    for each in place.http:
        yield f"bind {each}"
    for each in place.https:
        yield f"bind {each} ssl crt-list certificates.list alpn h2,http/1.1"


def _look_ups(plan: Plan) -> Iterator[str]:
    """Say where to look, the most particular first; what was found stays."""
    routes = plan.routes
    yield _HOST
    yield _PATH
    keys = [*routes.exact, *routes.prefix, *(key for key in routes.default if key != EVERYBODY)]
    if any(key.startswith(".") for key in keys):
        yield _PARENT
    for first, beginning in (("host", None), ("parent", "."), ("", "/")):
        for table, converter in (("exact", "map_str"), ("prefix", "map_beg")):
            if any(_begins(key, beginning) for key in getattr(routes, table)):
                sample = f"var(txn.{first}),concat(,txn.path)" if first else "var(txn.path)"
                if table == "prefix":
                    sample += ",concat(/)"
                yield _found(f"{sample},{converter}({table}.map)")
    for first, beginning in (("host", None), ("parent", ".")):
        if any(_begins(key, beginning) for key in routes.default if key != EVERYBODY):
            yield _found(f"var(txn.{first}),map_str(default.map)")
    if EVERYBODY in routes.default:
        yield _found(f"str({EVERYBODY}),map_str(default.map)")


def _begins(key: str, beginning: str | None) -> bool:
    """Whether a key is of a kind: a wildcard's, one without a host, or (None) that of a host."""
    return key.startswith(beginning) if beginning else not key.startswith((".", "/"))


def _found(sample: str) -> str:
    return f"http-request set-var(txn.to) {sample} unless {{ var(txn.to) -m found }}"


def _backends(plan: Plan, slots: Mapping[str, Slots]) -> Iterator[str]:
    for name, backend in sorted(plan.backends.items()):
        yield f"backend {name}"
        how = _SERVER.get(backend.protocol, "")
        for number, target in enumerate(slots[name], 1):
            if target is None:
                yield f"  server s{number} 127.0.0.1:1{how} disabled"
            else:
                yield f"  server s{number} {_address(target.ip)}:{target.port}{how}"
    yield f"backend {NOBODY}\n"


def _address(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip
