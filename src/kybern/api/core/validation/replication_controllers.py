"""ReplicationControllers.

In:   a ReplicationController; for updates also the old one.
Out:  problems appended to the list given, or returned.
By:   `core.validation.all`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.core.validation.replicas import check_replica_counts
from kybern.api.core.validation.templates import check_selected
from kybern.api.field_path import Problem, required
from kybern.api.meta.validation import SPEC, check_meta_update, check_not_negative
from kybern.api.selectors import from_map

if TYPE_CHECKING:
    from kybern.api.core.v1 import ReplicationController


def check_replication_controller(obj: ReplicationController, out: list[Problem]) -> None:
    """So many pods of a template."""
    spec = obj.spec
    check_not_negative(spec.minReadySeconds, SPEC, "minReadySeconds", out)
    if not spec.selector:
        out.append(required(SPEC / "selector"))
    check_not_negative(spec.replicas, SPEC, "replicas", out)
    selector = from_map(spec.selector)
    check_selected(spec.template, selector, "ReplicationController", SPEC / "template", out)


def validate_replication_controller_status_update(
    new: ReplicationController, old: ReplicationController
) -> list[Problem]:
    """New counts."""
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    check_replica_counts(new.status, out)
    return out
