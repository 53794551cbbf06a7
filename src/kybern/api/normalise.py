"""Bring scalars to their one spelling: quantities, times, bytes.

In:   an object that msgspec has decoded.
Out:  the same object, with `1000m` as `1` and any RFC 3339 time as UTC with whole seconds.
By:   the codec, on everything a client sends.

Visitors are compiled per Struct and skip what holds no such scalar, so that a ConfigMap costs one
look at its metadata. They change in place: what was decoded is ours.
"""

from __future__ import annotations

import base64
import datetime
import re
from typing import TYPE_CHECKING, Any

from kybern.api import quantity
from kybern.api.fields import FieldInfo, Shape, fields_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Visit = Callable[[Any], None]
    Canon = Callable[[str], str]

_SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").fullmatch
_MICROS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z").fullmatch
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)"
).fullmatch

_BASE64 = re.compile(r"[A-Za-z0-9+/]*").match


def time(text: str) -> str:
    """Return a metav1.Time as upstream writes it; ValueError when it is none."""
    return text if _SECONDS(text) else _parse(text).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_time(text: str) -> str:
    """Return a metav1.MicroTime as upstream writes it; ValueError when it is none."""
    return text if _MICROS(text) else _parse(text).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _parse(text: str) -> datetime.datetime:
    match = _RFC3339(text)
    if match is None:
        layout = "2006-01-02T15:04:05Z07:00"
        raise ValueError(f'parsing time "{text}" as "{layout}": cannot parse "{text}" as "2006"')
    *parts, fraction, zone = match.groups()
    micros = int((fraction or "0")[:6].ljust(6, "0"))
    offset = datetime.timedelta()
    if zone not in "Zz":
        sign = -1 if zone[0] == "-" else 1
        offset = sign * datetime.timedelta(hours=int(zone[1:3]), minutes=int(zone[4:]))
    try:
        year, month, day, hour, minute, second = (int(part) for part in parts)
        moment = datetime.datetime(
            year, month, day, hour, minute, second, micros, tzinfo=datetime.UTC
        )
        return moment - offset
    except (ValueError, OverflowError) as error:
        raise ValueError(f'parsing time "{text}": {error}') from None


def normalise(obj: Any) -> None:
    """Bring the scalars of an object to their canonical spelling, in place.

    Raises:
        ValueError: a quantity or time that is none; the text is upstream's.
    """
    visit = _visitor(type(obj))
    if visit is not None:
        visit(obj)


def base64_text(text: str) -> str:
    """Return the bytes of a field as Go writes them; ValueError when it could not read them."""
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode()
    except ValueError:
        pass
    if "\n" in text or "\r" in text:  # the one thing Go skips
        return base64_text(text.replace("\n", "").replace("\r", ""))
    good = _BASE64(text)
    at = good.end() if good is not None else 0
    at = at if at < len(text) and text[at] != "=" else at - at % 4
    raise ValueError(f"illegal base64 data at input byte {at}")


_CANON: dict[str, Canon] = {
    "Quantity": quantity.canonical,
    "Time": time,
    "MicroTime": micro_time,
    "bytes": base64_text,
}
_visitors: dict[type, Visit | None] = {}


def _visitor(struct: type) -> Visit | None:
    if struct in _visitors:
        return _visitors[struct]
    _visitors[struct] = None  # recursive types hold no such scalars; a test walks all kinds
    steps = [step for info in fields_of(struct).values() if (step := _step(info))]
    _visitors[struct] = _compile(steps) if steps else None
    return _visitors[struct]


_WAYS = {
    "struct": "        {act}(v)",
    "structs": "        for i in v: {act}(i)",
    "struct by key": "        for i in v.values(): {act}(i)",
    # the zero Quantity of a required field is filled in elsewhere
    "scalar": "        if v: o.{attr} = {act}(v)",
    "scalars": "        v[:] = [{act}(i) for i in v]",
    "scalar by key": "        for k in v: v[k] = {act}(v[k])",
}


def _compile(steps: list[tuple[str, Visit | Canon, str]]) -> Visit:
    """Make the function that visits a Struct: straight on, for a pod has thirty within it."""
    names: dict[str, Any] = {}
    lines = ["def visit(o):"]
    for number, (attr, act, way) in enumerate(steps):
        names[f"act{number}"] = act
        lines += [f"    v = o.{attr}", "    if v is not None:"]
        lines.append(_WAYS[way].format(act=f"act{number}", attr=attr))
    exec("\n".join(lines), names)  # noqa: S102 - our own text, of the names of our own fields
    visit: Visit = names["visit"]
    return visit


def _step(info: FieldInfo) -> tuple[str, Visit | Canon, str] | None:
    canon = _CANON.get(info.meta.wire)
    if canon is not None and info.element is None:
        way = {Shape.MAP: "scalar by key", Shape.LIST: "scalars"}.get(info.shape, "scalar")
        return info.attr, canon, way
    if info.element is None:
        return None
    inner = _visitor(info.element)
    if inner is None:
        return None
    return (
        info.attr,
        inner,
        {Shape.LIST: "structs", Shape.MAP: "struct by key"}.get(info.shape, "struct"),
    )
