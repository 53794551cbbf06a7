"""What is said to etcd, and what its answers mean; without an etcd."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kybern.store.interface import Corrupt, StoreFailed
from kybern.store.kv.etcd import messages as m
from kybern.store.kv.etcd.address import Address, AddressError, of_servers, parse
from kybern.store.kv.etcd.failures import Reason, Refused, Verdict, explain, judge
from kybern.store.kv.etcd.swap import swap
from kybern.store.kv.etcd.values import Keys, read_value, written_value

KEYS = st.binary(min_size=1, max_size=200)


@given(KEYS, st.integers(0, 1 << 62), st.none() | st.binary(max_size=300), st.integers(0, 1 << 62))
def test_a_swap_is_what_the_codec_writes(key, expected, value, lease):
    if value is None:
        change = m.Operation(delete=m.DeleteRequest(key))
    else:
        change = m.Operation(put=m.PutRequest(key, value, lease))
    request = m.TxnRequest(
        [m.Compare(key=key, mod_revision=expected)],
        [change],
        [m.Operation(range=m.RangeRequest(key))],
    )
    assert swap(key, expected, value, lease) == m.TXN.encode(request)


@pytest.mark.parametrize(
    ("code", "details", "verdict"),
    [
        ("UNAVAILABLE", "failed to connect to all addresses; last error: refused", Verdict.UNSENT),
        ("UNAVAILABLE", "etcdserver: no leader", Verdict.UNSENT),
        ("UNKNOWN", "raft proposal dropped", Verdict.UNSENT),
        ("RESOURCE_EXHAUSTED", "etcdserver: too many requests", Verdict.UNSENT),
        ("UNAVAILABLE", "etcdserver: leader changed", Verdict.UNKNOWN),
        ("UNAVAILABLE", "etcdserver: request timed out", Verdict.UNKNOWN),
        ("UNAVAILABLE", "Socket closed", Verdict.UNKNOWN),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", Verdict.UNKNOWN),
        ("UNKNOWN", "etcdserver: raft: stopped", Verdict.UNKNOWN),
        ("INVALID_ARGUMENT", "etcdserver: request is too large", Verdict.REFUSED),
        ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded", Verdict.REFUSED),
        ("PERMISSION_DENIED", "etcdserver: permission denied", Verdict.REFUSED),
    ],
)
def test_only_what_certainly_did_not_happen_may_be_sent_again(code, details, verdict):
    assert judge(code, details) is verdict


def test_errors_say_where_and_what_to_do():
    full = explain("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded", "h:1")
    assert type(full) is StoreFailed  # not StoreFull: it may have happened
    assert "etcdctl alarm disarm" in str(full)
    large = explain("INVALID_ARGUMENT", "etcdserver: request is too large", "h:1")
    assert type(large) is StoreFailed
    assert str(large).startswith("etcd at h:1 says etcdserver: request is too large: start it with")
    assert str(explain("UNAVAILABLE", "", "h:1")) == "etcd at h:1 says UNAVAILABLE"
    for reason in Reason:
        refused = explain("OUT_OF_RANGE", f"etcdserver: mvcc: {reason.value}", "h:1")
        assert isinstance(refused, Refused)
        assert refused.reason is reason


class TestAddress:
    def test_an_url(self):
        assert parse("etcd://a:2379,b:2379") == Address(("a:2379", "b:2379"))
        assert parse("etcd://[::1]:2379/?prefix=/x") == Address(("[::1]:2379",), prefix="/x")
        assert parse("etcd://a:1?tls=true") == Address(("a:1",), tls=True)
        assert parse("etcd://a:1?cafile=/ca&certfile=/c&keyfile=/k") == Address(
            ("a:1",), True, Path("/ca"), Path("/c"), Path("/k")
        )
        assert str(parse("etcd://a:1,b:2?tls=true")) == "a:1,b:2"

    @pytest.mark.parametrize(
        ("url", "why"),
        [
            ("etcd://", "no member"),
            ("etcd://a", "'a' in 'etcd://a' is not of the form host:port"),
            ("etcd://u:p@a:1", "not of the form host:port"),
            ("etcd://a:1/path", "is not of the form etcd://"),
            ("http://a:1", "is not of the form etcd://"),
            ("etcd://a:1?ca=x", "ca is not an option"),
            ("etcd://a:1?cafile=/x&cafile=/y", "given twice"),
            ("etcd://a:1?cafile=x", "is not an absolute path"),
            ("etcd://a:1?certfile=/x", "go together"),
            ("etcd://a:1?tls=yes", "neither true nor false"),
            ("etcd://a:1?prefix=x", "must begin with /"),
            ("etcd://a:1?prefix=/", "must begin with /"),
            ("etcd://a:0", "host:port"),
        ],
    )
    def test_a_wrong_url(self, url, why):
        with pytest.raises(AddressError, match=why):
            parse(url)

    def test_upstreams_servers(self):
        assert of_servers(["http://a:1", "b:2"]) == Address(("a:1", "b:2"))
        assert of_servers(["https://a:1"], cafile=Path("/x")).tls
        for wrong in (["unix://x"], ["http://a:1", "https://b:1"], ["http://a:1/x"], []):
            with pytest.raises(AddressError):
                of_servers(wrong)


class TestValues:
    def test_json_gets_upstreams_newline_and_loses_it(self):
        assert written_value(b'{"a":1}') == b'{"a":1}\n'
        assert read_value(b'{"a":1}\n') == b'{"a":1}'
        assert read_value(b'{"a":1}') == b'{"a":1}'

    @given(st.binary(max_size=20) | st.binary(max_size=9).map(lambda data: b"{" + data + b"\n"))
    def test_everything_comes_back(self, data):
        assert read_value(written_value(data)) == data

    def test_what_is_encrypted_keeps_its_last_byte(self):
        sealed = b"k8s:enc:aescbc:v1:key1:\x01\n"
        assert read_value(sealed) == written_value(sealed) == sealed


class TestKeys:
    def test_upstreams_keys_are_ours(self):
        keys = Keys("/registry/", "/registry/")
        assert keys.outside("/registry/pods/é") == "/registry/pods/é".encode()
        assert keys.inside("/registry/pods/é".encode()) == "/registry/pods/é"
        assert keys.inside(b"/registryx") is None
        assert keys.inside(b"compact_rev_key") is None
        assert keys.range("/") == (b"/registry/", b"/registry0")
        assert keys.range("/registry/pods/", "/registry/pods/x") == (
            b"/registry/pods/x\0",
            b"/registry/pods0",
        )

    def test_with_another_prefix(self):
        keys = Keys("/registry/", "/other/")
        assert keys.outside("/registry/pods/x") == b"/other/pods/x"
        assert keys.inside(b"/other/pods/x") == "/registry/pods/x"
        assert keys.inside(b"/registry/pods/x") is None
        assert keys.range("/registry/pods/") == (b"/other/pods/", b"/other/pods0")

    def test_what_is_no_key(self):
        keys = Keys("/registry/", "/registry/")
        with pytest.raises(ValueError, match="does not begin with"):
            keys.outside("/pods/x")
        with pytest.raises(ValueError, match="surrogates"):
            keys.outside("/registry/\ud800")
        with pytest.raises(Corrupt, match="no text"):
            keys.inside(b"/registry/\xff")
