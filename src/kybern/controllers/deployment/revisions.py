"""Which ReplicaSet is the current one, how it is numbered and named, which old ones may go.

In:   a Deployment and its ReplicaSets.
Out:  the new one (existing or to be created), annotations, what to clean up.
By:   deployment.plan. Pure.

The name carries a hash of the template; which ReplicaSet is current is decided by comparing
templates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from kybern.api import codec
from kybern.api.apps.v1 import ReplicaSet, ReplicaSetSpec
from kybern.api.meta.v1 import LabelSelector, ObjectMeta
from kybern.controllers.runtime.hashes import short_hash
from kybern.controllers.runtime.ownership import reference_to

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.apps.v1 import Deployment
    from kybern.api.core.v1 import PodTemplateSpec
    from kybern.controllers.deployment.sizes import Member

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
LONGEST_HISTORY = 2000  # characters
LONGEST_NAME = 253
NOT_COPIED = frozenset(
    (
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.revision",
        REVISION,
        HISTORY,
        "deployment.kubernetes.io/desired-replicas",
        "deployment.kubernetes.io/max-replicas",
    )
)
UNLIMITED = 2**31 - 1


def template_hash(template: PodTemplateSpec, collisions: int) -> str:
    """Return a short hash of a template; `collisions` makes another one of the same template."""
    data = msgspec.json.encode(_without_hash(template), order="deterministic")
    return short_hash(data, collisions)


def same_template(one: PodTemplateSpec | None, other: PodTemplateSpec | None) -> bool:
    """Whether two templates make the same pods, their hashes apart."""
    if one is None or other is None:
        return one is other
    return codec.equal(_without_hash(one), _without_hash(other))


def find_new(deployment: Deployment, sets: Iterable[ReplicaSet]) -> ReplicaSet | None:
    """Return the oldest ReplicaSet with the Deployment's template."""
    matching = [rs for rs in sets if same_template(rs.spec.template, deployment.spec.template)]
    return min(
        matching,
        key=lambda rs: (rs.metadata.creationTimestamp or "", rs.metadata.name or ""),
        default=None,
    )


def revision_of(replica_set: ReplicaSet) -> int:
    """Return a ReplicaSet's revision; 0 when it has none."""
    text = (replica_set.metadata.annotations or {}).get(REVISION, "")
    return int(text) if text.isdecimal() else 0


def next_revision(old: Iterable[ReplicaSet]) -> int:
    """Return the revision the current ReplicaSet must have at least."""
    return max((revision_of(rs) for rs in old), default=0) + 1


def make(deployment: Deployment) -> ReplicaSet:
    """Return the ReplicaSet of the Deployment's template, still without pods."""
    spec, metadata = deployment.spec, deployment.metadata
    digest = template_hash(spec.template, deployment.status.collisionCount or 0)
    template = codec.clone(spec.template)
    template.metadata.labels = {**(template.metadata.labels or {}), HASH: digest}
    selector = codec.clone(spec.selector)
    selector = LabelSelector(
        matchLabels={**(selector.matchLabels or {}), HASH: digest},
        matchExpressions=selector.matchExpressions,
    )
    stem = (metadata.name or "")[: LONGEST_NAME - len(digest) - 1]
    return ReplicaSet(
        metadata=ObjectMeta(
            name=f"{stem}-{digest}",
            namespace=metadata.namespace,
            labels=dict(template.metadata.labels),
            ownerReferences=[reference_to(deployment)],
        ),
        spec=ReplicaSetSpec(
            replicas=0,
            minReadySeconds=spec.minReadySeconds,
            selector=selector,
            template=template,
        ),
    )


def annotate(new: Member, deployment: Deployment, revision: int) -> None:
    """Hand the Deployment's annotations down, and number the ReplicaSet if it must move up."""
    for key, value in (deployment.metadata.annotations or {}).items():
        if key not in NOT_COPIED:
            new.annotate(key, value)
    current = new.annotation(REVISION)
    number = int(current) if current is not None and current.isdecimal() else 0
    if number >= revision:
        return
    new.annotate(REVISION, str(revision))
    if current is not None:
        new.annotate(HISTORY, _history(new.annotation(HISTORY), current))


def to_clean_up(deployment: Deployment, old: Iterable[ReplicaSet]) -> tuple[ReplicaSet, ...]:
    """Return the old ReplicaSets that exceed the history limit, the oldest revisions first."""
    limit = deployment.spec.revisionHistoryLimit
    if limit is None or limit == UNLIMITED:
        return ()
    alive = [rs for rs in old if rs.metadata.deletionTimestamp is None]
    alive.sort(key=lambda rs: (revision_of(rs), rs.metadata.creationTimestamp or ""))
    surplus = alive[: max(0, len(alive) - limit)]
    return tuple(rs for rs in surplus if _is_empty(rs))


def _is_empty(replica_set: ReplicaSet) -> bool:
    status = replica_set.status
    seen = (status.observedGeneration or 0) >= (replica_set.metadata.generation or 0)
    return not status.replicas and replica_set.spec.replicas == 0 and seen


def _history(known: str | None, revision: str) -> str:
    parts = [*(known.split(",") if known else ()), revision]
    while len(parts) > 1 and len(",".join(parts)) > LONGEST_HISTORY:
        parts.pop(0)
    return ",".join(parts)


def _without_hash(template: PodTemplateSpec) -> PodTemplateSpec:
    labels = template.metadata.labels
    if labels is None or HASH not in labels:
        return template
    rest = {key: value for key, value in labels.items() if key != HASH}
    metadata = msgspec.structs.replace(template.metadata, labels=rest or None)
    return msgspec.structs.replace(template, metadata=metadata)
