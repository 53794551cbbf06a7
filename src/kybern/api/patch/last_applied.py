"""Move from client-side apply to server-side apply without conflicts.

In:   an object with kubectl's `last-applied-configuration` annotation.
Out:  what of that is still so (`still_true`); the object with the annotation brought up to date.
By:   apply.py, for the manager that `kubectl apply --server-side` uses unless told otherwise.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from kybern.api.patch import declared, field_sets
from kybern.api.patch.compare import changes
from kybern.api.patch.entries import version_of
from kybern.api.patch.field_sets import LEAF, FieldSet
from kybern.api.patch.items import Unkeyed
from kybern.api.patch.managed_fields import tracked

if TYPE_CHECKING:
    from kybern.api.patch.schema import Node

MANAGER: Final = "kubectl"
ANNOTATION: Final = "kubectl.kubernetes.io/last-applied-configuration"
MAX_ANNOTATIONS: Final = 256 * 1024

Tree = dict[str, Any]


def still_true(live: Tree, node: Node, api_version: str) -> FieldSet:
    """Return the fields that kubectl applied last and that still are as it left them.

    It may take these over from whoever owns them: that was itself, under another name.
    """
    try:
        last = json.loads(_annotations(live).get(ANNOTATION) or "null")
    except ValueError:
        return LEAF
    if not isinstance(last, dict) or version_of(last) != api_version:
        return LEAF
    if declared.problems(node, last):
        return LEAF
    try:
        found = changes(tracked(node), last, live)
        fields = declared.fields(tracked(node), last)
    except Unkeyed:
        return LEAF
    for each in found:
        fields = field_sets.difference(fields, each)
    return fields


def refresh(new: Tree, applied: Tree) -> Tree:
    """Return the object with the annotation as it would be after this apply, if it has one."""
    annotations = _annotations(new)
    if not annotations.get(ANNOTATION):
        return new
    config = dict(applied)
    metadata = dict(config.get("metadata") or {})
    if metadata.get("annotations"):
        metadata["annotations"] = {
            name: text for name, text in metadata["annotations"].items() if name != ANNOTATION
        }
        config["metadata"] = metadata
    text = json.dumps(config, separators=(",", ":"), sort_keys=True, ensure_ascii=False) + "\n"
    updated = {**annotations, ANNOTATION: text}
    if sum(len(k.encode()) + len(v.encode()) for k, v in updated.items()) > MAX_ANNOTATIONS:
        del updated[ANNOTATION]
    return {**new, "metadata": {**new["metadata"], "annotations": updated}}


def _annotations(tree: Tree) -> dict[str, str]:
    return (tree.get("metadata") or {}).get("annotations") or {}
