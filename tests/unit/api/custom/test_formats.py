"""Formats of strings."""

import pytest

from kybern.api.custom.formats import fits


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date-time", "2026-11-23T06:00:00Z", "2026-11-23 06:00"),
        ("date-time", "2026-11-23T06:00:00.5+01:00", "2026-02-30T06:00:00Z"),
        ("date", "2026-11-23", "2026-13-01"),
        ("duration", "1h30m", "soon"),
        ("email", "a@example.com", "a.example.com"),
        ("hostname", "a.example.com", "-a.example.com"),
        ("ipv4", "192.0.2.1", "2001:db8::1"),
        ("ipv6", "2001:db8::1", "192.0.2.1"),
        ("cidr", "192.0.2.0/24", "192.0.2.0"),
        ("mac", "01:23:45:67:89:ab", "01:23:45"),
        ("uri", "https://example.com/a", "a b"),
        ("byte", "aGVsbG8=", "aGVsbG8"),
        ("uuid", "bef32eff-250b-4622-b4cb-382a4b43f35f", "bef32eff"),
        ("uuid4", "bef32eff-250b-4622-b4cb-382a4b43f35f", "bef32eff-250b-1622-b4cb-382a4b43f35f"),
    ],
)
def test_formats(name, good, bad):
    assert fits(name, good)
    assert not fits(name, bad)


def test_a_format_that_nobody_knows_fits_everything():
    assert fits("colour", "green")
