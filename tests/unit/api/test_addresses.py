from __future__ import annotations

import pytest

from kybern.api import addresses
from kybern.api.field_path import Path

IP = Path("ip")


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("10.0.0.1", []),
        ("2001:db8::1", []),
        ("0.0.0.0", ['ip: Invalid value: "0.0.0.0": may not be unspecified (0.0.0.0)']),
        (
            "127.0.0.1",
            [
                'ip: Invalid value: "127.0.0.1": may not be in the loopback range '
                "(127.0.0.0/8, ::1/128)"
            ],
        ),
        (
            "169.254.1.1",
            [
                'ip: Invalid value: "169.254.1.1": may not be in the link-local range '
                "(169.254.0.0/16, fe80::/10)"
            ],
        ),
        (
            "224.0.0.1",
            [
                'ip: Invalid value: "224.0.0.1": may not be in the link-local multicast range '
                "(224.0.0.0/24, ff02::/10)"
            ],
        ),
        ("x", ['ip: Invalid value: "x": must be a valid IP address']),
    ],
)
def test_ordinary_addresses(text, messages):
    out = []
    addresses.check_ordinary_ip(text, IP, out)
    assert [str(each) for each in out] == messages


def test_addresses_and_networks():
    out = []
    addresses.check_ip("300.1.1.1", IP, out)
    addresses.check_ip("fe80::1%eth0", IP, out)
    addresses.check_cidr("10.0.0.0", IP, out)
    addresses.check_cidr("10.0.0.1/8", IP, out)
    assert [each.detail for each in out] == [
        addresses.NOT_AN_IP,
        addresses.NOT_AN_IP,
        addresses.NOT_A_CIDR,
    ]
    assert addresses.is_dual_stack(["10.0.0.1", "::1"])
    assert not addresses.is_dual_stack(["10.0.0.1", "10.0.0.2"])
    assert addresses.families(["10.0.0.0/8", "::/0", "x"]) == [4, 6, 0]
