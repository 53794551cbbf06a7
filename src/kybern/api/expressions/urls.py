"""`url(...)`, `isURL(...)` and the parts of a URL.

In:   texts.
Out:  `FUNCTIONS`, a table of overloads.
By:   libraries. Facts: upstream's `apiserver/pkg/cel/library/urls.go`; what Go's url.Parse takes.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qs, urlsplit

from kybern.lib.cel.declarations import Overload
from kybern.lib.cel.text import once
from kybern.lib.cel.values import EvalError

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")


class Url:
    """An absolute URL or an absolute path."""

    TYPE = "kubernetes.URL"
    __slots__ = ("parts", "text")

    def __init__(self, text: str, parts: SplitResult) -> None:
        self.text = text
        self.parts = parts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Url) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


def _parse(text: str) -> Url:
    if not (_SCHEME.match(text) or text.startswith("/")):
        raise EvalError(_refusal(text, "invalid URI for request" if text else "empty url"))
    if any(ord(each) < 0x20 or each in " \x7f" for each in text.partition("?")[0]):
        raise EvalError(_refusal(text, "invalid character in URL"))
    if (odd := _BAD_ESCAPE.search(text)) is not None:
        escape = text[odd.start() : odd.start() + 3]
        raise EvalError(_refusal(text, f'invalid URL escape "{escape}"'))
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  # reading it checks it
    except ValueError as error:
        raise EvalError(_refusal(text, str(error))) from None
    return Url(text, parts)


def _refusal(text: str, why: str) -> str:
    return f'URL parse error during conversion from string: parse "{text}": {why}'


def _is_url(text: str) -> bool:
    try:
        _parse(text)
    except EvalError:
        return False
    return True


def _host(url: Url) -> str:
    return url.parts.netloc.rpartition("@")[2]


def _host_name(url: Url) -> str:
    host = _host(url)
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


def _port(url: Url) -> str:
    host = _host(url).rpartition("]")[2]
    return host.rpartition(":")[2] if ":" in host else ""


FUNCTIONS: dict[str, tuple[Overload, ...]] = {
    "url": (Overload("string -> kubernetes.URL", _parse, cost=once),),
    "isURL": (Overload("string -> bool", _is_url, cost=once),),
    **{
        name: (Overload(f"kubernetes.URL -> {result}", call, member=True),)
        for name, result, call in (
            ("getScheme", "string", lambda url: url.parts.scheme),
            ("getHost", "string", _host),
            ("getHostname", "string", _host_name),
            ("getPort", "string", _port),
            ("getEscapedPath", "string", lambda url: url.parts.path),
            (
                "getQuery", "map(string, list(string))",
                lambda url: parse_qs(url.parts.query, keep_blank_values=True),
            ),
        )
    },
}  # fmt: skip
