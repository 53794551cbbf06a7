"""From a query to its answer: the zone for our names, upstream servers for the rest.

In:   messages as they came from a socket.
Out:  responses as bytes; or a `Query` that has to wait for an upstream server, and then its answer.
By:   server.

Nearly every query is byte for byte one that came before, its id apart. So finished answers are kept
under the rest of the message, and the usual case is one dictionary look-up and one concatenation.
Whenever the zone changes, all of them are forgotten; there are few, and the next query makes each
again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.dns import wire
from kybern.dns.foreign import relay, unpack_answers
from kybern.dns.forward import NoUpstream, UpstreamFailed
from kybern.dns.wire import Answer, Query

if TYPE_CHECKING:
    import random

    from kybern.dns.foreign import Foreign
    from kybern.dns.forward import Forwarder
    from kybern.dns.zone import Zone

PACKETS: Final = 4096  # finished answers kept, at some 300 bytes each
TURNS: Final = 8  # orders in which an answer of several records is given
LONGEST_CHAIN: Final = 8  # aliases followed within the zone
MAX_MESSAGE: Final = 65535
LOOPBACK_PROBE: Final = b"\x05probe\x06kybern\x00"


class Turns:
    """The same answer in several orders, given in turn, so that clients spread their load."""

    __slots__ = ("_at", "_bodies")

    def __init__(self, bodies: list[bytes]) -> None:
        self._bodies = bodies
        self._at = 0

    def next(self) -> bytes:
        """Return the next one."""
        at = self._at = (self._at + 1) % len(self._bodies)
        return self._bodies[at]


class Resolver:
    """Answers messages."""

    def __init__(self, zone: Zone, forwarder: Forwarder, rng: random.Random) -> None:
        self.zone = zone
        self.ready = False  # until the zone is complete, "no such name" would be a lie
        self.rcodes = [0] * 16
        self._forwarder = forwarder
        self._rng = rng
        self._packets: dict[bytes, bytes | Turns] = {}
        self._version = -1
        self._probes: dict[bytes, bool] = {}

    def answer_datagram(self, data: bytes) -> bytes | Query | None:
        """Answer a UDP message: with bytes, with None for silence, or later (`finish`)."""
        if self._version == self.zone.version:
            body = self._packets.get(data[2:])
            if body is not None:
                if isinstance(body, Turns):
                    body = body.next()
                self.rcodes[body[1] & 0xF] += 1
                return data[:2] + body
        return self._answer(data, packets=True)

    def answer_stream(self, data: bytes) -> bytes | Query | None:
        """Answer a TCP message; as `answer_datagram`, without a limit to the answer's size."""
        return self._answer(data, packets=False)

    def answered(self) -> dict[str, int]:
        """Return how many answers were given, by response code."""
        return {
            wire.RCODES[code]: count
            for code, count in enumerate(self.rcodes)
            if code in wire.RCODES
        }

    async def finish(self, query: Query, limit: int) -> bytes:
        """Answer a query that needs an upstream server."""
        alias, question = self._asked(query)
        try:
            foreign = await self._forwarder.ask(question)
        except NoUpstream:
            return self._pack(query, alias or Answer(wire.REFUSED, authoritative=False), limit)
        except UpstreamFailed:
            # Also for an alias: clients ask again, where an answer without an address is believed.
            failed = alias or Answer(authoritative=False)
            return self._pack(query, failed._replace(rcode=wire.SERVFAIL), limit)
        return self._told(query, alias, foreign, 0, limit)

    def probe(self) -> bytes:
        """Make a question that nobody else asks, and remember it."""
        label = self._rng.randbytes(12).hex().encode()
        name = bytes((len(label),)) + label + LOOPBACK_PROBE
        self._probes[name] = False
        return name + wire.HINFO.to_bytes(2, "big") + b"\x00\x01"

    def probed(self, question: bytes) -> bool:
        """Say whether the question came back to us, and forget it."""
        return self._probes.pop(question[:-4], False)

    # --- one message -------------------------------------------------------------------------

    def _answer(self, data: bytes, *, packets: bool) -> bytes | Query | None:
        try:
            query = wire.parse_query(data)
        except wire.Malformed as error:
            if error.rcode is None:
                return None
            self.rcodes[error.rcode] += 1
            return wire.refuse(data, error.rcode)
        limit = query.payload if packets else MAX_MESSAGE
        if refused := self._refusal(query):
            return self._pack(query, refused, limit)
        answer = self.zone.lookup(query.name, query.qtype)
        if answer is None:
            return self._foreign(query, limit)
        if not self.ready and answer.rcode == wire.NXDOMAIN:
            return self._pack(query, Answer(wire.SERVFAIL), limit)
        if query.qtype not in (wire.CNAME, wire.ANY) and self.zone.cname(query.name):
            followed, target = self._follow(query)
            if not self.zone.contains(target):
                return self._foreign(query, limit)
            answer = followed
        packed = self._pack(query, answer, limit)
        if packets:
            self._keep(data[2:], packed, query, answer, limit)
        return packed

    def _refusal(self, query: Query) -> Answer | None:
        if query.version:
            return Answer(wire.BADVERS, authoritative=False)
        if query.qclass != wire.IN or query.qtype in (wire.AXFR, wire.IXFR):
            return Answer(wire.REFUSED, authoritative=False)
        if query.name in self._probes:
            self._probes[query.name] = True
            return Answer(wire.NXDOMAIN, authoritative=False)
        return None

    def _foreign(self, query: Query, limit: int) -> bytes | Query:
        alias, question = self._asked(query)
        remembered = self._forwarder.cached(question)
        return query if remembered is None else self._told(query, alias, *remembered, limit)

    def _asked(self, query: Query) -> tuple[Answer | None, bytes]:
        """Return what to ask upstream, and the aliases that lead there out of the zone."""
        alias, target = self._follow(query) if self.zone.cname(query.name) else (None, query.name)
        return alias, target + query.question[len(query.name) :]

    def _told(
        self, query: Query, alias: Answer | None, foreign: Foreign, age: int, limit: int
    ) -> bytes:
        """Pack what an upstream server said `age` seconds ago."""
        if alias is None:
            self.rcodes[foreign.rcode] += 1
            return relay(query, foreign, age, limit)
        question = self._asked(query)[1]
        records = unpack_answers(foreign, question, age)
        merged = alias._replace(rcode=foreign.rcode, answers=(*alias.answers, *records))
        return self._pack(query, merged, limit)

    def _follow(self, query: Query) -> tuple[Answer, bytes]:
        """Follow aliases inside the zone; return what was found and the last name reached."""
        name, answers = query.name, list[bytes]()
        owner = wire.POINTER_TO_QUESTION
        for _ in range(LONGEST_CHAIN):
            target = self.zone.cname(name)
            if target is None:
                break
            answers.append(wire.record(owner, wire.CNAME, self.zone.ttl, target))
            name = owner = target
        last = self.zone.lookup(name, query.qtype) if self.zone.cname(name) is None else None
        if last is None:
            return Answer(wire.NOERROR, answers), name
        # The packed records point to the question for their owner: here that is another name.
        answers += [owner + each[2:] for each in last.answers]
        return last._replace(answers=answers), name

    def _pack(self, query: Query, answer: Answer, limit: int) -> bytes:
        self.rcodes[answer.rcode & 0xF] += 1
        return wire.respond(query, answer, limit)

    def _keep(self, rest: bytes, packed: bytes, query: Query, answer: Answer, limit: int) -> None:
        if self._version != self.zone.version or len(self._packets) >= PACKETS:
            self._packets.clear()
            self._version = self.zone.version
        answers = list(answer.answers)
        if len(answers) < 2 or self.zone.cname(query.name):
            self._packets[rest] = packed[2:]
            return
        self._rng.shuffle(answers)
        bodies = []
        for turn in range(min(TURNS, len(answers))):
            turned = answer._replace(answers=answers[turn:] + answers[:turn])
            bodies.append(wire.respond(query, turned, limit)[2:])
        self._packets[rest] = Turns(bodies)
