"""Static bearer tokens: `--token`, and a token file with upstream's columns.

In:   `token,user,uid[,"group1,group2"]` lines.
Out:  the User of a token.
By:   authn.chain.

A token is looked up by its digest, so that the time a wrong one takes says nothing about the
right ones.
"""

from __future__ import annotations

import csv
import hashlib
from typing import TYPE_CHECKING

from kybern.apiserver.context import AUTHENTICATED, MASTERS, User

if TYPE_CHECKING:
    from collections.abc import Iterable

ADMIN = "kybern-admin"


class StaticTokens:
    """Tokens that are valid as long as the server runs."""

    def __init__(self) -> None:
        self._by_digest: dict[bytes, User] = {}
        self._seen: dict[str, User] = {}

    def add(self, token: str, user: User) -> None:
        """Let a token stand for a user."""
        self._by_digest[_digest(token)] = user

    def add_admin(self, token: str) -> None:
        """Let a token stand for an administrator who may do everything."""
        self.add(token, User(ADMIN, (MASTERS, AUTHENTICATED)))

    def add_lines(self, lines: Iterable[str]) -> None:
        """Read a token file.

        Raises:
            ValueError: a line has fewer than three columns.
        """
        for number, row in enumerate(csv.reader(lines), 1):
            if not row:
                continue
            if len(row) < 3:
                raise ValueError(f"line {number}: a token needs a user and a uid")
            groups = tuple(g.strip() for g in row[3].split(",")) if len(row) > 3 else ()
            user = User(row[1].strip(), (*groups, AUTHENTICATED), row[2].strip())
            self.add(row[0].strip(), user)

    def user(self, token: str) -> User | None:
        """Return whom a token stands for."""
        if not self._by_digest:
            return None
        user = self._seen.get(token)
        if user is None:
            user = self._by_digest.get(_digest(token))
            if user is not None:
                self._seen[token] = user
        return user


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
