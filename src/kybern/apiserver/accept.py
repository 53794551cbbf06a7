"""Which form of an answer the client takes: JSON or YAML, the object or a view of it.

In:   an Accept header.
Out:  a Form.
By:   handlers, through ctx.request.headers. Headers are few, so parsed ones are kept.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from kybern.api import errors

JSON, YAML = "application/json", "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
OFFERED = (JSON, YAML, PROTOBUF)
META = "meta.k8s.io"

OBJECT, TABLE, PARTIAL, PARTIAL_LIST = (
    "", "Table", "PartialObjectMetadata", "PartialObjectMetadataList",
)  # fmt: skip

OF_ONE = frozenset((OBJECT, TABLE, PARTIAL))
OF_LIST = frozenset((OBJECT, TABLE, PARTIAL_LIST))
OF_REVIEW = frozenset((OBJECT,))


class Form(NamedTuple):
    """How to write an answer."""

    media: str
    view: str = OBJECT
    version: str = "v1"


PLAIN = Form(JSON)
_ANYTHING = frozenset(("*/*", "application/*"))
_JSON = frozenset((JSON, *_ANYTHING))


def form(accept: str | None, views: frozenset[str], *, protobuf: bool = True) -> Form:
    """Return the first form the client names that we have.

    Raises:
        NotAcceptable: there is none.
    """
    if accept is None or accept in _JSON:
        return PLAIN
    found = _choose(accept, views)
    if found is None or (found.media == PROTOBUF and found.view == OBJECT and not protobuf):
        raise errors.NotAcceptable.of(OFFERED if protobuf else OFFERED[:2])
    return found


@lru_cache(1024)
def _choose(accept: str, views: frozenset[str]) -> Form | None:
    clauses = [_clause(text) for text in accept.split(",")]
    clauses.sort(key=lambda clause: -clause[2])  # stable: equal weights keep their order
    protobuf: Form | None = None
    for media, parameters, weight in clauses:
        view = parameters.get("as", OBJECT)
        if weight <= 0 or view not in views or (view and parameters.get("g", META) != META):
            continue
        wanted = Form(media, view, parameters.get("v", "v1"))
        if media in _ANYTHING:
            return wanted._replace(media=JSON)
        if media in (JSON, YAML):
            return wanted
        if media == PROTOBUF and protobuf is None:
            # JSON is what we write fastest: protobuf only for those who take nothing else.
            protobuf = wanted
    return protobuf


def _clause(text: str) -> tuple[str, dict[str, str], float]:
    media, *rest = text.split(";")
    parameters = {}
    for part in rest:
        name, _, value = part.strip().partition("=")
        parameters[name] = value
    try:
        weight = float(parameters.get("q", "1"))
    except ValueError:
        weight = 1.0
    return media.strip().lower(), parameters, weight
