"""Bodies that were looked at before, as far as pods of one template have them in common.

In:   the JSON of a request's body, which decodes.
Out:  the part of it that has not been looked at, and a memory of what was.
By:   codec, before it looks for repeated keys and for zeros that mean nothing.

What is remembered are specs in which there is neither, by their bytes. Where a known spec stands, a
zero that stands for it is not worth a look: what is left is a tenth of the body.
"""

# msgspec resolves the annotations of Structs: they are not postponed in this file.

from typing import Final

import msgspec

KEPT: Final = 256
"""How many specs are remembered; the oldest go first."""
_WORTH_IT: Final = 512  # bytes; below, looking is cheaper than remembering
_STANDS_FOR_IT: Final = b"1"


class _Body(msgspec.Struct, gc=False):
    spec: msgspec.Raw = msgspec.Raw(b"")


_body = msgspec.json.Decoder(_Body).decode
_known: dict[bytes, None] = {}


def unseen(data: bytes) -> tuple[bytes, bytes]:
    """Return what there is to look at, and what to `remember` if nothing is found.

    The latter is empty when there is nothing to remember: the spec is known, or too small.
    """
    if len(data) < _WORTH_IT:
        return data, b""
    try:
        spec = bytes(_body(data).spec)
    except (msgspec.DecodeError, RecursionError):  # whatever it is, the codec has the words
        return data, b""
    if spec in _known:
        return data.replace(spec, _STANDS_FOR_IT), b""
    return data, spec if len(spec) >= _WORTH_IT else b""


def remember(spec: bytes) -> None:
    """Note a spec in which nothing was found."""
    if len(_known) >= KEPT:
        del _known[next(iter(_known))]
    _known[spec] = None
