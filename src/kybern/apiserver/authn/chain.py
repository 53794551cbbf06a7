"""Who sends a request: the first of these that knows.

In:   a request.
Out:  its User, and whether anybody vouches for it.
By:   filters.authentication; TokenReview uses `by_token`.

Answers are kept by credential: the certificate of a connection is the same bytes object for all
its requests, so that looking it up costs one hash that Python has already computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.apiserver.context import ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, User

if TYPE_CHECKING:
    from kybern.apiserver.authn.bootstrap_token import BootstrapTokens
    from kybern.apiserver.authn.service_accounts import Tokens
    from kybern.apiserver.authn.tokens import StaticTokens
    from kybern.apiserver.authn.x509 import Certificates
    from kybern.lib.http.messages import Request

NOBODY = User(ANONYMOUS, (UNAUTHENTICATED,))


class Chain:
    """Certificates, static, bootstrap and service account tokens; else anonymous."""

    def __init__(
        self,
        certificates: Certificates,
        static: StaticTokens,
        bootstrap: BootstrapTokens | None,
        accounts: Tokens,
    ) -> None:
        self._certificates = certificates
        self._static = static
        self._bootstrap = bootstrap
        self._accounts = accounts
        self._local: dict[object, User] = {}

    def authenticate(self, request: Request) -> tuple[User, bool]:
        """Return the user and whether it is known.

        Raises:
            Unauthorized: a token was presented that nobody recognises.
        """
        if request.extra is not None:
            return self._in_process(request.extra), True
        if request.peer_certificate is not None:
            user = self._certificates.user(request.peer_certificate)
            if user is not None:
                return user, True
        header = request.headers.get("authorization")
        if header is None:
            return NOBODY, False
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return NOBODY, False
        user = self.by_token(token.strip(), ())
        if user is None:
            raise errors.Unauthorized("Unauthorized")
        return user, True

    def by_token(self, token: str, audiences: tuple[str, ...]) -> User | None:
        """Return who a bearer token stands for; None when nobody recognises it."""
        user = self._static.user(token) or self._accounts.user(token, audiences)
        if user is None and self._bootstrap is not None:
            user = self._bootstrap.user(token)
        return user

    def _in_process(self, identity: object) -> User:
        """Return the user a component of this process calls itself."""
        user = self._local.get(identity)
        if user is None:
            user = identity if isinstance(identity, User) else _from_identity(identity)
            self._local[identity] = user
        return user


def _from_identity(identity: object) -> User:
    if isinstance(identity, str):
        return User(identity, (AUTHENTICATED,))
    name: str = getattr(identity, "name", "")
    groups = tuple(getattr(identity, "groups", ()))
    if AUTHENTICATED not in groups:
        groups = (*groups, AUTHENTICATED)
    return User(name, groups)
