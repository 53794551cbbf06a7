"""The message format: what is packed is what an independent reading of RFC 1035 finds."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kybern.dns import wire

QUESTION = b"\x03WWW\x07Example\x03org\x00\x00\x01\x00\x01"


def message(*, flags=wire.RD, questions=1, question=QUESTION, opt=b"", counts=(0, 0)):
    arcount = 1 if opt else 0
    return b"\xab\xcd" + struct.pack("!HHHHH", flags, questions, *counts, arcount) + question + opt


def opt(payload=4096, version=0, dnssec_ok=False, options=b""):
    ttl = version << 16 | dnssec_ok << 15
    return b"\x00" + struct.pack("!HHIH", wire.OPT, payload, ttl, len(options)) + options


def test_a_plain_query():
    query = wire.parse_query(message())
    assert query.id == b"\xab\xcd"
    assert query.name == b"\x03www\x07example\x03org\x00"
    assert (query.qtype, query.qclass) == (wire.A, wire.IN)
    assert query.question == QUESTION
    assert (query.payload, query.edns) == (512, False)


@pytest.mark.parametrize(
    ("offered", "taken"), [(100, 512), (512, 512), (1000, 1000), (4096, wire.MAX_PAYLOAD)]
)
def test_edns_payload_is_kept_within_bounds(offered, taken):
    query = wire.parse_query(
        message(opt=opt(offered, dnssec_ok=True, options=b"\x00\x0a\x00\x02xy"))
    )
    assert (query.payload, query.edns, query.dnssec_ok) == (taken, True, True)


@pytest.mark.parametrize(
    ("data", "rcode"),
    [
        (b"", None),
        (b"\x00" * 11, None),
        (message(flags=wire.QR), None),
        (message(flags=5 << 11), wire.NOTIMP),
        (message(questions=0), wire.FORMERR),
        (message(questions=2), wire.FORMERR),
        (message(counts=(1, 0)), wire.FORMERR),
        (message(question=b"\xc0\x0c\x00\x01\x00\x01"), wire.FORMERR),
        (message(question=b"\x05ab"), wire.FORMERR),
        (message(question=b"\x01a\x00\x00\x01"), wire.FORMERR),
        (message(question=b"\x3f" + b"a" * 63 + b"\x00\x00\x01"), wire.FORMERR),
        (message(question=(b"\x3f" + b"a" * 63) * 4 + b"\x00\x00\x01\x00\x01"), wire.FORMERR),
        (message(opt=b"\x00\x00"), wire.FORMERR),
        (message(opt=opt()[:-1] + b"\x09"), wire.FORMERR),
    ],
)
def test_malformed(data, rcode):
    with pytest.raises(wire.Malformed) as caught:
        wire.parse_query(data)
    assert caught.value.rcode == rcode


@given(st.binary(max_size=80))
def test_no_message_breaks_the_parser(data):
    for candidate in (data, message()[:12] + data, message(opt=data or b"\x00")):
        with contextlib.suppress(wire.Malformed):
            wire.parse_query(candidate)


@given(st.binary(max_size=60), st.integers(0, 70))
def test_no_pointer_loops(data, at):
    with contextlib.suppress(wire.Malformed):
        wire.read_name(data, at)


@pytest.mark.parametrize("text", ["a", "a.b.c", "", "_http._tcp.x.svc", "a." * 100 + "z"])
def test_names_round_trip(text):
    packed = wire.encode_name(text)
    assert wire.name_text(packed) == text
    assert wire.read_name(packed, 0) == packed
    assert wire.skip_plain_name(packed, 0) == len(packed)


@pytest.mark.parametrize("text", ["a..b", "x" * 64, "a." * 128, ".a"])
def test_names_that_cannot_be_packed(text):
    with pytest.raises(ValueError):
        wire.encode_name(text)


def test_parents_of_a_name():
    assert [wire.name_text(n) for n in wire.parents(wire.encode_name("a.b.c"))] == ["b.c", "c"]
    assert wire.parents(b"\x00") == []


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("10.96.0.10", "10.0.96.10.in-addr.arpa"),
        ("fd00::1", "1." + "0." * 27 + "0.0.d.f.ip6.arpa"),
    ],
)
def test_reverse_names(address, name):
    assert wire.name_text(wire.reverse_name(wire.address(address)[1])) == name


def address_record(last, owner=wire.POINTER_TO_QUESTION):
    return wire.record(owner, wire.A, 30, bytes((10, 0, 0, last)))


def test_a_response_echoes_the_question_and_counts_records():
    query = wire.parse_query(message(opt=opt()))
    answer = wire.Answer(answers=[address_record(1), address_record(2)], additional=[b""])
    packed = wire.respond(query, answer, 512)
    assert packed[:2] == b"\xab\xcd"
    assert packed[12 : 12 + len(QUESTION)] == QUESTION
    flags, *counts = struct.unpack("!HHHHH", packed[2:12])
    assert flags == wire.QR | wire.AA | wire.RD | wire.RA
    assert counts == [1, 2, 0, 2]


def test_what_is_too_long_loses_first_its_courtesies_then_its_answers():
    query = wire.parse_query(message())
    few = [address_record(1)]
    many = [address_record(i % 250) for i in range(40)]
    trimmed = wire.respond(query, wire.Answer(answers=few, additional=many), 512)
    assert struct.unpack("!HHHHH", trimmed[2:12])[1:] == (1, 1, 0, 0)
    assert not trimmed[2] & 0x02
    cut = wire.respond(query, wire.Answer(answers=many), 512)
    assert struct.unpack("!HHHHH", cut[2:12])[1:] == (1, 0, 0, 0)
    assert cut[2] & 0x02
    assert len(wire.respond(query, wire.Answer(answers=many), 65535)) > 512
