"""Jobs: a selector of their own, and pods that are kept when nobody says what becomes of them.

In:   Jobs to be created or deleted.
Out:  spec.selector and the labels of the template, made from the Job's uid and name.
By:   registry.special.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api.meta.v1 import LabelSelector, ObjectMeta
from kybern.apiserver.registry.strategy import Strategy

if TYPE_CHECKING:
    from kybern.apiserver.context import RequestContext

UID, OLD_UID = "batch.kubernetes.io/controller-uid", "controller-uid"
NAME, OLD_NAME = "batch.kubernetes.io/job-name", "job-name"


class JobStrategy(Strategy):
    """Jobs."""

    orphans = True

    def prepare_for_create(self, ctx: RequestContext, obj: Any) -> None:
        """Make the selector, unless the author takes care of it."""
        super().prepare_for_create(ctx, obj)
        if obj.spec.manualSelector is not True:
            _generate_selector(obj)


def _generate_selector(job: Any) -> None:
    uid, name = job.metadata.uid, job.metadata.name
    template = job.spec.template
    if template.metadata is None:
        template.metadata = ObjectMeta()
    ours = {UID: uid, OLD_UID: uid, NAME: name, OLD_NAME: name}
    template.metadata.labels = {**ours, **(template.metadata.labels or {})}
    if job.spec.selector is None:
        job.spec.selector = LabelSelector()
    labels = job.spec.selector.matchLabels or {}
    if UID not in labels:
        job.spec.selector.matchLabels = {**labels, UID: uid}
