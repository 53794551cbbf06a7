"""Events of the core group.

In:   an Event.
Out:  problems appended to the list given.
By:   `core.validation.all`. Facts: upstream's `pkg/apis/core/validation/events.go`.

Old events have no eventTime and are only asked where they belong; events.k8s.io asks for more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api import names
from kybern.api.field_path import Path, Problem, all_invalid, invalid, required

if TYPE_CHECKING:
    from kybern.api.core.v1 import Event

MAX: Final = 128
NOTE_MAX: Final = 1024
# Where events about objects without a namespace may be.
HOMES: Final = ("", "default", "kube-system")


def any_name(_name: str) -> tuple[str, ...]:
    """Events may be called anything."""
    return ()


def check_event(obj: Event, out: list[Problem]) -> None:
    """It lies in the namespace of what it is about."""
    namespace = obj.metadata.namespace or ""
    about = obj.involvedObject.namespace or ""
    if namespace not in HOMES if not about else namespace != about:
        place = Path("involvedObject") / "namespace"
        out.append(invalid(place, about, "does not match event.namespace"))
    if obj.eventTime:
        _check_new_style(obj, out)


def _check_new_style(obj: Event, out: list[Problem]) -> None:
    controller = obj.reportingComponent or ""
    if not controller:
        out.append(required(Path("reportingComponent")))
    elif messages := names.qualified_name(controller):
        out += all_invalid(Path("reportingComponent"), controller, messages)
    for field in ("reportingInstance", "action", "reason"):
        text = getattr(obj, field) or ""
        if not text:
            out.append(required(Path(field)))
        elif names.size(text) > MAX:
            out.append(invalid(Path(field), "", f"can have at most {MAX} characters"))
    if names.size(obj.message or "") > NOTE_MAX:
        out.append(invalid(Path("message"), "", f"can have at most {NOTE_MAX} characters"))
