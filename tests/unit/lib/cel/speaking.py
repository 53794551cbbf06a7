"""An environment with everything the language has, and short ways to use it."""

from __future__ import annotations

from typing import Any

from kybern.lib.cel import optionals, sets, text
from kybern.lib.cel import types as ty
from kybern.lib.cel.environment import Environment, functions
from kybern.lib.cel.types import object_type

LIMIT = 1_000_000
POINT = object_type("Point", {"x": ty.INT, "name": ty.STRING, "tags": ty.list_of(ty.STRING)})
VARIABLES = {
    "d": ty.DYN, "n": ty.INT, "u": ty.UINT, "s": ty.STRING, "names": ty.list_of(ty.STRING),
    "labels": ty.map_of(ty.STRING, ty.STRING), "point": POINT,
}  # fmt: skip
ENVIRONMENT = Environment(VARIABLES, functions(text.FUNCTIONS, optionals.FUNCTIONS, sets.FUNCTIONS))


def evaluated(text: str, **values: Any) -> tuple[Any, int]:
    """Return the value of an expression and what it cost."""
    program = ENVIRONMENT.compile(text)
    return program.evaluate({**dict.fromkeys(VARIABLES), **values}, LIMIT)


def value(text: str, **values: Any) -> Any:
    """Return the value of an expression."""
    return evaluated(text, **values)[0]
