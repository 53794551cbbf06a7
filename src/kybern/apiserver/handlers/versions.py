"""resourceVersion in queries.

In:   the text of a resourceVersion parameter.
Out:  a revision; or upstream's refusals.
By:   get, list and watch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import errors

if TYPE_CHECKING:
    from kybern.apiserver.context import RequestContext

MOST_DIGITS = 20  # of the largest number of 64 bits


def parse(text: str) -> int:
    """Return the revision a client names; "" is 0.

    Raises:
        BadRequest: it is not a number.
    """
    if not text:
        return 0
    why = "invalid syntax"
    if text.isascii() and text.isdigit():
        if len(text) <= MOST_DIGITS:
            return int(text)
        why = "value out of range"
    raise errors.BadRequest(
        f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": {why}'
    )


def check_not_newer(ctx: RequestContext, text: str) -> int:
    """Return the revision, refusing one that does not exist yet.

    Raises:
        Timeout: as upstream answers after waiting for it in vain.
    """
    revision = parse(text)
    current = ctx.services.store.revision
    if revision > current:
        raise too_large(revision, current)
    return revision


def too_large(revision: int, current: int) -> errors.Timeout:
    """Say that a revision lies in the future."""
    return errors.Timeout(
        f"Timeout: Too large resource version: {revision}, current: {current}",
        {
            "causes": [
                {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
            ],
            "retryAfterSeconds": 1,
        },
    )
