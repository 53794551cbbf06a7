"""Which revision a template is, how it is stored, which old ones may go.

In:   a workload, its ControllerRevisions.
Out:  `History`; new revisions.
By:   history.keeper, statefulset, daemonset. Pure.

A revision keeps the patch that brings its template back, in upstream's form: `kubectl rollout undo`
sends it as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from kybern.api import codec
from kybern.api.apps.v1 import ControllerRevision
from kybern.api.core.v1 import PodTemplateSpec
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.runtime.hashes import short_hash
from kybern.controllers.runtime.ownership import reference_to

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

LONGEST_STEM: Final = 223
"""How much of a workload's name goes into those of its revisions."""


@dataclass(frozen=True, slots=True)
class History:
    """The revisions of a workload, sorted.

    Attributes:
        current: the one with the workload's template; None when it has to be made.
        number: the number it must have.
        duplicates: others with the same template.
        old: all others, the oldest first.
    """

    current: ControllerRevision | None
    number: int
    duplicates: tuple[ControllerRevision, ...]
    old: tuple[ControllerRevision, ...]


def arrange(template: PodTemplateSpec, revisions: Iterable[ControllerRevision]) -> History:
    """Find the revision of a template among all there are."""
    ordered = sorted(revisions, key=_age)
    same = [one for one in ordered if holds(one, template)]
    old = [one for one in ordered if one not in same]
    number = max((one.revision for one in old), default=0) + 1
    current = same[-1] if same else None
    if current is not None:
        number = max(number, current.revision)
    return History(current, number, tuple(same[:-1]), tuple(old))


def make(
    owner: Any, template: PodTemplateSpec, number: int, collisions: int, label: str
) -> ControllerRevision:
    """Return a new revision; its hash goes into its name and under `label`."""
    data = {"spec": {"template": {**codec.to_tree(template), "$patch": "replace"}}}
    digest = short_hash(msgspec.json.encode(data, order="deterministic"), collisions)
    metadata = owner.metadata
    return ControllerRevision(
        metadata=ObjectMeta(
            name=f"{metadata.name[:LONGEST_STEM]}-{digest}",
            namespace=metadata.namespace,
            labels={**(template.metadata.labels or {}), label: digest},
            annotations=metadata.annotations,
            ownerReferences=[reference_to(owner)],
        ),
        data=data,
        revision=number,
    )


def template_of(revision: ControllerRevision) -> PodTemplateSpec | None:
    """Return the template a revision keeps; None when it keeps none."""
    data = revision.data if isinstance(revision.data, dict) else {}
    tree = (data.get("spec") or {}).get("template")
    if not isinstance(tree, dict):
        return None
    tree = {key: value for key, value in tree.items() if key != "$patch"}
    return codec.from_tree(tree, PodTemplateSpec)


def holds(revision: ControllerRevision, template: PodTemplateSpec) -> bool:
    """Whether a revision keeps this template."""
    return codec.equal(template_of(revision), template)


def idle(old: Iterable[ControllerRevision], live: Collection[str]) -> Sequence[ControllerRevision]:
    """Return the revisions no pod was made from; `live` are names or hashes of the others."""
    return [one for one in old if one.metadata.name not in live]


def _age(revision: ControllerRevision) -> tuple[int, str, str]:
    metadata = revision.metadata
    return revision.revision, metadata.creationTimestamp or "9999", metadata.name or ""
