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


def parse(text: str) -> int:
    """Return the revision a client names; "" is 0.

    Raises:
        BadRequest: it is not a number.
    """
    if not text:
        return 0
    if text.isascii() and text.isdigit():
        return int(text)
    raise errors.BadRequest(
        f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": '
        "invalid syntax"
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
