"""What the macros over lists and maps do.

In:   closures for the range, the condition and the body; the slots of the variables.
Out:  a closure.
By:   compiler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.lib.cel.values import CostExceeded, EvalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Frame = list[Any]
    Eval = Callable[[Frame], Any]
    Slots = tuple[int, ...]


def _rounds(f: Frame, slots: Slots, items: Any, cost: int) -> Iterator[Any]:
    """Set the variables to one item after the other; yield its place or key."""
    limit = f[1]
    if len(slots) == 1:
        (slot,) = slots
        if type(items) is not list and not isinstance(items, dict):
            raise EvalError("no such overload")
        for item in items:
            f[0] += cost
            if f[0] > limit:
                raise CostExceeded
            f[slot] = item
            yield item
        return
    first, second = slots
    if type(items) is list:
        pairs: Any = enumerate(items)
    elif isinstance(items, dict):
        pairs = items.items()
    else:
        raise EvalError("no such overload")
    for key, item in pairs:
        f[0] += cost
        if f[0] > limit:
            raise CostExceeded
        f[first], f[second] = key, item
        yield key


def _holds(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    raise EvalError("no such overload")


def _quantifier(decisive: bool) -> Callable[..., Eval]:
    """Return `all` or `exists`: one decisive item hides what went wrong with the others."""
    neutral, overhead = not decisive, 4 if decisive else 3

    def make(
        over: Eval, slots: Slots, where: Eval, cost: int, body: Eval | None, more: int
    ) -> Eval:
        del body, more
        each = cost + overhead

        def run(f: Frame) -> bool:
            wrong: EvalError | None = None
            for _ in _rounds(f, slots, over(f), each):
                try:
                    value = where(f)
                except EvalError as error:
                    wrong = wrong or error
                    continue
                if value is decisive:
                    return not neutral
                if value is not neutral:
                    wrong = wrong or EvalError("no such overload")
            if wrong is not None:
                raise wrong
            return neutral

        return run

    return make


def _exists_one(
    over: Eval, slots: Slots, where: Eval, cost: int, body: Eval | None, more: int
) -> Eval:
    del body, more

    def run(f: Frame) -> bool:
        found = 0
        for _ in _rounds(f, slots, over(f), cost + 1):
            if _holds(where(f)):
                f[0] += 1
                found += 1
        return found == 1

    return run


def _filter(over: Eval, slots: Slots, where: Eval, cost: int, body: Eval | None, more: int) -> Eval:
    del body, more

    def run(f: Frame) -> list[Any]:
        out: list[Any] = []
        for item in _rounds(f, slots, over(f), cost + 1):
            if _holds(where(f)):
                f[0] += 12
                out.append(item)
        return out

    return run


def _map(over: Eval, slots: Slots, where: Eval | None, cost: int, body: Eval, more: int) -> Eval:
    each = more + 12

    def run(f: Frame) -> list[Any]:
        out: list[Any] = []
        for _ in _rounds(f, slots, over(f), cost):
            if where is None or _holds(where(f)):
                f[0] += each
                out.append(body(f))
        return out

    return run


def _transform_map(
    over: Eval, slots: Slots, where: Eval | None, cost: int, body: Eval, more: int
) -> Eval:
    def run(f: Frame) -> dict[Any, Any]:
        out: dict[Any, Any] = {}
        for key in _rounds(f, slots, over(f), cost):
            if where is None or _holds(where(f)):
                f[0] += more + 2
                out[key] = body(f)
        return out

    return run


def _transform_entries(
    over: Eval, slots: Slots, where: Eval | None, cost: int, body: Eval, more: int
) -> Eval:
    def run(f: Frame) -> dict[Any, Any]:
        out: dict[Any, Any] = {}
        for _ in _rounds(f, slots, over(f), cost):
            if where is None or _holds(where(f)):
                f[0] += more + 2
                made = body(f)
                if not isinstance(made, dict):
                    raise EvalError("no such overload")
                for key, value in made.items():
                    if key in out:
                        raise EvalError(f"insert failed: key {key} already exists")
                    out[key] = value
        return out

    return run


FOLDS: dict[str, Callable[..., Eval]] = {
    "all": _quantifier(decisive=False), "exists": _quantifier(decisive=True),
    "exists_one": _exists_one, "filter": _filter, "map": _map, "transformList": _map,
    "transformMap": _transform_map, "transformMapEntry": _transform_entries,
}  # fmt: skip
