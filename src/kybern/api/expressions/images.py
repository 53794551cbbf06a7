"""`image("registry.k8s.io/pause:3.10")` and its parts.

In:   texts.
Out:  `FUNCTIONS`, a table of overloads.
By:   libraries. Facts: upstream's `apiserver/pkg/cel/library/image.go`, and go-containerregistry's
      `pkg/name`, which reads the references there.
"""

from __future__ import annotations

import re
from typing import Any

from kybern.lib.cel.declarations import Overload
from kybern.lib.cel.text import once
from kybern.lib.cel.values import EvalError

TYPE = "kubernetes.Image"
DEFAULT = "index.docker.io"
_REPOSITORY = re.compile(r"[a-z0-9_\-./]{2,255}")
_TAG = re.compile(r"[a-zA-Z0-9_\-.]{1,128}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Image:
    """A reference to an image: a digest, or else a tag."""

    TYPE = TYPE
    __slots__ = ("digest", "registry", "repository", "tag")

    def __init__(self, registry: str, repository: str, tag: str, digest: str) -> None:
        self.registry = registry
        self.repository = repository
        self.tag = tag
        self.digest = digest

    @property
    def key(self) -> tuple[str, ...]:
        """What makes it itself."""
        return self.registry, self.repository, self.tag, self.digest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Image) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def _parse(text: str) -> Image:
    rest, at, digest = text.partition("@")
    if at and _DIGEST.fullmatch(digest) is None:
        raise _refused(text)
    tag = ""
    head, colon, last = rest.rpartition(":")
    if colon and "/" not in last:
        rest, tag = head, last
        if _TAG.fullmatch(tag) is None:
            raise _refused(text)
    registry, slash, repository = rest.partition("/")
    if not slash or not ("." in registry or ":" in registry or registry == "localhost"):
        registry, repository = DEFAULT, rest
    if registry == DEFAULT and "/" not in repository:
        repository = f"library/{repository}"
    parts = repository.removeprefix("library/").split("/")
    if _REPOSITORY.fullmatch(repository) is None or "" in parts:
        raise _refused(text)
    return Image(registry, repository, "" if digest else tag or "latest", digest)


def _refused(text: str) -> EvalError:
    return EvalError(f"could not parse reference: {text}")


def _is_image(text: str) -> bool:
    try:
        _parse(text)
    except EvalError:
        return False
    return True


def _member(result: str, call: Any) -> tuple[Overload, ...]:
    return (Overload(f"{TYPE} -> {result}", call, member=True),)


FUNCTIONS: dict[str, tuple[Overload, ...]] = {
    "image": (Overload(f"string -> {TYPE}", _parse, cost=once),),
    "isImage": (Overload("string -> bool", _is_image, cost=once),),
    "containsDigest": _member("bool", lambda image: bool(image.digest)),
    "registry": _member("string", lambda image: image.registry),
    "repository": _member("string", lambda image: image.repository),
    "identifier": _member("string", lambda image: image.digest or image.tag),
    "tag": _member("string", lambda image: image.tag),
    "digest": _member("string", lambda image: image.digest),
}
