"""Pod specs that were looked at before.

In:   pods about to be created, as admission has left them.
Out:  whether a pod with the same spec and annotations was valid, and what it was warned about.
By:   registry.core.pods.

Nearly all pods come from a template, and looking at the same spec again is a quarter of what
creating a pod costs. What is remembered are the bytes: a spec that differs in anything but the
random name of the token volume is another one. Specs with problems are not remembered.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kybern.api import codec

if TYPE_CHECKING:
    from kybern.api.core.v1 import Pod

KEPT: Final = 256
"""How many specs are remembered; some megabytes when all are large."""

_TOKEN_VOLUME = re.compile(rb'"(kube-api-access-[bcdfghjklmnpqrstvwxz2456789]{5})"').search
_ANY_NAME: Final = b"\0"  # stands in no JSON
_NAMED_AFTER_THE_POD: Final = b'"ephemeral":{'


class KnownSpecs:
    """What was found out about specs, the oldest forgotten first."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[bytes, list[str]] = {}

    def find(self, key: bytes) -> list[str] | None:
        """Return the warnings about a valid spec; None when it is not known."""
        return self._found.get(key)

    def keep(self, key: bytes, warnings: list[str]) -> None:
        """Remember a valid spec and what it is warned about."""
        if not key or any("kube-api-access-" in text for text in warnings):
            return
        if len(self._found) >= KEPT:
            del self._found[next(iter(self._found))]
        self._found[key] = warnings


def key_of(pod: Pod) -> bytes:
    """Return what a spec is known by; empty when what is said of it depends on the pod's name."""
    annotations = pod.metadata.annotations
    key = codec.encode((pod.spec, annotations) if annotations else pod.spec)
    if _NAMED_AFTER_THE_POD in key:
        return b""
    volume = _TOKEN_VOLUME(key)
    return key if volume is None else key.replace(volume[1], _ANY_NAME)
