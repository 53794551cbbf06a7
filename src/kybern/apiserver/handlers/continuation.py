"""Continue tokens: where a list goes on.

In:   a revision and the last key sent, relative to the listed prefix.
Out:  an opaque text; base64 of JSON, in upstream's form.
By:   handlers.list.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

from kybern.api import errors

ANY_REVISION = -1
"""In a token: go on at whatever revision is current. The list is then not of one moment."""

TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start "
    "a new list without the continue parameter, or use the continue token in this response to "
    "retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)


class _Token(msgspec.Struct):
    v: str
    rv: int
    start: str


class ExpiredContinue(errors.Expired):
    """The token's revision is forgotten; the Status carries a token that goes on regardless."""

    def __init__(self, token: str) -> None:
        super().__init__(TOO_OLD)
        self.token = token

    def status(self) -> dict[str, object]:
        """Return the Status with the new token in its metadata."""
        tree = super().status()
        tree["metadata"] = {"continue": self.token}
        return tree


def encode(revision: int, last: str) -> str:
    """Return the token to go on after a key."""
    token = _Token("meta.k8s.io/v1", revision, last + "\0")
    return base64.urlsafe_b64encode(msgspec.json.encode(token)).decode().rstrip("=")


def decode(text: str) -> tuple[int, str]:
    """Return the revision (-1 for any) and the last key of a token.

    Raises:
        BadRequest: it is not one of ours.
    """
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        token = msgspec.json.decode(raw, type=_Token)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise errors.BadRequest(f"continue key is not valid: {error}") from None
    if token.v != "meta.k8s.io/v1":
        raise errors.BadRequest("continue key is not valid: server does not recognize this "
                                f'encoded version "{token.v}"')  # fmt: skip
    if token.rv == 0 or not token.start or token.start.startswith("/"):
        raise errors.BadRequest(
            "continue key is not valid: incorrect encoded start resourceVersion (version "
            "meta.k8s.io/v1)"
        )
    return token.rv, token.start.rstrip("\0")


def expired(last: str) -> ExpiredContinue:
    """Return the answer to a token whose revision is forgotten."""
    return ExpiredContinue(encode(ANY_REVISION, last))
