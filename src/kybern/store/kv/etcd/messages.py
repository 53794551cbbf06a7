"""etcd's messages, as far as we need them.

In:   nothing; the numbers are those of etcd's rpc.proto and kv.proto.
Out:  Structs, and the methods that take and return them.
By:   everything in this package.
"""

# No `from __future__ import annotations`: this file defines Structs.

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

from msgspec import Struct, field

from kybern.lib.protobuf import Codec
from kybern.lib.protobuf import PbField as N

EVERYTHING = b"\0"
"""As key and as end of a range: all keys."""
MOD = 2
"""What a Compare looks at: the revision of the last write; 0 when there is no such key."""
DELETE = 1
"""The type of an Event that is not a put."""


class Header(Struct, gc=False):
    """What every answer begins with."""

    member_id: Annotated[int, N(2, "uint64")] = 0
    revision: Annotated[int, N(3)] = 0


class KeyValue(Struct, gc=False):
    """A key as it was at one revision."""

    key: Annotated[bytes, N(1)] = b""
    create_revision: Annotated[int, N(2)] = 0
    mod_revision: Annotated[int, N(3)] = 0
    value: Annotated[bytes, N(5)] = b""
    lease: Annotated[int, N(6)] = 0


class RangeRequest(Struct):
    """Which keys to read."""

    key: Annotated[bytes, N(1)] = b""
    range_end: Annotated[bytes, N(2)] = b""
    limit: Annotated[int, N(3)] = 0
    revision: Annotated[int, N(4)] = 0
    keys_only: Annotated[bool, N(8)] = False
    count_only: Annotated[bool, N(9)] = False


class RangeResponse(Struct):
    """Keys, in order; `count` is of all in the range."""

    header: Annotated[Header, N(1)] = field(default_factory=Header)
    kvs: Annotated[list[KeyValue], N(2)] = field(default_factory=list)
    count: Annotated[int, N(4)] = 0


class PutRequest(Struct):
    """A key to be written."""

    key: Annotated[bytes, N(1)] = b""
    value: Annotated[bytes, N(2)] = b""
    lease: Annotated[int, N(3)] = 0


class DeleteRequest(Struct):
    """A key to be deleted."""

    key: Annotated[bytes, N(1)] = b""


class Compare(Struct):
    """Whether a key is at a revision."""

    target: Annotated[int, N(2, "enum")] = MOD
    key: Annotated[bytes, N(3)] = b""
    mod_revision: Annotated[int, N(6)] = 0


class Operation(Struct):
    """One of them."""

    range: Annotated[RangeRequest | None, N(1)] = None
    put: Annotated[PutRequest | None, N(2)] = None
    delete: Annotated[DeleteRequest | None, N(3)] = None


class TxnRequest(Struct):
    """If `compare` holds, `success`, else `failure`."""

    compare: Annotated[list[Compare], N(1)]
    success: Annotated[list[Operation], N(2)]
    failure: Annotated[list[Operation], N(3)]


class OperationResult(Struct):
    """What was read; of writes nothing is of interest."""

    range: Annotated[RangeResponse | None, N(1)] = None


class TxnResponse(Struct):
    """Which way it went. The revision is of the write, or of what was read."""

    header: Annotated[Header, N(1)] = field(default_factory=Header)
    succeeded: Annotated[bool, N(2)] = False
    responses: Annotated[list[OperationResult], N(3)] = field(default_factory=list)


class CompactionRequest(Struct):
    """Up to where to forget."""

    revision: Annotated[int, N(1)] = 0


class Answered(Struct):
    """An answer of which only its header is of interest."""

    header: Annotated[Header, N(1)] = field(default_factory=Header)


class WatchCreateRequest(Struct):
    """What to watch from which revision on."""

    key: Annotated[bytes, N(1)] = EVERYTHING
    range_end: Annotated[bytes, N(2)] = EVERYTHING
    start_revision: Annotated[int, N(3)] = 0
    prev_kv: Annotated[bool, N(6)] = False
    fragment: Annotated[bool, N(8)] = True


class WatchRequest(Struct):
    """The only thing we ask of a watch stream."""

    create: Annotated[WatchCreateRequest | None, N(1)] = None


class Event(Struct, gc=False):
    """A write."""

    type: Annotated[int, N(1, "enum")] = 0
    kv: Annotated[KeyValue, N(2)] = field(default_factory=KeyValue)
    prev_kv: Annotated[KeyValue | None, N(3)] = None


class WatchResponse(Struct):
    """Events in order; with `fragment`, the next response goes on where this one ends."""

    header: Annotated[Header, N(1)] = field(default_factory=Header)
    created: Annotated[bool, N(3)] = False
    canceled: Annotated[bool, N(4)] = False
    compact_revision: Annotated[int, N(5)] = 0
    cancel_reason: Annotated[str, N(6)] = ""
    fragment: Annotated[bool, N(7)] = False
    events: Annotated[list[Event], N(11)] = field(default_factory=list)


class LeaseGrantRequest(Struct):
    """How long a lease lasts, in seconds."""

    ttl: Annotated[int, N(1)] = 0


class Lease(Struct):
    """A lease; `ttl` is what is left of it, -1 when it is over."""

    id: Annotated[int, N(2)] = 0
    ttl: Annotated[int, N(3)] = 0


class LeaseTimeToLiveRequest(Struct):
    """Which lease."""

    id: Annotated[int, N(1)] = 0


class Empty(Struct):
    """Nothing to say."""


class Status(Struct):
    """How a member is."""

    header: Annotated[Header, N(1)] = field(default_factory=Header)
    version: Annotated[str, N(2)] = ""
    db_size: Annotated[int, N(3)] = 0
    leader: Annotated[int, N(4, "uint64")] = 0
    raft_index: Annotated[int, N(5, "uint64")] = 0
    raft_term: Annotated[int, N(6, "uint64")] = 0
    errors: Annotated[list[str], N(8)] = field(default_factory=list)
    db_size_in_use: Annotated[int, N(9)] = 0


class SnapshotResponse(Struct):
    """A part of a snapshot."""

    blob: Annotated[bytes, N(3)] = b""


class Method(NamedTuple):
    """A call of etcd's."""

    path: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


def _method(path: str, request: type, answer: type) -> Method:
    return Method(f"/etcdserverpb.{path}", Codec(request).encode, Codec(answer).decode)


RANGE = _method("KV/Range", RangeRequest, RangeResponse)
TXN = _method("KV/Txn", TxnRequest, TxnResponse)
SWAP = TXN._replace(encode=bytes)
"""A TXN whose request is encoded already; see `swap`."""
COMPACT = _method("KV/Compact", CompactionRequest, Answered)
WATCH = _method("Watch/Watch", WatchRequest, WatchResponse)
LEASE_GRANT = _method("Lease/LeaseGrant", LeaseGrantRequest, Lease)
LEASE_TIME_TO_LIVE = _method("Lease/LeaseTimeToLive", LeaseTimeToLiveRequest, Lease)
STATUS = _method("Maintenance/Status", Empty, Status)
SNAPSHOT = _method("Maintenance/Snapshot", Empty, SnapshotResponse)
