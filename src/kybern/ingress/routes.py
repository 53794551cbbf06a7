"""From hosts and paths to keys that a proxy can look up.

In:   a host and a path of an Ingress rule.
Out:  the key under which it is found, in one of three tables: exact paths, prefixes, defaults.
By:   plan.py fills the tables, configuration.py writes down how to look into them.

A key is the host and the path, one after the other: `shop.example/cart/`. A host cannot have a
slash, so there is no doubt where it ends. A wildcard is its suffix, `.example`, which is what is
left of a request's host without its first label: so it stands for one label and not for two. Rules
without a host have keys that begin with the slash.

Prefixes end with a slash and are looked up with a slash behind the request's path: `/foo/` is the
beginning of `/foo/` and `/foo/bar/` and not of `/foobar/`, which makes the match one of elements.
The longest prefix wins; whole paths are looked up before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

EVERYBODY = "*"
"""The key of what answers when nothing else does, in the table of defaults."""

_AS_THEY_ARE = "/-._~!$&'()*+,;=:@%"


class Routes(NamedTuple):
    """Names of backends by key."""

    exact: Mapping[str, str]
    prefix: Mapping[str, str]
    default: Mapping[str, str]


def host_key(host: str | None) -> str:
    """Return the first part of a key."""
    return (host or "").lower().removeprefix("*")


def exact_key(host: str | None, path: str) -> str:
    """Return the key of a whole path."""
    return host_key(host) + as_sent(path)


def prefix_key(host: str | None, path: str) -> str:
    """Return the key of a path and everything below it."""
    return host_key(host) + as_sent(path).rstrip("/") + "/"


def as_sent(path: str) -> str:
    """Return a path as it is in a request: without spaces, line ends and what is not ASCII."""
    return quote(path, safe=_AS_THEY_ARE)
