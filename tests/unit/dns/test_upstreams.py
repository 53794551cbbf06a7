"""Whom to ask: resolv.conf, stub domains, the ConfigMap."""

from __future__ import annotations

import pytest

from kybern.dns import wire
from kybern.dns.upstreams import (
    Directions,
    ResolvConf,
    Server,
    Upstreams,
    read_config_map,
    read_resolv_conf,
    server,
    stub_domains,
)


def test_resolv_conf(tmp_path):
    assert read_resolv_conf(
        "# a comment\nsearch a b\nnameserver 10.0.0.1\nnameserver\n nameserver fe80::1%eth0 # x\n"
        "nameserver 10.0.0.2\nnameserver 10.0.0.3\n"
    ) == (Server("10.0.0.1"), Server("fe80::1%eth0"), Server("10.0.0.2"))

    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

    clock = Clock()
    path = tmp_path / "resolv.conf"
    servers = ResolvConf(str(path), clock)
    assert servers() == ()
    path.write_text("nameserver 10.0.0.1\n")
    assert servers() == ()
    clock.now = 5
    assert servers() == (Server("10.0.0.1"),)
    path.unlink()
    clock.now = 10
    assert servers() == (Server("10.0.0.1"),)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("10.0.0.1", Server("10.0.0.1", 53)),
        ("10.0.0.1:5353", Server("10.0.0.1", 5353)),
        ("fd00::1", Server("fd00::1", 53)),
        ("[fd00::1]:5353", Server("fd00::1", 5353)),
        ("fe80::1%eth0", Server("fe80::1%eth0", 53)),
    ],
)
def test_where_a_server_is(text, read):
    assert server(text) == read


@pytest.mark.parametrize("text", ["", "example.org", "10.0.0.1:0", "10.0.0.1:x", "10.0.0.256"])
def test_what_is_not_a_server(text):
    with pytest.raises(ValueError, match="does not appear to be"):
        server(text)


STUBS = '{"acme.local": ["10.0.0.1"], "deep.acme.local": ["10.0.0.2:5353", "10.0.0.3"]}'


@pytest.mark.parametrize(
    ("asked", "hosts"),
    [
        ("x.acme.local", ["10.0.0.1"]),
        ("acme.local", ["10.0.0.1"]),
        ("a.b.deep.acme.local", ["10.0.0.2", "10.0.0.3"]),
        ("xacme.local", ["8.8.8.8"]),
        ("local", ["8.8.8.8"]),
        ("", ["8.8.8.8"]),
        ("www.corp", ["10.9.9.9"]),
        ("example.org", ["8.8.8.8"]),
    ],
)
def test_the_longest_domain_decides(asked, hosts):
    upstreams = Upstreams(lambda: (Server("1.1.1.1"),), stub_domains([("corp", ["10.9.9.9"])]))
    said = read_config_map({"stubDomains": STUBS, "upstreamNameservers": '["8.8.8.8"]'})
    assert upstreams.learn(said)
    assert not upstreams.learn(said)
    assert [each.host for each in upstreams(wire.encode_name(asked))] == hosts
    assert len(upstreams.every()) == 5


def test_without_the_config_map_everything_is_as_before():
    upstreams = Upstreams(lambda: (Server("1.1.1.1"),))
    upstreams.learn(read_config_map({"upstreamNameservers": '["8.8.8.8"]'}))
    assert upstreams(wire.encode_name("a.b")) == (Server("8.8.8.8"),)
    upstreams.learn(read_config_map(None))
    assert upstreams(wire.encode_name("a.b")) == (Server("1.1.1.1"),)
    assert read_config_map({}) == Directions()


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("stubDomains", "{", "stubDomains: Input data was truncated"),
        ("stubDomains", '{"a": "10.0.0.1"}', "stubDomains: Expected `array`"),
        ("stubDomains", '{"a": []}', "stub domain 'a' has no servers"),
        ("stubDomains", '{"a..b": ["10.0.0.1"]}', "not a DNS name: 'a..b'"),
        ("upstreamNameservers", '["dns.example.org"]', "does not appear to be"),
        ("upstreamNameservers", '["1.1.1.1","1.1.1.2","1.1.1.3","1.1.1.4"]', "at most 3 items"),
    ],
)
def test_what_cannot_be_followed(key, value, problem):
    with pytest.raises(ValueError, match=problem):
        read_config_map({key: value})
