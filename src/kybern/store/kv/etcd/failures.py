"""What an error of etcd means; pure.

In:   the code and the words of a failed call.
Out:  whether something may have happened, and the error for our caller.
By:   `connection`.

A write that may have happened is never sent again: the caller is told that nobody knows. Only when
it is certain that no member has taken it up, another one gets it.
"""

from __future__ import annotations

import enum

from kybern.store.interface import StoreError, StoreFailed


class Verdict(enum.Enum):
    """What became of a call that failed."""

    REFUSED = "refused"  # it did not happen, and would not elsewhere either
    UNSENT = "unsent"  # it did not happen; another member may do it, or this one later
    UNKNOWN = "unknown"  # it happened or not


class Reason(enum.Enum):
    """Refusals that are no failure of the medium."""

    COMPACTED = "required revision has been compacted"
    FUTURE = "required revision is a future revision"
    NO_LEASE = "requested lease not found"


class Refused(Exception):
    """etcd says no, for a reason of the request's."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


_UNSENT = (
    "failed to connect to all addresses",
    "no leader",
    "raft proposal dropped",
    "too many requests",
)
_REFUSED = frozenset(
    (
        "ALREADY_EXISTS",
        "FAILED_PRECONDITION",
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "OUT_OF_RANGE",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "UNAUTHENTICATED",
        "UNIMPLEMENTED",
    )
)
_HINTS = {
    "request is too large": "start it with a larger --max-request-bytes, or store less in one "
    "object",
    "permission denied": "give the user of our certificate the right to read and write all keys",
    "certificate": "check --etcd-cafile, --etcd-certfile and --etcd-keyfile",
    "Unwrap failed": "check --etcd-certfile and --etcd-keyfile: etcd does not accept who we are",
    "handshake": "check --etcd-cafile, --etcd-certfile and --etcd-keyfile",
}


def judge(code: str, details: str) -> Verdict:
    """Say what became of a call."""
    if any(text in details for text in _UNSENT):
        return Verdict.UNSENT
    return Verdict.REFUSED if code in _REFUSED else Verdict.UNKNOWN


def explain(code: str, details: str, where: str) -> StoreError | Refused:
    """Return what to raise for a call that is not tried again."""
    for reason in Reason:
        if reason.value in details:
            return Refused(reason)
    if "database space exceeded" in details:
        # No StoreFull, which promises that nothing happened: of the writes that cross the quota
        # together etcd applies some, and then refuses them.
        return StoreFailed(
            f"etcd at {where} has no space left: compact and defragment it or raise its "
            "--quota-backend-bytes, then `etcdctl alarm disarm`"
        )
    hint = next((f": {hint}" for text, hint in _HINTS.items() if text in details), "")
    return StoreFailed(f"etcd at {where} says {details or code}{hint}")
