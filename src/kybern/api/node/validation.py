"""What RuntimeClasses must be.

In:   a RuntimeClass; for updates also the old one.
Out:  problems; the table `VALIDATORS`.
By:   `api.validation`. Facts: upstream's `pkg/apis/node/validation/validation.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api import names
from kybern.api.core.validation.placement import check_tolerations
from kybern.api.core.validation.pod_spec import check_overhead
from kybern.api.field_path import Path, Problem, all_invalid, duplicate
from kybern.api.meta.validation import check_immutable, check_labels
from kybern.api.rules import Rules, rules

if TYPE_CHECKING:
    from kybern.api.node.v1 import RuntimeClass


def check_runtime_class(obj: RuntimeClass, out: list[Problem]) -> None:
    """A way to run containers, what it costs and where it is found."""
    if messages := names.dns1123_label(obj.handler):
        out += all_invalid(Path("handler"), obj.handler, messages)
    if obj.overhead is not None and obj.overhead.podFixed:
        check_overhead(obj.overhead.podFixed, Path("overhead"), out)
    if obj.scheduling is None:
        return
    place = Path("scheduling")
    if obj.scheduling.nodeSelector:
        check_labels(obj.scheduling.nodeSelector, place, "nodeSelector", out)
    tolerations = obj.scheduling.tolerations or []
    check_tolerations(tolerations, place / "tolerations", out)
    for index, toleration in enumerate(tolerations):
        if toleration in tolerations[:index]:
            out.append(duplicate((place / "tolerations")[index], toleration))


def check_runtime_class_change(new: RuntimeClass, old: RuntimeClass, out: list[Problem]) -> None:
    """Pods run with the handler they were made for."""
    check_immutable(new.handler, old.handler, Path("handler"), out)


VALIDATORS: Final[dict[str, Rules]] = {
    "RuntimeClass": rules(check_runtime_class, namespaced=False, change=check_runtime_class_change),
}
