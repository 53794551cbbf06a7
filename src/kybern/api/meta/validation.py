"""What every object's metadata must be, and label selectors.

In:   an ObjectMeta (and the old one, for updates), a place for the problems.
Out:  problems appended to the list given.
By:   the validation of every kind.

Facts: apimachinery's `pkg/api/validation/objectmeta.go`, `pkg/apis/meta/v1/validation`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api import names
from kybern.api.bad_value import NIL
from kybern.api.field_path import (
    Path,
    Problem,
    all_invalid,
    forbidden,
    immutable,
    invalid,
    required,
    too_long,
)
from kybern.api.likeness import same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kybern.api.meta.v1 import (
        LabelSelector,
        LabelSelectorRequirement,
        ManagedFieldsEntry,
        ObjectMeta,
        OwnerReference,
    )

    NameRule = Callable[[str], tuple[str, ...]]
    Problems = list[Problem]

METADATA: Final = Path("metadata")
SPEC: Final = Path("spec")
STATUS: Final = Path("status")

NEGATIVE: Final = "must be greater than or equal to 0"
ANNOTATIONS_LIMIT: Final = 256 * 1024
UNKNOWN_FINALIZER: Final = "name is neither a standard finalizer name nor is it fully qualified"
FINALIZERS: Final = frozenset(("kubernetes", "orphan", "foregroundDeletion"))
MANAGER_LIMIT: Final = 128
SELECTOR_OPERATORS: Final = ("In", "NotIn", "Exists", "DoesNotExist")


def check_meta(
    meta: ObjectMeta,
    out: Problems,
    *,
    namespaced: bool = True,
    rule: NameRule = names.dns1123_subdomain,
) -> None:
    """The metadata of an object about to be created, its name already generated."""
    if meta.generateName:
        # More letters follow, so that a last dash is as good as any of them.
        masked = names.mask_trailing_dash(meta.generateName)
        if messages := rule(masked):
            out += all_invalid(METADATA / "generateName", meta.generateName, messages)
    if not meta.name:
        out.append(required(METADATA / "name", "name or generateName is required"))
    elif messages := rule(meta.name):
        out += all_invalid(METADATA / "name", meta.name, messages)
    _check_namespace(meta, out, namespaced=namespaced)
    if meta.generation is not None and meta.generation < 0:
        out.append(invalid(METADATA / "generation", meta.generation, NEGATIVE))
    _check_details(meta, out)


# What is set once, and what it shows when it is taken away.
_FIXED: Final = (
    ("name", ""), ("namespace", ""), ("uid", ""), ("creationTimestamp", NIL),
    ("deletionTimestamp", None), ("deletionGracePeriodSeconds", None),
)  # fmt: skip


def check_meta_update(new: ObjectMeta, old: ObjectMeta, out: Problems) -> None:
    """Metadata that replaces other metadata: what is set once stays."""
    if old.deletionTimestamp is not None:
        _check_no_new_finalizers(new, old, out)
    if not new.resourceVersion:
        place = METADATA / "resourceVersion"
        out.append(invalid(place, new.resourceVersion or "", "must be specified for an update"))
    if (new.generation or 0) < (old.generation or 0):
        out.append(invalid(METADATA / "generation", new.generation or 0, "must not be decremented"))
    for field, empty in _FIXED:
        value, before = getattr(new, field), getattr(old, field)
        if value != before and (value or before):
            out.append(immutable(METADATA / field, value or empty))
    _check_details(new, out)


def _check_namespace(meta: ObjectMeta, out: Problems, *, namespaced: bool) -> None:
    if not namespaced:
        if meta.namespace:
            out.append(forbidden(METADATA / "namespace", "not allowed on this type"))
    elif not meta.namespace:
        out.append(required(METADATA / "namespace"))
    elif messages := names.dns1123_label(meta.namespace):
        out += all_invalid(METADATA / "namespace", meta.namespace, messages)


def _check_details(meta: ObjectMeta, out: Problems) -> None:
    if meta.labels:
        check_labels(meta.labels, METADATA, "labels", out)
    if meta.annotations:
        check_annotations(meta.annotations, METADATA, out)
    if meta.ownerReferences:
        _check_owners(meta.ownerReferences, METADATA / "ownerReferences", out)
    if meta.finalizers:
        _check_finalizers(meta.finalizers, METADATA / "finalizers", out)
    if meta.managedFields:
        _check_managed_fields(meta.managedFields, METADATA / "managedFields", out)


def check_labels(labels: dict[str, str], path: Path, field: str, out: Problems) -> None:
    """Labels, or a map of the same form, in the field of this name at the place."""
    for key, value in labels.items():
        if messages := names.qualified_name(key):
            out += all_invalid(path / field, key, messages)
        if messages := names.label_value(value):
            out += all_invalid(path / field, value, messages)


def check_label_key(key: str, path: Path, field: str, out: Problems) -> None:
    """The key of a label."""
    if messages := names.qualified_name(key):
        out += all_invalid(path / field, key, messages)


def check_annotations(annotations: dict[str, str], path: Path, out: Problems) -> None:
    """Annotations: keys in any case, not too much of them."""
    total = 0
    for key, value in annotations.items():
        if messages := names.qualified_name(key.lower()):
            out += all_invalid(path / "annotations", key, messages)
        total += names.size(key) + names.size(value)
    if total > ANNOTATIONS_LIMIT:
        out.append(too_long(path / "annotations", ANNOTATIONS_LIMIT))


def _check_owners(owners: list[OwnerReference], path: Path, out: Problems) -> None:
    controller = ""
    for owner in owners:
        _check_owner(owner, path, out)
        if not owner.controller:
            continue
        name = f"{owner.kind}/{owner.name}"
        if controller:
            told = (
                'Only one reference can have Controller set to true. Found "true" in references '
                f"for {controller} and {name}"
            )
            out.append(invalid(path, owners, told))
        else:
            controller = name


def _check_owner(owner: OwnerReference, path: Path, out: Problems) -> None:
    if not owner.apiVersion.rpartition("/")[2]:
        out.append(invalid(path / "apiVersion", owner.apiVersion, "version must not be empty"))
    for field in ("kind", "name", "uid"):
        if not getattr(owner, field):
            out.append(invalid(path / field, "", "must not be empty"))
    if (owner.apiVersion, owner.kind) == ("v1", "Event"):
        out.append(invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner"))


def _check_finalizers(finalizers: list[str], path: Path, out: Problems) -> None:
    for finalizer in finalizers:
        if messages := names.qualified_name(finalizer):
            out += all_invalid(path, finalizer, messages)
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        told = "finalizer orphan and foregroundDeletion cannot be both set"
        out.append(invalid(path, finalizers, told))
    for index, finalizer in enumerate(finalizers):
        check_finalizer_is_known(finalizer, path[index], out)


def check_finalizer_is_known(finalizer: str, path: Path, out: Problems) -> None:
    """A finalizer without a domain must be one of Kubernetes' own."""
    if "/" not in finalizer and finalizer not in FINALIZERS:
        out.append(invalid(path, finalizer, UNKNOWN_FINALIZER))


def _check_no_new_finalizers(new: ObjectMeta, old: ObjectMeta, out: Problems) -> None:
    extra = sorted(set(new.finalizers or ()) - set(old.finalizers or ()))
    if extra:
        listed = ", ".join(f'"{each}"' for each in extra)
        told = (
            "no new finalizers can be added if the object is being deleted, found new finalizers "
            f"[]string{{{listed}}}"
        )
        out.append(forbidden(METADATA / "finalizers", told))


def _check_managed_fields(entries: list[ManagedFieldsEntry], path: Path, out: Problems) -> None:
    for index, entry in enumerate(entries):
        if entry.operation not in ("Apply", "Update"):
            told = "must be `Apply` or `Update`"
            out.append(invalid(path[index] / "operation", entry.operation or "", told))
        if entry.fieldsType and entry.fieldsType != "FieldsV1":
            out.append(invalid(path[index] / "fieldsType", entry.fieldsType, "must be `FieldsV1`"))
        if names.size(entry.manager or "") > MANAGER_LIMIT:
            out.append(too_long(path[index] / "manager", MANAGER_LIMIT))


def check_selector(selector: LabelSelector | None, path: Path, out: Problems) -> None:
    """A label selector, which may be absent."""
    if selector is None:
        return
    if selector.matchLabels:
        check_labels(selector.matchLabels, path, "matchLabels", out)
    if selector.matchExpressions:
        for index, requirement in enumerate(selector.matchExpressions):
            _check_requirement(requirement, (path / "matchExpressions")[index], out)


def _check_requirement(requirement: LabelSelectorRequirement, path: Path, out: Problems) -> None:
    values = requirement.values
    if requirement.operator in ("In", "NotIn"):
        if not values:
            told = "must be specified when `operator` is 'In' or 'NotIn'"
            out.append(required(path / "values", told))
    elif requirement.operator in ("Exists", "DoesNotExist"):
        if values:
            told = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            out.append(forbidden(path / "values", told))
    else:
        told = "not a valid selector operator"
        out.append(invalid(path / "operator", requirement.operator, told))
    check_label_key(requirement.key, path, "key", out)
    for index, value in enumerate(values or ()):
        if messages := names.label_value(value):
            out += all_invalid((path / "values")[index], value, messages)


def check_given(obj: Any, path: Path, fields: Iterable[str], out: Problems) -> None:
    """Fields that must not be empty."""
    out += [required(path / field) for field in fields if not getattr(obj, field)]


def is_empty_selector(selector: LabelSelector) -> bool:
    """Whether a selector says nothing, and so would select everything."""
    return not selector.matchLabels and not selector.matchExpressions


def check_not_negative(value: int | None, path: Path, field: str, out: Problems) -> None:
    """A number that counts something."""
    if value is not None and value < 0:
        out.append(invalid(path / field, value, NEGATIVE))


def check_all_not_negative(obj: Any, path: Path, fields: Iterable[str], out: Problems) -> None:
    """Several such numbers of one object."""
    for field in fields:
        check_not_negative(getattr(obj, field), path, field, out)


def check_immutable(new: Any, old: Any, path: Path, out: Problems) -> None:
    """A part that may not change."""
    if not same(new, old):
        out.append(immutable(path, new))
