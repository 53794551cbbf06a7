"""Where in an object something is wrong, and what.

In:   a `Path` into the object, the bad value and a sentence about it.
Out:  `Problem`s, whose text and cause are those of upstream's field errors.
By:   everything that validates: `api.validation`, admission plugins, custom resources.

Validators return lists of problems and never raise; `api.errors.Invalid` turns such a list into
the Status a client sees. A Path costs two pointers until somebody prints it, because almost every
object is valid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kybern.api import bad_value

if TYPE_CHECKING:
    from collections.abc import Iterable

NOT_FOUND: Final = "FieldValueNotFound"
REQUIRED: Final = "FieldValueRequired"
DUPLICATE: Final = "FieldValueDuplicate"
INVALID: Final = "FieldValueInvalid"
NOT_SUPPORTED: Final = "FieldValueNotSupported"
FORBIDDEN: Final = "FieldValueForbidden"
TOO_LONG: Final = "FieldValueTooLong"
TOO_MANY: Final = "FieldValueTooMany"
INTERNAL: Final = "InternalError"
TYPE_INVALID: Final = "FieldValueTypeInvalid"

TITLES: Final = {
    NOT_FOUND: "Not found",
    REQUIRED: "Required value",
    DUPLICATE: "Duplicate value",
    INVALID: "Invalid value",
    NOT_SUPPORTED: "Unsupported value",
    FORBIDDEN: "Forbidden",
    TOO_LONG: "Too long",
    TOO_MANY: "Too many",
    INTERNAL: "Internal error",
    TYPE_INVALID: "Invalid value",
}

# These say what is wrong without repeating the value.
WITHOUT_VALUE: Final = frozenset({REQUIRED, FORBIDDEN, TOO_LONG, INTERNAL})

IMMUTABLE: Final = "field is immutable"


class Path:
    """A place in an object: `Path("spec") / "containers"` and then `[0]` for an item or a key."""

    __slots__ = ("parent", "part")

    def __init__(self, part: str | int, parent: Path | None = None) -> None:
        self.part = part
        self.parent = parent

    def __truediv__(self, name: str) -> Path:
        """The field `name` of this place."""
        return Path(name, self)

    def __getitem__(self, key: int | str) -> Path:
        """One item of the list, or one key of the map, at this place."""
        return Path(key if isinstance(key, int) else f"[{key}]", self)

    def __str__(self) -> str:
        parts: list[str] = []
        place: Path | None = self
        while place is not None:
            part = place.part
            if isinstance(part, int):
                parts.append(f"[{part}]")
            elif place.parent is None or part.startswith("["):
                parts.append(part)
            else:
                parts.append(f".{part}")
            place = place.parent
        return "".join(reversed(parts))

    def __repr__(self) -> str:
        return f"Path({str(self)!r})"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one field.

    Attributes:
        type: one of the constants above; clients see it as the cause's reason.
        field: the place as text, such as `spec.containers[0].image`.
        bad_value: what was found there; `OMITTED` when it must not be printed.
        detail: a sentence, or "".
    """

    type: str
    field: str
    bad_value: Any
    detail: str = ""

    def body(self) -> str:
        """The text without the field's name."""
        text = TITLES[self.type]
        if self.type not in WITHOUT_VALUE and self.bad_value is not OMITTED:
            text = f"{text}: {bad_value.render(self.bad_value)}"
        return f"{text}: {self.detail}" if self.detail else text

    def cause(self) -> dict[str, str]:
        """This problem as an entry of `status.details.causes`."""
        return {"reason": self.type, "message": self.body(), "field": self.field}

    def __str__(self) -> str:
        return f"{self.field}: {self.body()}"


class _Omitted:
    """The type of `OMITTED`."""

    def __repr__(self) -> str:
        return "OMITTED"


OMITTED: Final = _Omitted()


def _place(path: Path | None) -> str:
    return "<nil>" if path is None else str(path)


def required(path: Path | None, detail: str = "") -> Problem:
    """A value that must be given is missing, empty or null."""
    return Problem(REQUIRED, _place(path), "", detail)


def invalid(path: Path | None, value: Any, detail: str) -> Problem:
    """A value is malformed or out of bounds."""
    return Problem(INVALID, _place(path), value, detail)


def all_invalid(path: Path | None, value: Any, messages: Iterable[str]) -> list[Problem]:
    """One `invalid` for each of the messages that a rule of `api.names` returned."""
    return [Problem(INVALID, _place(path), value, message) for message in messages]


def type_invalid(path: Path | None, value: Any, detail: str) -> Problem:
    """A value is not of the type the schema asks for."""
    return Problem(TYPE_INVALID, _place(path), value, detail)


def not_supported(path: Path | None, value: Any, supported: Iterable[str] = ()) -> Problem:
    """A value is not one of the enumerated ones; they are named in the order given."""
    known = ", ".join(bad_value.quote(each) for each in supported)
    detail = f"supported values: {known}" if known else ""
    return Problem(NOT_SUPPORTED, _place(path), value, detail)


def duplicate(path: Path | None, value: Any) -> Problem:
    """A value that must be unique was seen before."""
    return Problem(DUPLICATE, _place(path), value)


def not_found(path: Path | None, value: Any) -> Problem:
    """A value names something that is not there."""
    return Problem(NOT_FOUND, _place(path), value)


def forbidden(path: Path | None, detail: str) -> Problem:
    """A value that is well formed, but not allowed here."""
    return Problem(FORBIDDEN, _place(path), "", detail)


def immutable(path: Path | None, value: Any) -> Problem:
    """A value was changed that is set once and for all."""
    return Problem(INVALID, _place(path), value, IMMUTABLE)


def too_long(path: Path | None, limit: int) -> Problem:
    """A value has more bytes than `limit`; the value itself is not repeated."""
    if limit < 0:
        return Problem(TOO_LONG, _place(path), OMITTED, "value is too long")
    unit = "byte" if limit == 1 else "bytes"
    return Problem(TOO_LONG, _place(path), OMITTED, f"may not be more than {limit} {unit}")


def too_many(path: Path | None, actual: int, limit: int) -> Problem:
    """A list has more items than `limit`; a negative `actual` is not printed."""
    unit = "item" if limit == 1 else "items"
    detail = f"must have at most {limit} {unit}" if limit >= 0 else "has too many items"
    return Problem(TOO_MANY, _place(path), actual if actual >= 0 else OMITTED, detail)


def internal(path: Path | None, error: str) -> Problem:
    """Something failed that has nothing to do with what the user sent."""
    return Problem(INTERNAL, _place(path), None, error)


def summary(problems: Iterable[Problem]) -> str:
    """Several problems as one sentence, each text once: `a`, or `[a, b]`."""
    texts = list(dict.fromkeys(str(problem) for problem in problems))
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
