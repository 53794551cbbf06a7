"""Names of images, as pods write them.

In:   the `image` field of a container.
Out:  the name with its tag; BadImageName when it is none.
By:   pulling.py, node status. Pure.
"""

from __future__ import annotations

import re

PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
HOST = (
    r"(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
    r"(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
)
REFERENCE = re.compile(
    rf"^(?P<name>(?:{HOST}/)?{PART}(?:/{PART})*)"
    r"(?::(?P<tag>[\w][\w.-]{0,127}))?"
    r"(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?$",
    re.ASCII,
)
DEFAULT_TAG = "latest"
DEFAULT_REGISTRY = "docker.io"


class BadImageName(ValueError):
    """No image can have this name; `str()` is for the container's status."""


def with_tag(image: str) -> str:
    """Return the name with `:latest` where it has neither tag nor digest.

    Raises:
        BadImageName: it is no image name.
    """
    match = REFERENCE.match(image)
    if match is None:
        raise BadImageName(
            f'Failed to apply default image tag "{image}": couldn\'t parse image name "{image}": '
            f"{_why(image)}"
        )
    if match["tag"] or match["digest"]:
        return image
    return f"{image}:{DEFAULT_TAG}"


def registry(image: str) -> str:
    """Return the host an image is pulled from."""
    first, slash, _ = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first
    return DEFAULT_REGISTRY


def _why(image: str) -> str:
    if image != image.lower() and REFERENCE.match(image.lower()):
        return "invalid reference format: repository name must be lowercase"
    return "invalid reference format"
