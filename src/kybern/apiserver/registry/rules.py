"""Defaulting and validation of a kind, as the registry calls them.

In:   the tables of api.defaults and api.validation.
Out:  Rules; kinds those tables do not name get the checks that every object gets.
By:   registry.all, and the handlers for kinds that are not stored.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from kybern.api import defaults, names
from kybern.api.meta.validation import check_meta, check_meta_update

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.field_path import Problem
    from kybern.api.scheme import Kind

    Default = Callable[[Any], None]
    Check = Callable[[Any], list[Problem]]
    CheckUpdate = Callable[[Any, Any], list[Problem]]

# Names of roles are part of paths and nothing else: almost anything goes.
PATH_SEGMENT = frozenset(("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"))


class Rules:
    """What a kind's objects get when they leave something out, and what they must not say."""

    __slots__ = ("create", "default", "status", "update")

    def __init__(
        self, default: Default, create: Check, update: CheckUpdate, status: CheckUpdate
    ) -> None:
        self.default = default
        self.create = create
        self.update = update
        self.status = status


def rules_of(kind: Kind) -> Rules:
    """Return the rules of a kind."""
    default = default_of(kind)
    found = _validator(kind)
    if found is None:
        create, update = _plain_create(kind), _plain_update
        return Rules(default, create, update, update)
    return Rules(default, found.create, found.update, found.status or _plain_update)


def default_of(kind: Kind) -> Default:
    """Return what fills in the defaults of a kind, which need not be a stored one."""
    found = _DEFAULTS.get(kind)
    if found is None:
        found = _DEFAULTS[kind] = defaults.DEFAULTERS.get((kind.group, kind.kind), _no_default)
    return found


_DEFAULTS: dict[Kind, Default] = {}


def _validator(kind: Kind) -> Any:
    if importlib.util.find_spec("kybern.api.validation") is None:
        return None
    from kybern.api.validation import VALIDATORS

    return VALIDATORS.get((kind.group, kind.kind))


def _plain_create(kind: Kind) -> Check:
    rule = names.path_segment if kind.kind in PATH_SEGMENT else names.dns1123_subdomain
    namespaced = kind.namespaced

    def check(obj: Any) -> list[Problem]:
        problems: list[Problem] = []
        check_meta(obj.metadata, problems, namespaced=namespaced, rule=rule)
        return problems

    return check


def _plain_update(new: Any, old: Any) -> list[Problem]:
    problems: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, problems)
    return problems


def _no_default(obj: Any) -> None:
    del obj
