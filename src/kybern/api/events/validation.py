"""What Events must be, as events.k8s.io asks; core's own rules are `api.core`'s.

In:   an Event of events.k8s.io; for updates also the old one.
Out:  problems; the table `VALIDATORS`.
By:   `api.validation`. Facts: upstream's `pkg/apis/core/validation/events.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api import names
from kybern.api.field_path import Path, Problem, all_invalid, invalid, required
from kybern.api.meta.validation import check_immutable
from kybern.api.rules import Rules, rules

if TYPE_CHECKING:
    from kybern.api.events.v1 import Event

INSTANCE_MAX: Final = 128
ACTION_MAX: Final = 128
REASON_MAX: Final = 128
NOTE_MAX: Final = 1024
TYPES: Final = ("Normal", "Warning")
FIXED: Final = (
    "regarding", "reason", "action", "eventTime", "reportingController", "reportingInstance",
    "type", "note", "related", "deprecatedSource", "deprecatedFirstTimestamp",
)  # fmt: skip


def check_event(obj: Event, out: list[Problem]) -> None:
    """Who reports what about which object."""
    if not obj.eventTime:
        out.append(required(Path("eventTime")))
        return
    controller = obj.reportingController or ""
    if not controller:
        out.append(required(Path("reportingController")))
    elif messages := names.qualified_name(controller):
        out += all_invalid(Path("reportingController"), controller, messages)
    for field, shown, limit in (
        ("reportingInstance", "reportingInstance", INSTANCE_MAX),
        ("action", "action", ACTION_MAX),
        ("reason", "reason", REASON_MAX),
    ):
        text = getattr(obj, field) or ""
        if not text:
            out.append(required(Path(shown)))
        elif names.size(text) > limit:
            out.append(invalid(Path(shown), "", f"can have at most {limit} characters"))
    if names.size(obj.note or "") > NOTE_MAX:
        out.append(invalid(Path("message"), "", f"can have at most {NOTE_MAX} characters"))
    if obj.type not in TYPES:
        told = "has invalid value: " + (obj.type or "")
        out.append(invalid(Path("type"), "", told))
    if obj.series is not None and obj.series.count < 2:
        out.append(invalid(Path("series.count"), "", "should be at least 2"))


def check_event_change(new: Event, old: Event, out: list[Problem]) -> None:
    """Only the series grows."""
    for field in FIXED:
        check_immutable(getattr(new, field), getattr(old, field), Path(field), out)


VALIDATORS: Final[dict[str, Rules]] = {"Event": rules(check_event, change=check_event_change)}
