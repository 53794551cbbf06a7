"""The one message that every write is: compare, then swap or say what is there; pure.

In:   a key, the revision it should be at, and what to make of it.
Out:  a TxnRequest, as bytes.
By:   `engine`. What `messages.TxnRequest` and its codec do as well, in a tenth of the time.
"""

from __future__ import annotations

from kybern.lib.protobuf_encode import varint

# One byte before each field: its number << 3, and 2 if a length follows, 0 if a number does.
_COMPARE, _SUCCESS, _FAILURE = b"\x0a", b"\x12", b"\x1a"  # of TxnRequest: 1, 2, 3
_TARGET_MOD = b"\x10\x02"  # of Compare: target is MOD
_COMPARE_KEY, _COMPARE_REVISION = b"\x1a", b"\x30"  # 3, 6
_RANGE, _PUT, _DELETE = b"\x0a", b"\x12", b"\x1a"  # of RequestOp: 1, 2, 3
_KEY, _VALUE, _LEASE = b"\x0a", b"\x12", b"\x18"  # of PutRequest: 1, 2, 3; keys are always 1


def swap(key: bytes, expected: int, value: bytes | None, lease: int = 0) -> bytes:
    """Return the request to write or (None) delete the key if it is at `expected`; 0: if absent.

    When it is not, the answer has what is there.
    """
    size = varint(len(key))
    compare = b"%b%b%b%b" % (_TARGET_MOD, _COMPARE_KEY, size, key)
    if expected:
        compare += _COMPARE_REVISION + varint(expected)
    target = b"%b%b%b" % (_KEY, size, key)
    if value is None:
        change = _field(_DELETE, target)
    else:
        put = target
        if value:
            put = b"%b%b%b%b" % (target, _VALUE, varint(len(value)), value)
        if lease:
            put += _LEASE + varint(lease)
        change = _field(_PUT, put)
    return (
        _field(_COMPARE, compare)
        + _field(_SUCCESS, change)
        + _field(_FAILURE, _field(_RANGE, target))
    )


def _field(tag: bytes, content: bytes) -> bytes:
    return b"%b%b%b" % (tag, varint(len(content)), content)
