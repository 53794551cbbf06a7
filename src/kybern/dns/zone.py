"""The cluster domain: every name in it, and the answer to every question about it.

In:   `Records`, service by service; questions.
Out:  `Answer`s with packed records; `None` for names that are not ours to answer.
By:   server keeps it current, resolve asks it. Holds state, does no I/O.

Being told about a service costs in proportion to that service. A name which only lies above
others (`default.svc.cluster.local`) exists without records: asking for it is NODATA, where a
name that is not there is NXDOMAIN; clients that try search domains depend on the difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.dns import wire
from kybern.dns.records import Records, pod_address
from kybern.dns.wire import Answer

if TYPE_CHECKING:
    from collections.abc import Hashable

SPECIFICATION = "1.1.0"
_EMPTY = Records()
_REVERSE = (wire.encode_name("in-addr.arpa"), wire.encode_name("ip6.arpa"))


class Zone:
    """The names under one cluster domain, and those of its addresses."""

    def __init__(self, domain: str, *, ttl: int, server_addresses: tuple[str, ...] = ()) -> None:
        """Make a zone with only its own records.

        Args:
            domain: the cluster domain, such as `cluster.local`.
            ttl: seconds clients may keep an answer, also a negative one.
            server_addresses: where this server can be reached, for the zone's NS record.
        """
        self.domain = wire.encode_name(domain)
        self.ttl = ttl
        self.version = 0
        self._names: dict[bytes, dict[int, tuple[bytes, ...]]] = {}
        self._above: dict[bytes, int] = {}  # how many names lie below this one
        self._reverse: dict[bytes, dict[Hashable, tuple[bytes, ...]]] = {}
        self._known: dict[Hashable, Records] = {}
        self._svc = b"\x03svc" + self.domain
        self._pod = b"\x03pod" + self.domain
        self._server = b"\x02ns\x03dns" + self.domain
        self._authority = (wire.record(self.domain, wire.SOA, ttl, self._soa()),)
        self._add_own(server_addresses)

    def __len__(self) -> int:
        return len(self._names)

    def apply(self, key: Hashable, records: Records) -> bool:
        """Replace what the service `key` contributes; say whether anything changed."""
        old = self._known.get(key, _EMPTY)
        if old == records:
            return False
        for owner in old.forward:
            if owner not in records.forward:
                self._drop(owner)
        for owner, types in records.forward.items():
            if owner not in self._names:
                self._count(owner, 1)
            self._names[owner] = types
        for owner in old.reverse:
            holders = self._reverse[owner]
            del holders[key]
            if not holders:
                del self._reverse[owner]
        for owner, targets in records.reverse.items():
            self._reverse.setdefault(owner, {})[key] = targets
        if records == _EMPTY:
            self._known.pop(key, None)
        else:
            self._known[key] = records
        self.version += 1
        return True

    def remove(self, key: Hashable) -> bool:
        """Forget a service; say whether it was known."""
        return self.apply(key, _EMPTY)

    def services(self) -> set[Hashable]:
        """Return the services that contribute anything."""
        return set(self._known)

    def contains(self, name: bytes) -> bool:
        """Say whether this name is ours to answer, also when it does not exist."""
        return (name.endswith(self.domain) and self._is_within(name)) or name in self._reverse

    def lookup(self, name: bytes, qtype: int) -> Answer | None:
        """Answer a question about a name of ours, or return None when it is not.

        A CNAME is returned as it is; following it is the caller's business, since it may lead
        out of the zone.
        """
        if not name.endswith(self.domain) or not self._is_within(name):
            return self._lookup_reverse(name, qtype)
        types = self._names.get(name)
        if types is None:
            types = self._pod_record(name)
        if types is None:
            exists = name in self._above
            return self._negative(wire.NOERROR if exists else wire.NXDOMAIN)
        if qtype == wire.ANY:
            return self._any(types)
        rdata = types.get(qtype)
        if rdata is None:
            if wire.CNAME not in types:
                return self._negative(wire.NOERROR)
            qtype, rdata = wire.CNAME, types[wire.CNAME]
        answers = [wire.record(wire.POINTER_TO_QUESTION, qtype, self.ttl, each) for each in rdata]
        additional = self._targets(rdata) if qtype == wire.SRV else ()
        return Answer(wire.NOERROR, answers, additional=additional)

    def cname(self, name: bytes) -> bytes | None:
        """Return what a name of ours is an alias of."""
        types = self._names.get(name)
        return types[wire.CNAME][0] if types and wire.CNAME in types else None

    def statistics(self) -> dict[str, int]:
        """Return the size of the zone."""
        return {
            "names": len(self._names),
            "reverse": len(self._reverse),
            "services": len(self._known),
        }

    # --- its own records ---------------------------------------------------------------------

    def _add_own(self, addresses: tuple[str, ...]) -> None:
        version = b"\x0bdns-version" + self.domain
        self._names[version] = {wire.TXT: (wire.txt(SPECIFICATION),)}
        self._names[self.domain] = {wire.SOA: (self._soa(),), wire.NS: (self._server,)}
        own: dict[int, tuple[bytes, ...]] = {}
        for text in addresses:
            rtype, packed = wire.address(text)
            own[rtype] = (*own.get(rtype, ()), packed)
        self._names[self._server] = own
        for name in (version, self._server):
            self._count(name, 1)
        for name in (self._svc, self._pod):
            self._above[name] = self._above.get(name, 0) + 1

    def _soa(self) -> bytes:
        # A serial that never changes is fine: nobody transfers this zone.
        mailbox = b"\x0ahostmaster" + self.domain
        return wire.soa(self._server, mailbox, 1, self.ttl)

    def _negative(self, rcode: int) -> Answer:
        return Answer(rcode, authority=self._authority)

    def _any(self, types: dict[int, tuple[bytes, ...]]) -> Answer:
        # All there is, as upstream's server gives; the zone is the client's own cluster.
        answers = [
            wire.record(wire.POINTER_TO_QUESTION, rtype, self.ttl, each)
            for rtype, rdata in types.items()
            for each in rdata
        ]
        return Answer(wire.NOERROR, answers)

    # --- finding -----------------------------------------------------------------------------

    def _is_within(self, name: bytes) -> bool:
        # `endswith` on bytes may match inside a label (`xxcluster.local`).
        if len(name) == len(self.domain):
            return True
        at, end = 0, len(name) - len(self.domain)
        while at < end:
            at += name[at] + 1
        return at == end

    def _lookup_reverse(self, name: bytes, qtype: int) -> Answer | None:
        holders = self._reverse.get(name)
        if holders is None:
            return None
        if qtype not in (wire.PTR, wire.ANY):
            return Answer()
        return Answer(
            wire.NOERROR,
            [
                wire.record(wire.POINTER_TO_QUESTION, wire.PTR, self.ttl, target)
                for targets in holders.values()
                for target in targets
            ],
        )

    def _targets(self, rdata: tuple[bytes, ...]) -> list[bytes]:
        found: dict[bytes, None] = {}
        for each in rdata:
            target = each[6:]
            for rtype in (wire.A, wire.AAAA):
                for address in self._names.get(target, {}).get(rtype, ()):
                    found[wire.record(target, rtype, self.ttl, address)] = None
        return list(found)

    def _pod_record(self, name: bytes) -> dict[int, tuple[bytes, ...]] | None:
        if not name.endswith(self._pod) or name == self._pod:
            return None
        first = name[0] + 1
        if name[first:] == self._pod:
            return {}  # `<namespace>.pod.<domain>`: there are names below it
        if name[first + name[first] + 1 :] != self._pod:
            return None
        address = pod_address(name[1:first])
        return None if address is None else {address[0]: (address[1],)}

    # --- counting ----------------------------------------------------------------------------

    def _drop(self, owner: bytes) -> None:
        del self._names[owner]
        self._count(owner, -1)

    def _count(self, owner: bytes, by: int) -> None:
        for name in wire.parents(owner):
            if len(name) < len(self.domain):
                return
            count = self._above.get(name, 0) + by
            if count:
                self._above[name] = count
            else:
                del self._above[name]
