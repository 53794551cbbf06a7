"""Links that lead through the proxy, and those that stay."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kybern.apiserver.handlers.proxy_links import Links

P = "/api/v1/namespaces/ns/services/web/proxy"
LINKS = Links(P, "10.1.0.1:8080", "localhost:8001")


@pytest.mark.parametrize(
    ("link", "rewritten"),
    [
        ("/", f"{P}/"),
        ("/a/b/?c=d#e", f"{P}/a/b/?c=d#e"),
        ("/a//b/../c", f"{P}/a/c"),
        ("http://10.1.0.1:8080/a", f"{P}/a"),
        ("https://localhost:8001/a", f"https://localhost:8001{P}/a"),
        (f"http://localhost:8001{P}/a", f"http://localhost:8001{P}/a"),
        (f"{P}/a", f"{P}/a"),
        ("http://example.org/a", "http://example.org/a"),
        ("//example.org/a", "//example.org/a"),
        ("a/b", "a/b"),
        ("", ""),
        ("#top", "#top"),
        ("mailto:a@example.org", "mailto:a@example.org"),
        ("http://[", "http://["),
    ],
)
def test_a_link(link, rewritten):
    assert LINKS.url(link) == rewritten


@pytest.mark.parametrize(
    ("page", "rewritten"),
    [
        ('<a href="/x">', f'<a href="{P}/x">'),
        ("<A HREF='/x' class=y>", f"<A HREF=\"{P}/x\" class=y>"),
        ("<a href=/x>", f'<a href="{P}/x">'),
        ('<a href="/x?a=1&amp;b=2">', f'<a href="{P}/x?a=1&amp;b=2">'),
        ('<img src="/x" usemap="/y" alt="/z">', f'<img src="{P}/x" usemap="{P}/y" alt="/z">'),
        ('<form action="/x"><input formaction="/y" value="/z"/>',
         f'<form action="{P}/x"><input formaction="{P}/y" value="/z"/>'),
        ('<script src="/x">if (a<b) "<a href=\'/y\'>"</script><a href="/z">',
         f'<script src="{P}/x">if (a<b) "<a href=\'/y\'>"</script><a href="{P}/z">'),
        ('<!-- <a href="/x"> --><a href="/y">', f'<!-- <a href="/x"> --><a href="{P}/y">'),
        ('<a title="a > b" href="/x">', f'<a title="a > b" href="{P}/x">'),
        ('<p href="/x">1 < 2</p><a href="y">', '<p href="/x">1 < 2</p><a href="y">'),
        ('<a href="/x', '<a href="/x'),
        ("<script><a href='/x'>", "<script><a href='/x'>"),
        ("<!-- <a href='/x'>", "<!-- <a href='/x'>"),
        ("<a href='/ä€'>", f'<a href="{P}/ä€">'),
    ],
)  # fmt: skip
def test_a_page(page, rewritten):
    assert LINKS.page(page.encode(), "", 1 << 20) == rewritten.encode()


@given(
    st.binary(max_size=200), st.sampled_from(["<a href='/x'>", "<script>", '"', "<!--", "&#8364;"])
)
def test_what_is_no_page_is_passed_on(data, piece):
    mixed = data + piece.encode() + data
    assert LINKS.page(mixed, "", 1 << 20)
    if b"<" not in mixed:
        assert LINKS.page(mixed, "", 1 << 20) == mixed


@pytest.mark.parametrize(("coding", "bits"), [("gzip", 31), ("deflate", -15)])
def test_packed_pages(coding, bits):
    packer = zlib.compressobj(wbits=bits)
    packed = packer.compress(b'<a href="/x">' * 1000) + packer.flush()
    page = LINKS.page(packed, coding, 1 << 20)
    assert zlib.decompress(page, bits) == f'<a href="{P}/x">'.encode() * 1000
    assert LINKS.page(packed, coding, 1000) is None
    with pytest.raises(zlib.error):
        LINKS.page(b"no such thing", coding, 1000)


def test_a_page_that_never_closes_anything_costs_no_more_than_its_length():
    for piece in ('<a b="', "<a ", "<!--", "<script>", "<"):
        assert LINKS.page(piece.encode() * 50_000, "", 1 << 20)
