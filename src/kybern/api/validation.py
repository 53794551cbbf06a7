"""Validation of every built-in kind.

In:   an object with its defaults, and for updates the old one.
Out:  a list of problems; empty when there are none.
By:   the strategies of the API server; the kubelet for pods from files.

`VALIDATORS[group, kind]` has `create`, `update` and `status`. A kind without rules of its own is
judged by its metadata alone: `rules_of` never fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api.by_group import ByGroup
from kybern.api.rules import Rules, rules, update_metadata

if TYPE_CHECKING:
    from kybern.api.scheme import Kind

__all__ = ["VALIDATORS", "Rules", "rules_of", "update_metadata"]

VALIDATORS: Final[ByGroup[Rules]] = ByGroup("validation", "VALIDATORS")

_PLAIN: Final = {True: rules(), False: rules(namespaced=False)}


def rules_of(kind: Kind) -> Rules:
    """The rules of a kind."""
    return VALIDATORS.get((kind.group, kind.kind)) or _PLAIN[kind.namespaced]
