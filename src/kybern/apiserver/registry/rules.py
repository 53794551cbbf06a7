"""Defaulting, validation and warnings of a kind, as the registry calls them.

In:   the tables of api.defaults, api.validation and api.warnings.
Out:  Rules; kinds those tables do not name get the checks that every object gets.
By:   registry.all, and the handlers for kinds that are not stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import defaults, names
from kybern.api.rules import rules
from kybern.api.scheme import Kind
from kybern.api.validation import VALIDATORS, update_metadata
from kybern.api.validation import rules_of as validation_of
from kybern.api.warnings import WARNINGS

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.field_path import Problem

    Default = Callable[[Any], None]
    Check = Callable[[Any], list[Problem]]
    CheckUpdate = Callable[[Any, Any], list[Problem]]
    Warn = Callable[[Any, Any | None], list[str]]

# Names of roles are part of paths and nothing else: almost anything goes.
PATH_SEGMENT = frozenset(("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"))


class Rules:
    """What a kind's objects get when they leave something out, must not say, or better do not."""

    __slots__ = ("create", "default", "status", "update", "warn")

    def __init__(
        self,
        default: Default,
        create: Check,
        update: CheckUpdate,
        status: CheckUpdate,
        warn: Warn | None = None,
    ) -> None:
        self.default = default
        self.create = create
        self.update = update
        self.status = status
        self.warn = warn


def rules_of(kind: Kind) -> Rules:
    """Return the rules of a kind."""
    if kind.kind in PATH_SEGMENT and (kind.group, kind.kind) not in VALIDATORS:
        found = rules(namespaced=kind.namespaced, name=names.path_segment)
    else:
        found = validation_of(kind)
    return Rules(
        default_of(kind), found.create, found.update, found.status or update_metadata,
        WARNINGS.get((kind.group, kind.kind)),
    )  # fmt: skip


def default_of(kind: Kind) -> Default:
    """Return what fills in the defaults of a kind, which need not be a stored one."""
    found = _DEFAULTS.get(kind)
    if found is None:
        if type(kind) is not Kind:  # a user's: they come and go, and have theirs in the schema
            return _no_default
        found = _DEFAULTS[kind] = defaults.DEFAULTERS.get((kind.group, kind.kind), _no_default)
    return found


_DEFAULTS: dict[Kind, Default] = {}


def _no_default(obj: Any) -> None:
    del obj
