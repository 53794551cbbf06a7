"""The functions that Kubernetes adds to CEL.

In:   the libraries of this package and the extensions of cel-go that upstream turns on.
Out:  `FUNCTIONS`, made once; `STRUCTS_OF_TYPES`, names that are types.
By:   the environments. Facts: upstream's `apiserver/pkg/cel/environment/base.go`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from kybern.api.expressions import (
    authorizer,
    formats,
    images,
    json_patches,
    lists,
    networks,
    quantities,
    regexes,
    semvers,
    urls,
)
from kybern.lib.cel import optionals, sets, text
from kybern.lib.cel.environment import functions

if TYPE_CHECKING:
    from kybern.lib.cel.declarations import Function

LIBRARIES = (
    text.FUNCTIONS, optionals.FUNCTIONS, sets.FUNCTIONS, lists.FUNCTIONS, regexes.FUNCTIONS,
    urls.FUNCTIONS, quantities.FUNCTIONS, networks.FUNCTIONS, formats.FUNCTIONS, semvers.FUNCTIONS,
    authorizer.FUNCTIONS, json_patches.FUNCTIONS, images.FUNCTIONS,
)  # fmt: skip


@functools.cache
def known() -> dict[str, Function]:
    """Return all functions."""
    return functions(*LIBRARIES)
