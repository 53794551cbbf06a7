from __future__ import annotations

import random

import pytest

from kybern.api import names

LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
KEY = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


@pytest.mark.parametrize(
    ("rule", "text", "messages"),
    [
        (names.dns1123_label, "a-1", ()),
        (names.dns1123_label, "A", (LABEL,)),
        (names.dns1123_label, "a.b", ("must not contain dots",)),
        (names.dns1123_label, "a" * 64, ("must be no more than 63 bytes",)),
        (names.dns1123_label, "a\n", (LABEL,)),
        (names.dns1123_subdomain, "a.b-c.d", ()),
        (names.dns1123_subdomain, "a..b", (SUBDOMAIN,)),
        (names.dns1123_subdomain, "a" * 254, ("must be no more than 253 bytes",)),
        (names.dns1035_label, "web", ()),
        (names.qualified_name, "a.b/C_d", ()),
        (names.qualified_name, "", ("name part must be non-empty", KEY)),
        (names.qualified_name, "/a", ("prefix part must be non-empty",)),
        (names.qualified_name, "A/b", (f"prefix part {SUBDOMAIN}",)),
        (names.qualified_name, "é", (KEY,)),
        (names.qualified_name, "a" * 64, ("name part must be no more than 63 bytes",)),
        (names.label_value, "", ()),
        (names.label_value, "a_b.C-9", ()),
        (names.config_key, "..", ("must not be '..'",)),
        (names.config_key, ".", ("must not be '.'",)),
        (names.config_key, "..a", ("must not start with '..'",)),
        (names.config_key, ".a", ()),
        (names.env_name, "MY.env name", ()),
        (names.env_name, "", ("environment variable name must be non-empty",)),
        (names.env_name, "a=b", (names.ENV_NAME_SENTENCE,)),
        (names.port_name, "http", ()),
        (names.port_name, "a" * 16, ("must be no more than 15 bytes",)),
        (
            names.port_name,
            "-8--0-",
            (
                "must contain at least one letter (a-z)",
                "must not contain consecutive hyphens",
                "must not begin or end with a hyphen",
            ),
        ),
        (names.port_number, 0, ("must be between 1 and 65535, inclusive",)),
        (names.port_number, 65535, ()),
        (names.user_id, -1, ("must be between 0 and 4294967295, inclusive",)),
        (names.path_segment, "a/b%", ("may not contain '/'", "may not contain '%'")),
        (names.path_segment, "..", ("may not be '..'",)),
        (names.percent, "25%", ()),
        (names.wildcard_subdomain, "*.a.b", ()),
    ],
)
def test_names_are_judged_in_upstreams_words(rule, text, messages):
    assert rule(text) == messages


@pytest.mark.parametrize(
    ("rule", "text", "start"),
    [
        (names.dns1035_label, "1a", "a DNS-1035 label must consist of lower case"),
        (names.label_value, "-a", "a valid label must be an empty string or consist of"),
        (names.qualified_name, "a/b/c", "a valid label key must consist of alphanumeric"),
        (names.config_key, "a b", "a valid config key must consist of alphanumeric"),
        (names.percent, "25", "a valid percent string must be a numeric string"),
        (names.http_header_name, "a:b", "a valid HTTP header must consist of alphanumeric"),
        (names.wildcard_subdomain, "*a", "a wildcard DNS-1123 subdomain must start with '*.'"),
        (names.c_identifier, "1a", "a valid C identifier must start with alphabetic"),
    ],
)
def test_other_rules_explain_themselves(rule, text, start):
    (message,) = rule(text)
    assert message.startswith(start)


def test_generated_names_keep_58_characters_and_add_five():
    rng = random.Random(1)
    name = names.generate_name("web-", rng)
    assert name.startswith("web-")
    assert len(name) == 9
    assert not names.dns1123_label(name)
    assert len(names.generate_name("x" * 80, rng)) == 63
    assert names.generate_name("a-", rng) != names.generate_name("a-", rng)
