"""What CustomResourceDefinitions must be.

In:   a definition with its defaults; for updates also the old one.
Out:  problems; the table `VALIDATORS`.
By:   `api.validation`. Facts: apiextensions-apiserver/pkg/apis/apiextensions/validation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api import names
from kybern.api.apiextensions.schema_validation import check_schema
from kybern.api.custom import json_path
from kybern.api.field_path import (
    Path,
    Problem,
    all_invalid,
    forbidden,
    immutable,
    invalid,
    not_supported,
    required,
)
from kybern.api.meta.validation import METADATA, SPEC, STATUS, check_meta_update
from kybern.api.rules import Rules, rules

if TYPE_CHECKING:
    from kybern.api.apiextensions.v1 import (
        CustomResourceConversion,
        CustomResourceDefinition,
        CustomResourceDefinitionNames,
        CustomResourceDefinitionVersion,
    )

    Problems = list[Problem]

SCOPES: Final = ("Cluster", "Namespaced")
COLUMN_TYPES: Final = ("boolean", "date", "integer", "number", "string")
COLUMN_FORMATS: Final = (
    "byte", "date", "date-time", "double", "float", "int32", "int64", "password",
)  # fmt: skip
STRATEGIES: Final = ("None", "Webhook")
REVIEWS: Final = ("v1", "v1beta1")
SUBRESOURCE_PREFIXES: Final = {"specReplicasPath": ".spec.", "statusReplicasPath": ".status."}


def check_definition(obj: CustomResourceDefinition, out: Problems) -> None:
    """A group, names, and versions with schemas."""
    spec = obj.spec
    expected = f"{spec.names.plural}.{spec.group}"
    if obj.metadata.name != expected:
        text = 'must be spec.names.plural+"."+spec.group'
        out.append(invalid(METADATA / "name", obj.metadata.name or "", text))
    place = SPEC / "group"
    if not spec.group:
        out.append(required(place))
    elif messages := names.dns1123_subdomain(spec.group):
        out += all_invalid(place, spec.group, messages)
    elif "." not in spec.group:
        out.append(invalid(place, spec.group, "should be a domain with at least one dot"))
    if not spec.scope:
        out.append(required(SPEC / "scope"))
    elif spec.scope not in SCOPES:
        out.append(not_supported(SPEC / "scope", spec.scope, SCOPES))
    if spec.preserveUnknownFields:
        text = (
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
            "spec.versions[*].schema instead"
        )
        out.append(invalid(SPEC / "preserveUnknownFields", True, text))
    _check_versions(spec.versions, out)
    _check_names(spec.names, SPEC / "names", out)
    if spec.conversion is not None:
        _check_conversion(spec.conversion, SPEC / "conversion", out)


def _check_versions(versions: list[CustomResourceDefinitionVersion], out: Problems) -> None:
    place = SPEC / "versions"
    seen: set[str] = set()
    unique = True
    for index, version in enumerate(versions):
        unique = unique and version.name not in seen
        seen.add(version.name)
        if messages := names.dns1035_label(version.name):
            out += all_invalid(place[index] / "name", version.name, messages)
        _check_version(version, place[index], out)
    if not unique:
        out.append(invalid(place, _shown(versions), "must contain unique version names"))
    if sum(version.storage for version in versions) != 1:
        text = "must have exactly one version marked as storage version"
        out.append(invalid(place, _shown(versions), text))


def _shown(versions: list[CustomResourceDefinitionVersion]) -> list[str]:
    return [version.name for version in versions]


def _check_version(version: CustomResourceDefinitionVersion, place: Path, out: Problems) -> None:
    schema = version.schema.openAPIV3Schema if version.schema is not None else None
    where = place / "schema" / "openAPIV3Schema"
    if schema is None:
        out.append(required(where, "schemas are required"))
    else:
        check_schema(schema, where, out)
    if version.deprecationWarning is not None and not version.deprecated:
        text = "can only be set for deprecated versions"
        out.append(invalid(place / "deprecationWarning", version.deprecationWarning, text))
    for index, column in enumerate(version.additionalPrinterColumns or ()):
        at = (place / "additionalPrinterColumns")[index]
        if not column.name:
            out.append(required(at / "name"))
        if not column.type:
            out.append(required(at / "type", f"must be one of {','.join(COLUMN_TYPES)}"))
        elif column.type not in COLUMN_TYPES:
            text = f"must be one of {','.join(COLUMN_TYPES)}"
            out.append(invalid(at / "type", column.type, text))
        if column.format and column.format not in COLUMN_FORMATS:
            text = f"must be one of {','.join(COLUMN_FORMATS)}"
            out.append(invalid(at / "format", column.format, text))
        _check_path(column.jsonPath, at / "jsonPath", out)
    for index, field in enumerate(version.selectableFields or ()):
        _check_path(field.jsonPath, (place / "selectableFields")[index] / "jsonPath", out)
    _check_scale(version, place, out)


def _check_path(path: str, place: Path, out: Problems) -> None:
    if not path:
        out.append(required(place))
        return
    try:
        if not path.startswith("."):
            raise json_path.PathError("must be a simple json path starting with .")
        json_path.compiled(path)
    except json_path.PathError as error:
        out.append(invalid(place, path, str(error)))


def _check_scale(version: CustomResourceDefinitionVersion, place: Path, out: Problems) -> None:
    scale = version.subresources.scale if version.subresources is not None else None
    if scale is None:
        return
    at = place / "subresources" / "scale"
    for name, start in SUBRESOURCE_PREFIXES.items():
        path = getattr(scale, name)
        if not path:
            out.append(required(at / name))
        elif not path.startswith(start):
            text = f"should be a json path under {start.rstrip('.')}"
            out.append(invalid(at / name, path, text))
    path = scale.labelSelectorPath
    if path and not path.startswith((".spec.", ".status.")):
        text = "should be a json path under either .spec or .status"
        out.append(invalid(at / "labelSelectorPath", path, text))


def _check_names(given: CustomResourceDefinitionNames, place: Path, out: Problems) -> None:
    for field in ("plural", "singular"):
        value = getattr(given, field)
        if field == "plural" or value:
            out += all_invalid(place / field, value, names.dns1035_label(value or ""))
    for field in ("kind", "listKind"):
        value = getattr(given, field) or ""
        if messages := names.dns1035_label(value.lower()):
            text = f"may have mixed case, but should otherwise match: {','.join(messages)}"
            out.append(invalid(place / field, value, text))
    for field in ("shortNames", "categories"):
        for index, word in enumerate(getattr(given, field) or ()):
            out += all_invalid((place / field)[index], word, names.dns1035_label(word))
    if given.kind and given.kind == given.listKind:
        text = "kind and listKind may not be the same"
        out.append(invalid(place / "listKind", given.listKind, text))


def _check_conversion(given: CustomResourceConversion, place: Path, out: Problems) -> None:
    if given.strategy not in STRATEGIES:
        out.append(not_supported(place / "strategy", given.strategy, STRATEGIES))
    hook = given.webhook
    if given.strategy != "Webhook":
        if hook is not None:
            text = "should not be set when strategy is not set to Webhook"
            out.append(forbidden(place / "webhook", text))
        return
    where = place / "webhook"
    if hook is None or hook.clientConfig is None:
        text = "required when strategy is set to Webhook"
        out.append(required(where / "clientConfig", text))
        return
    config = hook.clientConfig
    if (config.url is None) == (config.service is None):
        text = "exactly one of url or service is required"
        out.append(required(where / "clientConfig", text))
    if not hook.conversionReviewVersions:
        out.append(required(where / "conversionReviewVersions"))
    elif not set(hook.conversionReviewVersions) & set(REVIEWS):
        text = f"must include at least one of {', '.join(REVIEWS)}"
        versions = list(hook.conversionReviewVersions)
        out.append(invalid(where / "conversionReviewVersions", versions, text))


def check_change(
    new: CustomResourceDefinition, old: CustomResourceDefinition, out: Problems
) -> None:
    """What has objects keeps its names and scope; what is stored stays readable."""
    if any(c.type == "Established" and c.status == "True" for c in old.status.conditions or ()):
        for place, value, before in (
            (SPEC / "scope", new.spec.scope, old.spec.scope),
            (SPEC / "names" / "kind", new.spec.names.kind, old.spec.names.kind),
        ):
            if value != before:
                out.append(immutable(place, value))
    for place, value, before in (
        (SPEC / "group", new.spec.group, old.spec.group),
        (SPEC / "names" / "plural", new.spec.names.plural, old.spec.names.plural),
    ):
        if value != before:
            out.append(immutable(place, value))
    _check_stored(new, out)


def _check_stored(obj: CustomResourceDefinition, out: Problems) -> None:
    known = {version.name for version in obj.spec.versions}
    storage = next((version.name for version in obj.spec.versions if version.storage), "")
    stored = obj.status.storedVersions or []
    place = STATUS / "storedVersions"
    if not stored:
        out.append(invalid(place, stored, "must have at least one stored version"))
    elif storage and storage not in stored:
        out.append(invalid(place, stored, f"must have the storage version {storage}"))
    for index, name in enumerate(stored):
        if name not in known:
            text = (
                f"missing from spec.versions; {name} was previously a storage version, and must "
                "remain in spec.versions until a storage migration ensures no data remains "
                f"persisted in {name} and removes {name} from status.storedVersions"
            )
            out.append(invalid(place[index], name, text))


def validate_status(
    new: CustomResourceDefinition, old: CustomResourceDefinition
) -> list[Problem]:
    """What was stored in which version, and conditions."""
    out: Problems = []
    check_meta_update(new.metadata, old.metadata, out)
    _check_stored(new, out)
    return out


VALIDATORS: Final[dict[str, Rules]] = {
    "CustomResourceDefinition": rules(
        check_definition, namespaced=False, change=check_change, status=validate_status,
        any_finalizer=True,
    )
}
