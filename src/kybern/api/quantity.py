"""Quantities: `500m`, `1Gi`, `1e3`; exact, and written the one way upstream writes them.

In:   the text of a quantity, as API objects hold it.
Out:  exact integers (in billionths, thousandths or wholes), comparisons, sums, canonical text.
By:   the codec (canonical text), defaults, validation, the scheduler, the kubelet, quotas.

Everything is an integer number of billionths: `n` is the smallest suffix, finer fractions round
away from zero. Parsing is cached by text, for a cluster uses few different quantities.
"""

from __future__ import annotations

import enum
import re
from functools import lru_cache, total_ordering
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

NANO: Final = 1_000_000_000
MICRO: Final = 1_000_000
LARGEST: Final = (2**63 - 1) * NANO

WRONG_FORMAT: Final = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)
WRONG_SUFFIX: Final = "unable to parse quantity's suffix"
WRONG_NUMBER: Final = "unable to parse numeric part of quantity"


class Format(enum.Enum):
    """The family of suffixes a quantity was written in; sums and canonical text keep it."""

    DECIMAL = "DecimalSI"
    BINARY = "BinarySI"
    EXPONENT = "DecimalExponent"


BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
DECIMAL: Final = {
    "n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18,
}  # fmt: skip
DECIMAL_SUFFIX: Final = {exponent: suffix for suffix, exponent in DECIMAL.items()}
BINARY_SUFFIX: Final = {exponent: suffix for suffix, exponent in BINARY.items()}

_parts = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)").fullmatch
_exponent = re.compile(r"[eE]([-+]?[0-9]+)").fullmatch


@total_ordering
class Quantity:
    """An exact amount, and how it likes to be written. Compares by amount alone."""

    __slots__ = ("format", "nanos")

    def __init__(self, nanos: int, form: Format = Format.DECIMAL) -> None:
        self.nanos = nanos
        self.format = form

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.nanos == other.nanos

    def __lt__(self, other: Quantity) -> bool:
        return self.nanos < other.nanos

    def __hash__(self) -> int:
        return hash(self.nanos)

    def __bool__(self) -> bool:
        return self.nanos != 0

    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.nanos + other.nanos, self.format if self.nanos else other.format)

    def __sub__(self, other: Quantity) -> Quantity:
        return Quantity(self.nanos - other.nanos, self.format if self.nanos else other.format)

    def __neg__(self) -> Quantity:
        return Quantity(-self.nanos, self.format)

    @property
    def value(self) -> int:
        """In wholes, rounded away from zero."""
        return _scale_down(self.nanos, NANO)

    @property
    def milli(self) -> int:
        """In thousandths, rounded away from zero."""
        return _scale_down(self.nanos, MICRO)

    def rounded_to_milli(self) -> Quantity:
        """The same, with nothing finer than thousandths: so every resource list is stored."""
        return Quantity(self.milli * MICRO, self.format)

    def __str__(self) -> str:
        if not self.nanos:
            return "0"
        if self.format is Format.BINARY:
            whole, rest = divmod(self.nanos, NANO)
            # Small and fractional amounts read better, and stay exact, as decimals.
            if not rest and not -1024 < whole < 1024:
                return _in_binary(whole)
        return _in_decimal(self.nanos, self.format)

    def __repr__(self) -> str:
        return f"Quantity({str(self)!r})"


ZERO: Final = Quantity(0)


def _scale_down(nanos: int, unit: int) -> int:
    return -(-nanos // unit) if nanos >= 0 else nanos // unit


def _in_binary(whole: int) -> str:
    exponent = 0
    while exponent < 60 and whole % 1024 == 0:
        whole //= 1024
        exponent += 10
    return f"{whole}{BINARY_SUFFIX[exponent] if exponent else ''}"


def _in_decimal(nanos: int, form: Format) -> str:
    exponent = -9
    while nanos % 1000 == 0 and (form is Format.EXPONENT or exponent < 18):
        nanos //= 1000
        exponent += 3
    if form is Format.EXPONENT:
        return f"{nanos}e{exponent}" if exponent else str(nanos)
    return f"{nanos}{DECIMAL_SUFFIX[exponent]}"


@lru_cache(16384)
def parse(text: str) -> Quantity:
    """The amount in the text.

    Raises:
        ValueError: with upstream's sentence, when it is not a quantity.
    """
    parts = _parts(text) if text else None
    if parts is None:
        raise ValueError(WRONG_FORMAT)
    sign, whole, fraction, suffix = parts.groups()
    base, exponent, form = _interpret(suffix)
    if not whole and not fraction:
        raise ValueError(WRONG_NUMBER)
    digits = int(f"{whole}{fraction or ''}")
    nanos = _nanos(digits, len(fraction or ""), base, exponent)
    nanos = min(nanos, LARGEST)
    return Quantity(-nanos if sign == "-" else nanos, form)


def _interpret(suffix: str) -> tuple[int, int, Format]:
    if suffix in DECIMAL:
        return 10, DECIMAL[suffix], Format.DECIMAL
    if suffix in BINARY:
        return 2, BINARY[suffix], Format.BINARY
    written = _exponent(suffix)
    if written is None:
        raise ValueError(WRONG_SUFFIX)
    return 10, int(written[1]), Format.EXPONENT


def _nanos(digits: int, places: int, base: int, exponent: int) -> int:
    if not digits:
        return 0
    if base == 2:
        return _scale_down((digits * NANO) << exponent, _power_of_ten(places))
    power = exponent + 9 - places
    if power >= 0:
        # Anything this large is capped anyway; do not compute a number of a million digits.
        return digits * _power_of_ten(min(power, 40))
    return _scale_down(digits, _power_of_ten(min(-power, len(str(digits)) + 1)))


def _power_of_ten(exponent: int) -> int:
    return int(10**exponent)


@lru_cache(16384)
def canonical(text: str) -> str:
    """The one way to write it: `1000m` is `1`, `1024Mi` is `1Gi`, `0.5` is `500m`."""
    return str(parse(text))


@lru_cache(16384)
def canonical_resource(text: str) -> str:
    """As `canonical`, rounded up to thousandths: what a resource list holds."""
    return str(parse(text).rounded_to_milli())


@lru_cache(16384)
def to_milli(text: str) -> int:
    """In thousandths, rounded up."""
    return parse(text).milli


@lru_cache(16384)
def to_value(text: str) -> int:
    """In wholes, rounded up."""
    return parse(text).value


def compare(left: str, right: str) -> int:
    """Negative, zero or positive, as `left` is less than, equal to or more than `right`."""
    return parse(left).nanos - parse(right).nanos


def add(left: str, right: str) -> str:
    """The sum, written in the family of the first that is not zero."""
    return str(parse(left) + parse(right))


def subtract(left: str, right: str) -> str:
    """The difference, written in the family of the first that is not zero."""
    return str(parse(left) - parse(right))


def total(texts: Iterable[str]) -> Quantity:
    """The sum of all."""
    result = ZERO
    for text in texts:
        result += parse(text)
    return result


def from_milli(milli: int, form: Format = Format.DECIMAL) -> str:
    """The text of so many thousandths."""
    return str(Quantity(milli * MICRO, form))


def from_value(value: int, form: Format = Format.DECIMAL) -> str:
    """The text of so many wholes."""
    return str(Quantity(value * NANO, form))
