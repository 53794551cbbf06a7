"""Namespaces.

In:   a Namespace; for updates also the old one.
Out:  problems.
By:   `core.validation.all`; the finalize subresource.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import names
from kybern.api.field_path import Problem, all_invalid, invalid
from kybern.api.meta.validation import (
    SPEC,
    STATUS,
    check_finalizer_is_known,
    check_meta,
    check_meta_update,
)

if TYPE_CHECKING:
    from kybern.api.core.v1 import Namespace


def validate_namespace(obj: Namespace) -> list[Problem]:
    """A namespace about to be created."""
    out: list[Problem] = []
    check_meta(obj.metadata, out, namespaced=False, rule=names.dns1123_label)
    _check_finalizers(obj, out)
    return out


def _check_finalizers(obj: Namespace, out: list[Problem]) -> None:
    for index, finalizer in enumerate(obj.spec.finalizers or ()):
        place = (SPEC / "finalizers")[index]
        if messages := names.qualified_name(finalizer):
            out += all_invalid(place, finalizer, messages)
        check_finalizer_is_known(finalizer, place, out)


def validate_namespace_status_update(new: Namespace, old: Namespace) -> list[Problem]:
    """The phase follows the deletion."""
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    phase = new.status.phase or ""
    if new.metadata.deletionTimestamp is None:
        if phase != "Active":
            told = "may only be 'Active' if `deletionTimestamp` is empty"
            out.append(invalid(STATUS / "Phase", phase, told))
    elif phase != "Terminating":
        told = "may only be 'Terminating' if `deletionTimestamp` is not empty"
        out.append(invalid(STATUS / "Phase", phase, told))
    return out


def validate_finalize_update(new: Namespace, old: Namespace) -> list[Problem]:
    """New finalizers, through the finalize subresource."""
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    _check_finalizers(new, out)
    return out
