"""The API servers of a cluster, and which of them to ask.

In:   the URLs one starts with, later those that the cluster names; what became of requests.
Out:  the one to ask next.
By:   `client.tls`; the transports of one process share a `Servers`, so that what one of them
      finds out about a server, all know.

One asks the same server until it fails, as its connections are there, and then the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.lib import logs

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logs.get("client.servers")


class Servers:
    """A ring of URLs with a mark on the one that is asked."""

    def __init__(self, urls: Iterable[str]) -> None:
        self._first = tuple(dict.fromkeys(urls))
        self._urls = self._first
        self._at = 0

    def __len__(self) -> int:
        return len(self._urls)

    @property
    def urls(self) -> tuple[str, ...]:
        """All of them: those one started with, then those that were learned."""
        return self._urls

    @property
    def current(self) -> str:
        """The one to ask."""
        return self._urls[self._at]

    def failed(self, url: str) -> None:
        """Ask another one from now on, if this was the one that is asked."""
        if url == self.current and len(self._urls) > 1:
            self._at = (self._at + 1) % len(self._urls)
            log.info("asking another API server", server=self.current, instead_of=url)

    def learn(self, urls: Iterable[str]) -> bool:
        """Take what the cluster says of itself; say whether that was news.

        What one started with stays, as a cluster that is coming up may say less than there is.
        """
        known = tuple(dict.fromkeys((*self._first, *sorted(urls))))
        if known == self._urls:
            return False
        current = self.current
        self._urls = known
        self._at = known.index(current) if current in known else 0
        return True
