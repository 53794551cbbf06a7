"""What functions there are: their overloads, and how the right one is found at run time.

In:   lines such as `Overload("string.split(string)", "string, string -> list(string)", fn)`.
Out:  `Function`, looked up by name in an Environment.
By:   the libraries; checker, compiler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.lib.cel.types import Type, types
from kybern.lib.cel.values import Duration, EvalError, Optional, Timestamp, TypeValue, UInt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Cost = Callable[..., int]

CLASSES: dict[str, tuple[type, ...]] = {
    "null": (type(None),), "bool": (bool,), "int": (int,), "uint": (UInt,), "double": (float,),
    "string": (str,), "bytes": (bytes,), "list": (list,), "map": (dict,),
    "timestamp": (Timestamp,), "duration": (Duration,), "optional_type": (Optional,),
    "type": (TypeValue,),
}  # fmt: skip


class Overload:
    """One way to call a function.

    Attributes:
        member: whether it is called as `target.function(...)`; the target is the first parameter.
        call: what it does, with values of the types of the parameters.
        cost: what it costs beyond 1, of the same arguments and the result.
    """

    __slots__ = ("call", "cost", "member", "params", "result")

    def __init__(
        self,
        signature: str,
        call: Callable[..., Any] | None = None,
        *,
        member: bool = False,
        cost: Cost | None = None,
    ) -> None:
        params, _, result = signature.partition("->")
        self.params: tuple[Type, ...] = types(params.strip())
        (self.result,) = types(result.strip())
        self.call = call
        self.member = member
        self.cost = cost

    def accepts(self, classes: tuple[type, ...], member: bool) -> bool:
        """Return whether values of these classes can be its arguments."""
        if member is not self.member or len(classes) != len(self.params):
            return False
        return all(map(_takes, self.params, classes))


def _takes(param: Type, given: type) -> bool:
    if param.is_param or param.name == "dyn":
        return True
    known = CLASSES.get(param.name)
    if known is None:
        return getattr(given, "TYPE", None) == param.name
    return given in known or (param.name == "map" and issubclass(given, dict))


class Function:
    """A function: its overloads, in order."""

    __slots__ = ("_found", "name", "overloads")

    def __init__(self, name: str, overloads: Iterable[Overload]) -> None:
        self.name = name
        self.overloads = tuple(overloads)
        self._found: dict[tuple[bool, tuple[type, ...]], Overload] = {}

    def find(self, args: tuple[Any, ...], member: bool) -> Overload:
        """Return the overload for these values.

        Raises:
            EvalError: there is none.
        """
        classes = tuple(map(type, args))
        key = (member, classes)
        found = self._found.get(key)
        if found is None:
            for each in self.overloads:
                if each.call is not None and each.accepts(classes, member):
                    found = self._found[key] = each
                    break
            else:
                raise EvalError("no such overload")
        return found


def merged(*libraries: dict[str, tuple[Overload, ...]]) -> dict[str, Function]:
    """Return the functions of all libraries; overloads of the same name add up."""
    found: dict[str, list[Overload]] = {}
    for library in libraries:
        for name, overloads in library.items():
            found.setdefault(name, []).extend(overloads)
    return {name: Function(name, overloads) for name, overloads in found.items()}
