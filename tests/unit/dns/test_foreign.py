"""Answers of other servers: believed only where they fit, kept packed, handed on older."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.dns.test_wire import QUESTION, address_record, message, opt

from kybern.dns import wire
from kybern.dns.foreign import parse_foreign, relay, unpack_answers


def foreign(answers, authority=(), rcode=0, question=QUESTION, additional=()):
    counts = (len(answers), len(authority), len(additional))
    header = b"\x00\x01" + struct.pack("!HHHHH", wire.QR | wire.RA | rcode, 1, *counts)
    return header + question + b"".join((*answers, *authority, *additional))


def test_a_foreign_answer_ages():
    query = wire.parse_query(message())
    parsed = parse_foreign(foreign([address_record(1)], additional=[opt()]), QUESTION)
    assert (parsed.lifetime, parsed.counts) == (30, (1, 0, 0))
    again = parse_foreign(relay(query, parsed, 12, 512), QUESTION)
    assert again.ttls[0][1] == 18


def test_a_negative_foreign_answer_lives_as_its_soa_says():
    root = b"\x00"
    soa = wire.record(root, wire.SOA, 300, wire.soa(root, root, 1, 20))
    parsed = parse_foreign(foreign([], [soa], rcode=wire.NXDOMAIN), QUESTION)
    assert (parsed.rcode, parsed.lifetime) == (wire.NXDOMAIN, 20)
    assert parse_foreign(foreign([]), QUESTION).lifetime == 0


@pytest.mark.parametrize(
    "data",
    [
        foreign([address_record(1)], question=b"\x03abc\x07Example\x03org\x00\x00\x01\x00\x01"),
        foreign([address_record(1)])[:-1],
        message(),
    ],
)
def test_answers_to_something_else_are_refused(data):
    with pytest.raises(wire.Malformed):
        parse_foreign(data, QUESTION)


def test_unpacking_writes_compressed_names_out():
    alias = wire.record(wire.POINTER_TO_QUESTION, wire.CNAME, 9, b"\x01x\xc0\x10")
    target = 12 + len(QUESTION) + 12
    data = foreign([alias, address_record(7, owner=bytes((0xC0, target)))])
    name = b"\x01x\x07example\x03org\x00"
    assert unpack_answers(parse_foreign(data, QUESTION), QUESTION) == [
        wire.record(b"\x03www\x07example\x03org\x00", wire.CNAME, 9, name),
        address_record(7, owner=name),
    ]


@given(st.binary(max_size=80))
def test_no_answer_breaks_the_parser(data):
    header = b"\0\1" + struct.pack("!HHHHH", wire.QR, 1, 2, 1, 1)
    for candidate in (data, header + data, header + QUESTION + data):
        with contextlib.suppress(wire.Malformed):
            unpack_answers(parse_foreign(candidate, QUESTION), QUESTION)
