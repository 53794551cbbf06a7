"""Links in what comes back through a proxy: they lead through the proxy again.

In:   a header or an HTML page, where it came from, and the path up to `proxy`.
Out:  the same with links to the other server's own paths rewritten; other links as they were.
By:   handlers.proxy. Pure.
"""

from __future__ import annotations

import html
import posixpath
import re
import zlib
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

LINKED: dict[str, frozenset[str]] = {
    tag: frozenset(names.split())
    for tag, names in {
        "a": "href", "applet": "codebase", "area": "href", "audio": "src", "base": "href",
        "blockquote": "cite", "body": "background", "button": "formaction", "command": "icon",
        "del": "cite", "embed": "src", "form": "action", "frame": "longdesc src",
        "head": "profile", "html": "manifest", "iframe": "longdesc src",
        "img": "longdesc src usemap", "input": "src usemap formaction", "ins": "cite",
        "link": "href", "object": "classid codebase data usemap", "q": "cite", "script": "src",
        "source": "src", "video": "poster src",
    }.items()
}  # fmt: skip
"""Which attributes of which elements hold links."""

TAG = re.compile(r"""<([a-zA-Z][^\s/>]*+)((?:[^"'>]++|"[^"]*+"|'[^']*+')*+)>""")
ATTRIBUTE = re.compile(r"""([^\s"'>/=]+)(\s*=\s*)("[^"]*"|'[^']*'|[^\s"'>]+)""")
RAW = {tag: re.compile(f"</{tag}", re.IGNORECASE) for tag in ("script", "style", "textarea")}
"""Elements which hold text that only looks like elements, and what ends them."""
CODINGS = {"": 0, "gzip": zlib.MAX_WBITS | 16, "deflate": -zlib.MAX_WBITS}


@dataclass(frozen=True, slots=True)
class Links:
    """Where links of one answer lead.

    Attributes:
        prefix: the path up to `proxy`.
        backend: host and port of the server that answered.
        host: what the client calls this server.
    """

    prefix: str
    backend: str
    host: str

    def url(self, text: str) -> str:
        """Return a link, rewritten if it is to an absolute path of the server that answered."""
        try:
            parts = urlsplit(text)
        except ValueError:
            return text
        foreign = parts.netloc not in ("", self.backend, self.host)
        if foreign or not parts.path.startswith("/"):
            return text
        path = parts.path
        if not path.startswith(self.prefix):
            path = posixpath.normpath(self.prefix + path) + "/" * (path.endswith("/"))
        if parts.netloc == self.host:
            return urlunsplit(parts._replace(path=path))
        return urlunsplit(parts._replace(scheme="", netloc="", path=path))

    def page(self, data: bytes, coding: str, limit: int) -> bytes | None:
        """Return a page with its links rewritten; None when it becomes larger than the limit."""
        if not coding:
            return self._html(data)
        unpacker = zlib.decompressobj(CODINGS[coding])
        plain = unpacker.decompress(data, limit)
        if not unpacker.eof:
            return None
        packer = zlib.compressobj(wbits=CODINGS[coding])
        return packer.compress(self._html(plain)) + packer.flush()

    def _html(self, data: bytes) -> bytes:
        # Latin-1 gives each byte a character and back: whatever the page is written in stays.
        page = data.decode("latin-1")
        at, done, pieces = 0, 0, list[str]()
        while (at := page.find("<", at)) >= 0:
            if page.startswith("<!--", at):
                at = page.find("-->", at)
                if at < 0:
                    break
                continue
            tag = TAG.match(page, at)
            if tag is None:
                if page[at + 1 : at + 2].isalpha():
                    break  # it never ends: nothing after it is an element
                at += 1
                continue
            name = tag[1].lower()
            if linked := LINKED.get(name):
                pieces += page[done : tag.start(2)], self._attributes(tag[2], linked)
                done = tag.end(2)
            at = tag.end()
            if name in RAW:
                end = RAW[name].search(page, at)
                if end is None:
                    break
                at = end.end()
        pieces.append(page[done:])
        return "".join(pieces).encode("latin-1")

    def _attributes(self, text: str, linked: frozenset[str]) -> str:
        def rewritten(found: re.Match[str]) -> str:
            name, equals, value = found.groups()
            if name.lower() not in linked:
                return found[0]
            plain = html.unescape(value.strip("\"'"))
            link = self.url(plain)
            return found[0] if link == plain else f'{name}{equals}"{_escape(link)}"'

        return ATTRIBUTE.sub(rewritten, text)


def _escape(link: str) -> str:
    # What `unescape` made of an entity may be no Latin-1 character.
    return html.escape(link).encode("latin-1", "xmlcharrefreplace").decode("latin-1")
