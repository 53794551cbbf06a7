"""Whom to ask about names that are not the cluster's.

In:   a resolv.conf file, flags, the data of the cluster's ConfigMap.
Out:  for each name the servers to ask, in order; `ValueError` for data that cannot be followed.
By:   server composes it, forward asks it.

The ConfigMap speaks as kube-dns's did, which upstream documented: `stubDomains` is a JSON object
of domains and their servers, `upstreamNameservers` a JSON list of the servers for everything else.
What it says comes before what the flags say. The longest stub domain that a name lies in decides.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from kybern.dns import wire
from kybern.lib import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kybern.lib.clock import Clock

log = logs.get("dns.upstreams")

RECHECK = 5.0  # how often resolv.conf may be looked at
STUBS, SERVERS = "stubDomains", "upstreamNameservers"
MAX_SERVERS = 3  # as many as libc takes


class Server(NamedTuple):
    """Where an upstream server listens."""

    host: str
    port: int = 53


def server(text: str) -> Server:
    """Read `10.0.0.1`, `10.0.0.1:53`, `fd00::1` or `[fd00::1]:53`.

    Raises:
        ValueError: it is none of these.
    """
    host, colon, port = text.rpartition(":")
    if not colon or ("[" not in text and text.count(":") > 1):
        host, port = text, "53"
    host = host.removeprefix("[").removesuffix("]")
    ipaddress.ip_address(host.partition("%")[0])
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{text!r} does not appear to be an address with a port")
    return Server(host, int(port))


@dataclass(frozen=True, slots=True)
class Directions:
    """Servers for everything, and those for some domains; the latter by the domain's wire form."""

    servers: tuple[Server, ...] = ()
    stubs: Mapping[bytes, tuple[Server, ...]] = field(default_factory=dict)


def stub_domains(listed: Iterable[tuple[str, Sequence[str]]]) -> dict[bytes, tuple[Server, ...]]:
    """Read domains and their servers.

    Raises:
        ValueError: one of them is not what it should be, or has no servers.
    """
    stubs = {}
    for domain, servers in listed:
        if not servers:
            raise ValueError(f"stub domain {domain!r} has no servers")
        stubs[wire.encode_name(domain)] = tuple(map(server, servers))
    return stubs


def read_config_map(data: Mapping[str, str] | None) -> Directions:
    """Read what the ConfigMap says; what it does not mention is as it would be without it.

    Raises:
        ValueError: what it says cannot be followed.
    """
    data = data or {}
    try:
        stubs = msgspec.json.decode(data.get(STUBS) or "{}", type=dict[str, list[str]])
    except msgspec.DecodeError as error:
        raise ValueError(f"{STUBS}: {error}") from None
    try:
        servers = msgspec.json.decode(data.get(SERVERS) or "[]", type=list[str])
    except msgspec.DecodeError as error:
        raise ValueError(f"{SERVERS}: {error}") from None
    if len(servers) > MAX_SERVERS:
        raise ValueError(f"{SERVERS}: must have at most {MAX_SERVERS} items")
    return Directions(tuple(map(server, servers)), stub_domains(stubs.items()))


class Upstreams:
    """The servers to ask about a name: calling it returns them."""

    def __init__(
        self,
        default: Callable[[], Sequence[Server]],
        stubs: Mapping[bytes, tuple[Server, ...]] | None = None,
    ) -> None:
        """Begin with what is known without the ConfigMap.

        Args:
            default: the servers for everything.
            stubs: those for some domains.
        """
        self._default = default
        self._stubs = stubs or {}
        self._said = Directions()

    def __call__(self, name: bytes) -> Sequence[Server]:
        """Return the servers for a name in wire form."""
        for stubs in (self._said.stubs, self._stubs):
            for domain in (name, *wire.parents(name)) if stubs else ():
                if domain in stubs:
                    return stubs[domain]
        return self._said.servers or self._default()

    def learn(self, directions: Directions) -> bool:
        """Follow what the ConfigMap says from now on; say whether that changes anything."""
        changed = self._said != directions
        self._said = directions
        return changed

    def every(self) -> list[Server]:
        """Return every server that may be asked about something."""
        stubs = {**self._stubs, **self._said.stubs}
        found = [*(self._said.servers or self._default())]
        for servers in stubs.values():
            found += servers
        return list(dict.fromkeys(found))


def read_resolv_conf(text: str) -> tuple[Server, ...]:
    """Return the servers a resolv.conf names, in its order; at most three, as libc does."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            found.append(Server(words[1]))
    return tuple(found[:MAX_SERVERS])


class ResolvConf:
    """The servers in a file, re-read when it changes. Calling it returns them."""

    def __init__(self, path: str, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._servers: tuple[Server, ...] = ()
        self._stamp: tuple[int, int] | None = None
        self._checked = float("-inf")

    def __call__(self) -> tuple[Server, ...]:
        """Return the servers; a file that is missing or unreadable names none."""
        now = self._clock.monotonic()
        if now - self._checked >= RECHECK:
            self._checked = now
            self._reload()
        return self._servers

    def _reload(self) -> None:
        try:
            status = os.stat(self._path)
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp == self._stamp:
                return
            with open(self._path, encoding="ascii", errors="replace") as file:
                servers = read_resolv_conf(file.read())
        except OSError as error:
            if self._stamp is not None or self._servers == ():
                log.warning("resolv.conf is not readable", path=self._path, reason=str(error))
            self._stamp = None
            return
        self._stamp = stamp
        self._servers = servers
        log.info("upstream servers", path=self._path, servers=[server.host for server in servers])
