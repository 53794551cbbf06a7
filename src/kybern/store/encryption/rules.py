"""With what a value is written, and what may have written it.

In:   keys of the store, values as they are held or stored.
Out:  values as they are stored or held.
By:   encryption.engine.

The first cipher of a resource writes; all of them read, in order. So a key is rotated in steps:
add the new one as the second everywhere, then make it the first, write everything again, and take
the old one away.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from kybern.api.scheme import SCHEME
from kybern.store import keys
from kybern.store.encryption.ciphers import ENCRYPTED, IDENTITY, CannotOpen, Cipher

if TYPE_CHECKING:
    from collections.abc import Mapping

    Ciphers = tuple[Cipher, ...]

PLAIN: Ciphers = (IDENTITY,)


class Resource(NamedTuple):
    """What the configuration names; `*` stands for all."""

    plural: str
    group: str


def parse_resource(name: str) -> Resource:
    """Read `secrets`, `deployments.apps`, `*.apps`, `*.` (the core group) or `*.*`."""
    plural, _, group = name.partition(".")
    return Resource(plural, group)


@cache
def _built_in() -> dict[str, Resource]:
    """Return the resources of which the key says the plural, or an older name, and no group."""
    found: dict[str, Resource] = {}
    for kind in SCHEME.kinds:
        if not kind.plural:
            continue  # not an object: options, reviews of what is nowhere kept
        prefix = keys.collection(kind.group, kind.plural)
        found.setdefault(prefix, Resource(kind.plural, kind.group))
    found[keys.collection("", "events")] = Resource("events", "")
    return found


def resource_of(key: str) -> Resource | None:
    """Return the resource whose object lives under a key; None for what is no object."""
    parts = key.split("/", 4)
    if len(parts) < 4:
        return None
    _, root, first, second = parts[:4]
    if len(parts) == 5:
        found = _built_in().get(f"/{root}/{first}/{second}/")
        if found is not None:
            return found
    found = _built_in().get(f"/{root}/{first}/")
    if found is None and len(parts) == 5 and "." in first:
        return Resource(second, first)  # a custom resource
    return found


class Rules:
    """The ciphers of every resource that has some."""

    def __init__(self, chains: Mapping[Resource, Ciphers]) -> None:
        self._chains = dict(chains)

    def ciphers(self, key: str) -> Ciphers:
        """Return what is for an object: its resource's, its group's, or everybody's."""
        resource = resource_of(key)
        if resource is None:
            return PLAIN
        chains = self._chains
        for wanted in (resource, Resource("*", resource.group), Resource("*", "*")):
            if wanted in chains:
                return chains[wanted]
        return PLAIN

    def writer(self, key: str) -> Cipher:
        """Return what an object is written with."""
        return self.ciphers(key)[0]

    def seal(self, key: str, data: bytes) -> bytes:
        """Return a value as it is stored."""
        cipher = self.writer(key)
        return data if cipher is IDENTITY else cipher.prefix + cipher.seal(data, key)

    def open(self, key: str, data: bytes) -> tuple[bytes, Cipher]:
        """Return a value as it was before it was sealed, and with what it was.

        Raises:
            CannotOpen: none of the ciphers wrote it; the message is upstream's.
        """
        if not data.startswith(ENCRYPTED):
            return data, IDENTITY
        ciphers = self.ciphers(key)
        if ciphers == PLAIN:
            raise CannotOpen("identity transformer tried to read encrypted data")
        problems: list[str] = []
        for cipher in ciphers:
            if cipher is not IDENTITY and data.startswith(cipher.prefix):
                try:
                    opened = cipher.open(data[len(cipher.prefix) :], key)
                    # Upstream's JSON ends with a newline, which is no part of the object.
                    return opened.removesuffix(b"\n"), cipher
                except CannotOpen as error:
                    problems.append(str(error))
        if len(set(problems)) > 1:
            raise CannotOpen(f"[{', '.join(dict.fromkeys(problems))}]")
        raise CannotOpen(problems[0] if problems else _no_match(ciphers, data))


def _no_match(ciphers: Ciphers, data: bytes) -> str:
    for cipher in ciphers:
        if data.startswith(b"%b%b:v1:" % (ENCRYPTED, cipher.provider.encode())):
            return f"no matching key was found for the provided {cipher.title} transformer"
    return "no matching prefix found"
