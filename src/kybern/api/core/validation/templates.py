"""Pod templates, and the selectors that must match them.

In:   PodTemplateSpec, PodTemplate.
Out:  problems appended to the list given, or returned.
By:   `core.validation.all`, `replication_controllers`; the apps and batch groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.bad_value import NIL
from kybern.api.core.validation.annotations import check_pod_annotations, check_profiles_match
from kybern.api.core.validation.pod_spec import check_pod_spec
from kybern.api.field_path import Path, Problem, forbidden, invalid, not_supported, required
from kybern.api.meta.validation import (
    check_annotations,
    check_labels,
    check_meta,
    check_meta_update,
)

if TYPE_CHECKING:
    from kybern.api.core.v1 import PodTemplate, PodTemplateSpec
    from kybern.api.selectors import Selector


def check_template(template: PodTemplateSpec, path: Path, out: list[Problem]) -> None:
    """A template of pods."""
    meta = template.metadata
    if meta.labels:
        check_labels(meta.labels, path, "labels", out)
    if meta.annotations:
        check_annotations(meta.annotations, path, out)
        check_pod_annotations(meta.annotations, template.spec, path / "annotations", out)
    check_pod_spec(template.spec, None, path / "spec", out)
    if meta.annotations:
        check_profiles_match(meta, template.spec, path / "spec", out)
    if template.spec.ephemeralContainers:
        told = "ephemeral containers not allowed in pod template"
        out.append(forbidden(path / "spec" / "ephemeralContainers", told))


def check_selected(
    template: PodTemplateSpec | None,
    selector: Selector,
    owner: str,
    path: Path,
    out: list[Problem],
) -> None:
    """A template whose pods its owner must find again and keep running."""
    if template is None:
        out.append(required(path))
        return
    check_selector_matches(template, selector, path, out)
    check_template(template, path, out)
    check_runs_always(template, owner, path, out)


def check_selector_matches(
    template: PodTemplateSpec, selector: Selector, path: Path, out: list[Problem]
) -> None:
    """The pods made from it are selected."""
    labels = template.metadata.labels
    if not selector.everything and not selector.matches(labels):
        told = "`selector` does not match template `labels`"
        out.append(invalid(path / "metadata" / "labels", labels or NIL, told))


def check_runs_always(
    template: PodTemplateSpec, owner: str, path: Path, out: list[Problem]
) -> None:
    """Whoever keeps so many pods running cannot have pods that end."""
    policy = template.spec.restartPolicy
    if policy != "Always":
        place = path / "spec" / "restartPolicy"
        out.append(not_supported(place, policy or "", ("Always",)))
    if template.spec.activeDeadlineSeconds is not None:
        told = f"activeDeadlineSeconds in {owner} is not Supported"
        out.append(forbidden(path / "spec" / "activeDeadlineSeconds", told))


def validate_pod_template(obj: PodTemplate) -> list[Problem]:
    """A template kept on its own."""
    out: list[Problem] = []
    check_meta(obj.metadata, out)
    if obj.template is not None:
        check_template(obj.template, Path("template"), out)
    return out


def validate_pod_template_update(new: PodTemplate, old: PodTemplate) -> list[Problem]:
    """A template that replaces another."""
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    if new.template is not None:
        check_template(new.template, Path("template"), out)
    return out
