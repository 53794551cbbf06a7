"""Answers of other servers: taken apart, kept, and handed on.

In:   a response to a question we asked.
Out:  a `Foreign`, and from it our own response, with TTLs grown older.
By:   forward and resolve. Pure: no sockets, no clock.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from kybern.dns import wire


class Foreign(NamedTuple):
    """A response from another server, with what one needs to keep it and hand it on.

    Attributes:
        rcode: how it went.
        truncated: the TC bit.
        sections: everything behind the question, without the OPT record.
        counts: records in answer, authority and additional.
        ttls: offset of each TTL within `sections`, and its value.
        lifetime: how long the whole may be kept, in seconds.
    """

    rcode: int
    truncated: bool
    sections: bytes
    counts: tuple[int, int, int]
    ttls: tuple[tuple[int, int], ...]
    lifetime: int


def parse_foreign(data: bytes, question: bytes) -> Foreign:
    """Take the answer of another server to `question` apart.

    The question must be echoed, which together with the id and the port is what makes an answer
    believable. The records are kept packed: pointers in them stay right as long as the same
    question precedes them.

    Raises:
        Malformed: not a response to this question.
    """
    if len(data) < 12 + len(question):
        raise wire.Malformed("shorter than the question")
    _, flags, questions, *counts = wire.HEADER.unpack_from(data)
    start = 12 + len(question)
    if not flags & wire.QR or questions != 1 or data[12:start].lower() != question.lower():
        raise wire.Malformed("not an answer to this question")
    at, ttls, lifetime, soa_ttl = start, [], -1, -1
    sections = bytearray()
    kept = [0, 0, 0]
    for section, count in enumerate(counts):
        for _ in range(count):
            began = at
            at = wire.skip_name(data, at)
            if at + 10 > len(data):
                raise wire.Malformed("a record is cut off")
            rtype, _, ttl, length = wire.RECORD.unpack_from(data, at)
            ttl_at, at = at + 4, at + 10 + length
            if at > len(data):
                raise wire.Malformed("a record is cut off")
            if rtype == wire.OPT:
                # Cutting it out would bend pointers in what follows, which is a courtesy anyway.
                break
            ttls.append((len(sections) + ttl_at - began, ttl))
            sections += data[began:at]
            kept[section] += 1
            lifetime = ttl if lifetime < 0 else min(lifetime, ttl)
            if rtype == wire.SOA and section == 1 and length >= 20:
                minimum = int.from_bytes(data[at - 4 : at], "big")
                soa_ttl = min(ttl, minimum)
    if not kept[0] and soa_ttl >= 0:
        lifetime = soa_ttl
    return Foreign(
        flags & 0xF,
        bool(flags & wire.TC),
        bytes(sections),
        (kept[0], kept[1], kept[2]),
        tuple(ttls),
        max(lifetime, 0),
    )


def relay(query: wire.Query, foreign: Foreign, age: int, limit: int) -> bytes:
    """Pack another server's answer as ours, `age` seconds after it came."""
    sections: bytes = foreign.sections
    if age > 0:
        aged = bytearray(sections)
        for at, ttl in foreign.ttls:
            aged[at : at + 4] = max(0, ttl - age).to_bytes(4, "big")
        sections = bytes(aged)
    opt = wire.opt_record(wire.MAX_PAYLOAD) if query.edns else b""
    flags = wire.QR | wire.RA | (query.flags & wire.RD) | foreign.rcode
    counts = foreign.counts
    if foreign.truncated or 12 + len(query.question) + len(sections) + len(opt) > limit:
        flags |= wire.TC
        sections, counts = b"", (0, 0, 0)
    return b"".join(
        (
            query.id,
            struct.pack("!HHHHH", flags, 1, counts[0], counts[1], counts[2] + query.edns),
            query.question,
            sections,
            opt,
        )
    )


def unpack_answers(foreign: Foreign, question: bytes, age: int = 0) -> list[bytes]:
    """Return the answer records of another server's response, with every name written out."""
    message = bytes(12) + question + foreign.sections
    at, records = 12 + len(question), []
    for _ in range(foreign.counts[0]):
        owner = wire.read_name(message, at)
        at = wire.skip_name(message, at)
        rtype, _, ttl, length = wire.RECORD.unpack_from(message, at)
        at += 10
        rdata = message[at : at + length]
        if rtype in (wire.CNAME, wire.PTR, wire.NS):
            rdata = wire.read_name(message, at)
        at += length
        records.append(wire.record(owner, rtype, max(0, ttl - age), rdata))
    return records
