r"""The DNS message format (RFC 1035, RFC 6891), as much of it as this server speaks.

In:   datagrams; or names, addresses and answers to pack.
Out:  a `Query`, packed records, whole responses.
By:   everything here. Pure: no sockets, no clock.

Names are kept in wire form (`\x03www\x07example\x00`) and lower case, which is how questions
arrive: an answer is found without ever making text. Lower-casing the wire form is safe, because
a length byte is at most 63 and so never a letter.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

A: Final = 1
NS: Final = 2
CNAME: Final = 5
SOA: Final = 6
PTR: Final = 12
HINFO: Final = 13
TXT: Final = 16
AAAA: Final = 28
SRV: Final = 33
OPT: Final = 41
IXFR: Final = 251
AXFR: Final = 252
ANY: Final = 255
IN: Final = 1

NOERROR: Final = 0
FORMERR: Final = 1
SERVFAIL: Final = 2
NXDOMAIN: Final = 3
NOTIMP: Final = 4
REFUSED: Final = 5
BADVERS: Final = 16

RCODES: Final = {
    NOERROR: "NOERROR",
    FORMERR: "FORMERR",
    SERVFAIL: "SERVFAIL",
    NXDOMAIN: "NXDOMAIN",
    NOTIMP: "NOTIMP",
    REFUSED: "REFUSED",
    BADVERS: "BADVERS",
}

QR: Final = 0x8000
AA: Final = 0x0400
TC: Final = 0x0200
RD: Final = 0x0100
RA: Final = 0x0080
OPCODE: Final = 0x7800

MAX_PAYLOAD: Final = 1232  # what fits one packet everywhere (DNS flag day 2020)
PLAIN_PAYLOAD: Final = 512  # what a client without EDNS takes
POINTER_TO_QUESTION: Final = b"\xc0\x0c"

HEADER: Final = struct.Struct("!HHHHHH")
_TYPE_CLASS = struct.Struct("!HH")
RECORD: Final = struct.Struct("!HHIH")


class Malformed(ValueError):
    """A message that is not what RFC 1035 says; `rcode` is what to answer, None for nothing."""

    def __init__(self, reason: str, rcode: int | None = FORMERR) -> None:
        super().__init__(reason)
        self.rcode = rcode


class Query(NamedTuple):
    """One question, as it came.

    Attributes:
        id: the two bytes to echo.
        flags: the header's flags.
        name: in wire form, lower case.
        qtype: the record type asked for.
        qclass: nearly always `IN`.
        question: name, type and class as they came, to be echoed byte for byte.
        payload: the largest UDP answer the client takes.
        edns: whether the client sent an OPT record, and so gets one.
        version: the EDNS version.
        dnssec_ok: the DO bit.
    """

    id: bytes
    flags: int
    name: bytes
    qtype: int
    qclass: int
    question: bytes
    payload: int = PLAIN_PAYLOAD
    edns: bool = False
    version: int = 0
    dnssec_ok: bool = False


class Answer(NamedTuple):
    """What to say to a question: a code and packed records."""

    rcode: int = NOERROR
    answers: Sequence[bytes] = ()
    authority: Sequence[bytes] = ()
    additional: Sequence[bytes] = ()
    authoritative: bool = True


def parse_query(data: bytes) -> Query:
    """Take a query apart.

    Raises:
        Malformed: with the code to answer; without one when no answer is due.
    """
    if len(data) < 12:
        raise Malformed("shorter than a header", None)
    _, flags, questions, answers, authority, additional = HEADER.unpack_from(data)
    if flags & QR:
        raise Malformed("a response, not a query", None)
    if flags & OPCODE:
        raise Malformed("an operation other than a query", NOTIMP)
    if questions != 1 or answers or authority:
        raise Malformed("not exactly one question")
    end = skip_plain_name(data, 12)
    if end + 4 > len(data):
        raise Malformed("the question is cut off")
    qtype, qclass = _TYPE_CLASS.unpack_from(data, end)
    name = data[12:end].lower()
    question = data[12 : end + 4]
    if not additional:
        return Query(data[:2], flags, name, qtype, qclass, question)
    payload, ttl = _find_opt(data, end + 4, additional)
    if payload < 0:
        return Query(data[:2], flags, name, qtype, qclass, question)
    return Query(
        data[:2],
        flags,
        name,
        qtype,
        qclass,
        question,
        max(PLAIN_PAYLOAD, min(payload, MAX_PAYLOAD)),
        edns=True,
        version=(ttl >> 16) & 0xFF,
        dnssec_ok=bool(ttl & 0x8000),
    )


def skip_plain_name(data: bytes, at: int) -> int:
    """Return where the uncompressed name at `at` ends."""
    start, size = at, len(data)
    while at < size:
        length = data[at]
        if length == 0:
            if at + 1 - start > 255:
                raise Malformed("a name longer than 255 bytes")
            return at + 1
        if length > 63:
            raise Malformed("a compressed or unknown label where none may be")
        at += length + 1
    raise Malformed("a name runs over the end")


def skip_name(data: bytes, at: int) -> int:
    """Return where the name at `at` ends in place, following no pointer."""
    size = len(data)
    while at < size:
        length = data[at]
        if length == 0:
            return at + 1
        if length >= 0xC0:
            return at + 2
        if length > 63:
            raise Malformed("an unknown kind of label")
        at += length + 1
    raise Malformed("a name runs over the end")


def read_name(data: bytes, at: int) -> bytes:
    """Return the name at `at`, in wire form and lower case, with pointers followed."""
    labels: list[bytes] = []
    total, limit = 1, at
    while True:
        if at >= len(data):
            raise Malformed("a name runs over the end")
        length = data[at]
        if length == 0:
            return b"".join(labels) + b"\x00"
        if length >= 0xC0:
            if at + 1 >= len(data):
                raise Malformed("a pointer is cut off")
            at = (length & 0x3F) << 8 | data[at + 1]
            # A pointer that only ever goes back cannot loop.
            if at >= limit:
                raise Malformed("a pointer that does not point back")
            limit = at
            continue
        if length > 63:
            raise Malformed("an unknown kind of label")
        label = data[at : at + length + 1]
        total += length + 1
        if len(label) != length + 1 or total > 255:
            raise Malformed("a label is cut off, or the name is too long")
        labels.append(label.lower())
        at += length + 1


def _find_opt(data: bytes, at: int, records: int) -> tuple[int, int]:
    for _ in range(records):
        at = skip_name(data, at)
        if at + 10 > len(data):
            raise Malformed("a record is cut off")
        rtype, rclass, ttl, length = RECORD.unpack_from(data, at)
        at += 10 + length
        if at > len(data):
            raise Malformed("a record is cut off")
        if rtype == OPT:
            return rclass, ttl
    return -1, 0


# --- packing -------------------------------------------------------------------------------


def encode_name(text: str) -> bytes:
    """Return `www.example.org` in wire form and lower case.

    Raises:
        ValueError: an empty or overlong label, or an overlong name.
    """
    text = text.rstrip(".").lower()
    if not text:
        return b"\x00"
    parts = []
    for label in text.encode("ascii").split(b"."):
        if not 0 < len(label) < 64:
            raise ValueError(f"not a DNS name: {text!r}")
        parts.append(bytes((len(label),)) + label)
    name = b"".join(parts) + b"\x00"
    if len(name) > 255:
        raise ValueError(f"not a DNS name: {text!r}")
    return name


def label(text: str) -> bytes:
    """Return one label in wire form."""
    return encode_name(text)[:-1]


def name_text(name: bytes) -> str:
    """Return a name in wire form as text for people, without the last dot."""
    labels, at = [], 0
    while at < len(name) and name[at]:
        labels.append(name[at + 1 : at + 1 + name[at]].decode("ascii", "backslashreplace"))
        at += name[at] + 1
    return ".".join(labels)


def parents(name: bytes) -> list[bytes]:
    """Return every name above this one, nearest first, without the root."""
    found, at = [], name[0] + 1 if name[0] else 0
    while at and name[at]:
        found.append(name[at:])
        at += name[at] + 1
    return found


def record(owner: bytes, rtype: int, ttl: int, rdata: bytes) -> bytes:
    """Pack one record of class IN; `owner` may be `POINTER_TO_QUESTION`."""
    return owner + RECORD.pack(rtype, IN, ttl, len(rdata)) + rdata


def address(text: str) -> tuple[int, bytes]:
    """Return the record type and data of an IP address.

    Raises:
        ValueError: not an address.
    """
    packed = ipaddress.ip_address(text).packed
    return (A if len(packed) == 4 else AAAA), packed


def srv(priority: int, weight: int, port: int, target: bytes) -> bytes:
    """Pack the data of an SRV record."""
    return struct.pack("!HHH", priority, weight, port) + target


def txt(text: str) -> bytes:
    """Pack the data of a TXT record of one short string."""
    data = text.encode()
    return bytes((len(data),)) + data


def soa(server: bytes, mailbox: bytes, serial: int, negative_ttl: int) -> bytes:
    """Pack the data of a SOA record; the timers matter only to secondaries, of which none are."""
    return server + mailbox + struct.pack("!IIIII", serial, 7200, 1800, 86400, negative_ttl)


def reverse_name(packed: bytes) -> bytes:
    """Return the name under in-addr.arpa or ip6.arpa of a packed address."""
    if len(packed) == 4:
        text = ".".join(str(byte) for byte in reversed(packed)) + ".in-addr.arpa"
    else:
        text = ".".join(reversed(packed.hex())) + ".ip6.arpa"
    return encode_name(text)


def query(id_: bytes, question: bytes, *, payload: int = MAX_PAYLOAD) -> bytes:
    """Pack a recursive query with EDNS."""
    header = HEADER.pack(int.from_bytes(id_, "big"), RD, 1, 0, 0, 1)
    return header + question + opt_record(payload)


def respond(query: Query, answer: Answer, limit: int) -> bytes:
    """Pack a whole response, id and all; what is longer than `limit` is cut, and says so."""
    flags = QR | RA | (query.flags & (OPCODE | RD)) | (answer.rcode & 0xF)
    if answer.authoritative:
        flags |= AA
    opt = opt_record(MAX_PAYLOAD, answer.rcode >> 4) if query.edns else b""
    body = b"".join((*answer.answers, *answer.authority, *answer.additional))
    counts = [len(answer.answers), len(answer.authority), len(answer.additional)]
    room = limit - 12 - len(query.question) - len(opt)
    if len(body) > room:
        # Additional records are a courtesy: without them the answer may fit, and is whole.
        body = b"".join((*answer.answers, *answer.authority))
        counts[2] = 0
        if len(body) > room:
            flags |= TC
            body, counts = b"", [0, 0, 0]
    return b"".join(
        (
            query.id,
            struct.pack("!HHHHH", flags, 1, counts[0], counts[1], counts[2] + query.edns),
            query.question,
            body,
            opt,
        )
    )


def refuse(data: bytes, rcode: int) -> bytes:
    """Answer a message that could not be parsed: its id, the code, and nothing else."""
    flags = int.from_bytes(data[2:4], "big")
    return data[:2] + struct.pack("!HHHHH", QR | (flags & (OPCODE | RD)) | rcode, 0, 0, 0, 0)


def opt_record(payload: int, extended_rcode: int = 0) -> bytes:
    """Pack the record that says we speak EDNS."""
    return b"\x00" + RECORD.pack(OPT, payload, extended_rcode << 24, 0)
