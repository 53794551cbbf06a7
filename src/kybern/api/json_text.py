"""JSON as Kubernetes reads it.

In:   the bytes of a body.
Out:  bytes that every reader here takes; or a tree whose objects keep their keys in order.
By:   the codec, where its fast path does not do, and the readers of patches.

Go puts U+FFFD for whatever is not UTF-8 and for half a surrogate pair. Python's reader lets such
halves through, and NaN, which no writer can write again.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, NoReturn

from kybern.api import bounds

if TYPE_CHECKING:
    from collections.abc import Callable

_ESCAPE = re.compile(
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"  # a pair
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"  # half of one
    rb"|(\\.)",
    re.DOTALL,
)


def well_formed(data: bytes) -> bytes:
    """Return the text without bytes that are not UTF-8 and without halves of pairs."""
    if b"\\ud" in data or b"\\uD" in data:
        data = _ESCAPE.sub(lambda m: m[1] or m[2] or rb"\ufffd", data)
    try:
        data.decode()
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace").encode()
    return data


def load(data: bytes, pairs: Callable[[list[tuple[str, Any]]], Any]) -> Any:
    """Return the tree; `pairs` makes an object of its keys and values, in order.

    Raises:
        ValueError: not JSON, or nested too deeply.
    """
    if bounds.too_deep(data):
        raise bounds.Excess(bounds.TOO_DEEP)
    return json.loads(
        well_formed(data), object_pairs_hook=pairs, parse_constant=_refuse, parse_float=_finite
    )


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"json: cannot unmarshal number {text} into Go value of type float64")
    return number


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"invalid character {name[:1]!r} looking for beginning of value")
