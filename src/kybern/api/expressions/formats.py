"""`format.dns1123Label().validate(...)` and its siblings.

In:   texts.
Out:  `FUNCTIONS`, a table of overloads.
By:   libraries. Facts: upstream's `apiserver/pkg/cel/library/format.go`.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from typing import TYPE_CHECKING

from kybern.api import names
from kybern.lib.cel.declarations import Overload
from kybern.lib.cel.values import NONE, EvalError, Optional

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Check = Callable[[str], Sequence[str]]

TYPE = "kubernetes.NamedFormat"
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.I)


class Format:
    """A named rule for texts."""

    TYPE = TYPE
    __slots__ = ("check", "name")

    def __init__(self, name: str, check: Check) -> None:
        self.name = name
        self.check = check


def _prefix(check: Check) -> Check:
    return lambda text: check(names.mask_trailing_dash(text))


def _uri(text: str) -> Sequence[str]:
    from kybern.api.expressions import urls

    try:
        urls.FUNCTIONS["url"][0].call(text)  # type: ignore[misc]  # it has one
    except EvalError as error:
        return (str(error).removeprefix("URL parse error during conversion from string: "),)
    return ()


def _uuid(text: str) -> Sequence[str]:
    return () if _UUID.fullmatch(text) else ("does not match the UUID format",)


def _byte(text: str) -> Sequence[str]:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return ("invalid base64",)
    return ()


def _date(text: str) -> Sequence[str]:
    try:
        datetime.datetime.strptime(text, "%Y-%m-%d")  # noqa: DTZ007  # a date has no zone
    except ValueError:
        return ("invalid date",)
    return () if len(text) == 10 else ("invalid date",)


def _datetime(text: str) -> Sequence[str]:
    from kybern.lib.cel import times

    try:
        times.parse(text.upper())
    except EvalError:
        return ("invalid datetime",)
    return ()


CHECKS: dict[str, Check] = {
    "dns1123Label": names.dns1123_label,
    "dns1123Subdomain": names.dns1123_subdomain,
    "dns1035Label": names.dns1035_label,
    "qualifiedName": names.qualified_name,
    "dns1123LabelPrefix": _prefix(names.dns1123_label),
    "dns1123SubdomainPrefix": _prefix(names.dns1123_subdomain),
    "dns1035LabelPrefix": _prefix(names.dns1035_label),
    "labelValue": names.label_value,
    "uri": _uri,
    "uuid": _uuid,
    "byte": _byte,
    "date": _date,
    "datetime": _datetime,
}
FORMATS = {name: Format(name, check) for name, check in CHECKS.items()}


def _named(name: str) -> Optional:
    found = FORMATS.get(name)
    return NONE if found is None else Optional(found)


def _validate(form: Format, text: str) -> Optional:
    problems = form.check(text)
    return Optional(list(problems)) if problems else NONE


def _constant(form: Format) -> Callable[[], Format]:
    return lambda: form


FUNCTIONS: dict[str, tuple[Overload, ...]] = {
    "format.named": (Overload(f"string -> optional({TYPE})", _named),),
    "validate": (
        Overload(f"{TYPE}, string -> optional(list(string))", _validate, member=True),
    ),
    **{
        f"format.{name}": (Overload(f"-> {TYPE}", _constant(form)),)
        for name, form in FORMATS.items()
    },
}  # fmt: skip
