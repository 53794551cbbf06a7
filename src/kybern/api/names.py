"""What may be a name: of an object, a label, a port, an environment variable.

In:   a string.
Out:  a tuple of upstream's sentences about what is wrong with it; empty when it is fine.
By:   `api.*.validation`, `api.selectors`, admission, custom resources; `generate_name` by create.

Answers are cached: a cluster uses the same few thousand names and labels over and over.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Protocol

OK: Final[tuple[str, ...]] = ()

LABEL_FORMAT: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
LABEL_SENTENCE: Final = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character"
)
SUBDOMAIN_FORMAT: Final = LABEL_FORMAT + "(\\." + LABEL_FORMAT + ")*"
SUBDOMAIN_SENTENCE: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character"
)
LABEL_UNDERSCORE_FORMAT: Final = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
SUBDOMAIN_UNDERSCORE_FORMAT: Final = (
    LABEL_UNDERSCORE_FORMAT + "(\\." + LABEL_UNDERSCORE_FORMAT + ")*"
)
SUBDOMAIN_UNDERSCORE_SENTENCE: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' "
    "or '.', and must start and end with an alphanumeric character"
)
LABEL_1035_FORMAT: Final = "[a-z]([-a-z0-9]*[a-z0-9])?"
LABEL_1035_SENTENCE: Final = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character"
)
WILDCARD_FORMAT: Final = "\\*\\." + SUBDOMAIN_FORMAT
WILDCARD_SENTENCE: Final = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which "
    "must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric "
    "character"
)
KEY_FORMAT: Final = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
KEY_SENTENCE: Final = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character"
)
VALUE_FORMAT: Final = f"({KEY_FORMAT})?"
VALUE_SENTENCE: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character"
)
CONFIG_KEY_FORMAT: Final = "[-._a-zA-Z0-9]+"
CONFIG_KEY_SENTENCE: Final = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
)
HEADER_FORMAT: Final = "[-A-Za-z0-9]+"
HEADER_SENTENCE: Final = "a valid HTTP header must consist of alphanumeric characters or '-'"
PERCENT_FORMAT: Final = "[0-9]+%"
PERCENT_SENTENCE: Final = (
    "a valid percent string must be a numeric string followed by an ending '%'"
)
C_IDENTIFIER_FORMAT: Final = "[A-Za-z_][A-Za-z0-9_]*"
C_IDENTIFIER_SENTENCE: Final = (
    "a valid C identifier must start with alphabetic character or '_', followed by a string of "
    "alphanumeric characters or '_'"
)
ENV_NAME_SENTENCE: Final = (
    "a valid environment variable name must consist only of printable ASCII characters other than "
    "'='"
)
HTTP_PATH_FORMAT: Final = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+"

_label = re.compile(LABEL_FORMAT).fullmatch
_subdomain = re.compile(SUBDOMAIN_FORMAT).fullmatch
_subdomain_underscore = re.compile(SUBDOMAIN_UNDERSCORE_FORMAT).fullmatch
_label_1035 = re.compile(LABEL_1035_FORMAT).fullmatch
_wildcard = re.compile(WILDCARD_FORMAT).fullmatch
_key = re.compile(KEY_FORMAT).fullmatch
_value = re.compile(VALUE_FORMAT).fullmatch
_config_key = re.compile(CONFIG_KEY_FORMAT).fullmatch
_header = re.compile(HEADER_FORMAT).fullmatch
_percent = re.compile(PERCENT_FORMAT).fullmatch
_c_identifier = re.compile(C_IDENTIFIER_FORMAT).fullmatch
_http_path = re.compile(HTTP_PATH_FORMAT).fullmatch
_port_charset = re.compile("[-a-z0-9]+").fullmatch
_letter = re.compile("[a-z]").search

LABEL_MAX: Final = 63
SUBDOMAIN_MAX: Final = 253
CACHED: Final = 8192


def size(text: str) -> int:
    """The length upstream means: in bytes of UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def max_length(limit: int) -> str:
    """The sentence about a value of more than `limit` bytes."""
    return f"must be no more than {limit} bytes"


def between(low: int, high: int) -> str:
    """The sentence about a number outside the range."""
    return f"must be between {low} and {high}, inclusive"


def regex(sentence: str, pattern: str, *examples: str) -> str:
    """The sentence about a value which does not match, with examples which do."""
    told = f"regex used for validation is '{pattern}')"
    if not examples:
        return f"{sentence} ({told}"
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{sentence} (e.g. {shown}{told}"


def _bounded(text: str, limit: int) -> tuple[str, ...]:
    return (max_length(limit),) if size(text) > limit else OK


@lru_cache(CACHED)
def dns1123_label(text: str) -> tuple[str, ...]:
    """A name that is one label of a host name."""
    found = _bounded(text, LABEL_MAX)
    if _label(text):
        return found
    if _subdomain(text):
        return (*found, "must not contain dots")
    return (*found, regex(LABEL_SENTENCE, LABEL_FORMAT, "my-name", "123-abc"))


@lru_cache(CACHED)
def dns1123_subdomain(text: str) -> tuple[str, ...]:
    """A name made of labels and dots: what most objects are called."""
    found = _bounded(text, SUBDOMAIN_MAX)
    if _subdomain(text):
        return found
    return (*found, regex(SUBDOMAIN_SENTENCE, SUBDOMAIN_FORMAT, "example.com"))


@lru_cache(CACHED)
def dns1123_subdomain_with_underscore(text: str) -> tuple[str, ...]:
    """A subdomain in which labels may contain underscores, as DNS search paths do."""
    found = _bounded(text, SUBDOMAIN_MAX)
    if _subdomain_underscore(text):
        return found
    return (
        *found,
        regex(SUBDOMAIN_UNDERSCORE_SENTENCE, SUBDOMAIN_UNDERSCORE_FORMAT, "example.com"),
    )


@lru_cache(CACHED)
def dns1035_label(text: str) -> tuple[str, ...]:
    """A label which starts with a letter: what Services are called."""
    found = _bounded(text, LABEL_MAX)
    if _label_1035(text):
        return found
    return (*found, regex(LABEL_1035_SENTENCE, LABEL_1035_FORMAT, "my-name", "abc-123"))


@lru_cache(CACHED)
def wildcard_subdomain(text: str) -> tuple[str, ...]:
    """`*.` and a subdomain, as in the hosts of an Ingress."""
    found = _bounded(text, SUBDOMAIN_MAX)
    if _wildcard(text):
        return found
    return (*found, regex(WILDCARD_SENTENCE, WILDCARD_FORMAT, "*.example.com"))


@lru_cache(CACHED)
def qualified_name(text: str) -> tuple[str, ...]:
    """A label's key: a name, optionally after a subdomain and a slash."""
    prefix, slash, name = text.rpartition("/")
    found: list[str] = []
    if slash:
        if "/" in prefix:
            told = regex(KEY_SENTENCE, KEY_FORMAT, "MyName", "my.name", "123-abc")
            optional = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            return (f"a valid label key {told} {optional}",)
        if not prefix:
            found.append("prefix part must be non-empty")
        else:
            found += [f"prefix part {message}" for message in dns1123_subdomain(prefix)]
    if not name:
        found.append("name part must be non-empty")
    elif size(name) > LABEL_MAX:
        found.append(f"name part {max_length(LABEL_MAX)}")
    if not _key(name):
        told = regex(KEY_SENTENCE, KEY_FORMAT, "MyName", "my.name", "123-abc")
        found.append(f"name part {told}")
    return tuple(found)


@lru_cache(CACHED)
def label_value(text: str) -> tuple[str, ...]:
    """The value of a label."""
    found = _bounded(text, LABEL_MAX)
    if _value(text):
        return found
    return (*found, regex(VALUE_SENTENCE, VALUE_FORMAT, "MyValue", "my_value", "12345"))


@lru_cache(CACHED)
def config_key(text: str) -> tuple[str, ...]:
    """A key of a ConfigMap or Secret, which must also do as a file name."""
    found = _bounded(text, SUBDOMAIN_MAX)
    if not _config_key(text):
        told = regex(CONFIG_KEY_SENTENCE, CONFIG_KEY_FORMAT, "key.name", "KEY_NAME", "key-name")
        found = (*found, told)
    return found + _not_upwards(text)


def _not_upwards(text: str) -> tuple[str, ...]:
    if not text.startswith("."):
        return OK
    if text in (".", ".."):
        return (f"must not be '{text}'",)
    return ("must not start with '..'",) if text.startswith("..") else OK


@lru_cache(CACHED)
def env_name(text: str) -> tuple[str, ...]:
    """The name of an environment variable."""
    if not text:
        return ("environment variable name must be non-empty",)
    if text.isascii() and text.isprintable() and "=" not in text:
        return OK
    return (ENV_NAME_SENTENCE,)


@lru_cache(CACHED)
def port_name(text: str) -> tuple[str, ...]:
    """The name of a container's port (RFC 6335)."""
    found: list[str] = []
    if size(text) > 15:
        found.append(max_length(15))
    if not _port_charset(text):
        found.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not _letter(text):
        found.append("must contain at least one letter (a-z)")
    if "--" in text:
        found.append("must not contain consecutive hyphens")
    if text.startswith("-") or text.endswith("-"):
        found.append("must not begin or end with a hyphen")
    return tuple(found)


def port_number(port: int) -> tuple[str, ...]:
    """The number of a port."""
    return OK if 1 <= port <= 65535 else (between(1, 65535),)


def user_id(number: int) -> tuple[str, ...]:
    """A Unix user or group id."""
    return OK if 0 <= number <= 0xFFFFFFFF else (between(0, 0xFFFFFFFF),)


def percent(text: str) -> tuple[str, ...]:
    """A percentage such as `25%`."""
    return OK if _percent(text) else (regex(PERCENT_SENTENCE, PERCENT_FORMAT, "1%", "93%"),)


def http_header_name(text: str) -> tuple[str, ...]:
    """The name of an HTTP header."""
    return OK if _header(text) else (regex(HEADER_SENTENCE, HEADER_FORMAT, "X-Header-Name"),)


def c_identifier(text: str) -> tuple[str, ...]:
    """An identifier of the C language."""
    if _c_identifier(text):
        return OK
    return (regex(C_IDENTIFIER_SENTENCE, C_IDENTIFIER_FORMAT, "my_name", "MY_NAME", "MyName"),)


def http_path(text: str) -> tuple[str, ...]:
    """The path part of a domain-prefixed path such as `acme.io/foo`."""
    return OK if _http_path(text) else (regex("Invalid path", HTTP_PATH_FORMAT),)


def path_segment(text: str) -> tuple[str, ...]:
    """A name that only has to fit into a URL: RBAC objects are called so."""
    if text in (".", ".."):
        return (f"may not be '{text}'",)
    return tuple(f"may not contain '{char}'" for char in "/%" if char in text)


def path_segment_prefix(text: str) -> tuple[str, ...]:
    """A path segment to which something is still appended."""
    return tuple(f"may not contain '{char}'" for char in "/%" if char in text)


def mask_trailing_dash(text: str) -> str:
    """A generateName as a name: its last dashes may stand, since more letters follow."""
    return f"{text[:-2]}a" if len(text) > 1 and text.endswith("-") else text


ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
SUFFIX_LENGTH: Final = 5
GENERATED_BASE_MAX: Final = LABEL_MAX - SUFFIX_LENGTH


class RandomBits(Protocol):
    """Where chance comes from: `random.Random`, or a fake with a script."""

    def getrandbits(self, k: int, /) -> int:
        """An integer of `k` random bits."""


def generate_name(base: str, rng: RandomBits) -> str:
    """A name for `metadata.generateName`: the base, cut to 58 characters, and five more."""
    bits = rng.getrandbits(64)
    suffix = ""
    for _ in range(SUFFIX_LENGTH):
        bits, digit = divmod(bits, len(ALPHABET))
        suffix += ALPHABET[digit]
    return base[:GENERATED_BASE_MAX] + suffix
