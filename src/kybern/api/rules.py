"""The rules of one kind, as the tables of `validation` hold them.

In:   functions from objects to problems.
Out:  `Rules`, and the plain ones for kinds of which only the metadata is checked.
By:   `api.*.validation`, `api.validation`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kybern.api import names
from kybern.api.meta.validation import UNKNOWN_FINALIZER, check_meta, check_meta_update

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.field_path import Problem
    from kybern.api.meta.validation import NameRule

    Create = Callable[[Any], list[Problem]]
    Update = Callable[[Any, Any], list[Problem]]
    Check = Callable[[Any, list[Problem]], None]


@dataclass(frozen=True, slots=True)
class Rules:
    """How objects of a kind are judged.

    Attributes:
        create: an object about to be created, defaults filled in and named.
        update: a new and an old object, both whole.
        status: the same for the status subresource; None where the kind has none or anything goes
            but what `update_metadata` refuses.
    """

    create: Create
    update: Update
    status: Update | None = None


def update_metadata(new: Any, old: Any) -> list[Problem]:
    """An update of which only the metadata is checked."""
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    return out


def rules(
    check: Check | None = None,
    *,
    namespaced: bool = True,
    name: NameRule = names.dns1123_subdomain,
    change: Callable[[Any, Any, list[Problem]], None] | None = None,
    status: Update | None = None,
    any_finalizer: bool = False,
) -> Rules:
    """Rules in the usual shape: metadata, then the object, then what may not change.

    Args:
        check: what an object must be, at creation and after every update.
        namespaced: whether objects live in a namespace.
        name: what they may be called.
        change: what an update may not do, beyond what metadata forbids.
        status: the check of a new status.
        any_finalizer: whether one without a domain may be anything, as it is with kinds that
            upstream judges outside its core.
    """

    def judged(out: list[Problem]) -> list[Problem]:
        return [each for each in out if each.detail != UNKNOWN_FINALIZER] if any_finalizer else out

    def create(obj: Any) -> list[Problem]:
        out: list[Problem] = []
        check_meta(obj.metadata, out, namespaced=namespaced, rule=name)
        if check is not None:
            check(obj, out)
        return judged(out)

    def update(new: Any, old: Any) -> list[Problem]:
        out: list[Problem] = []
        check_meta_update(new.metadata, old.metadata, out)
        if check is not None:
            check(new, out)
        if change is not None:
            change(new, old, out)
        return judged(out)

    def update_status(new: Any, old: Any) -> list[Problem]:
        return judged((status or update_metadata)(new, old))

    return Rules(create, update, update_status if any_finalizer else status or update_metadata)
