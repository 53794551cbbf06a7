"""What APIServices must be.

In:   an APIService; for updates also the old one.
Out:  problems; the table `VALIDATORS`.
By:   `api.validation`. Facts: upstream's `kube-aggregator/pkg/apis/apiregistration/validation`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api import names
from kybern.api.field_path import Problem, all_invalid, invalid, not_supported, required
from kybern.api.meta.validation import METADATA, SPEC, STATUS, check_meta_update
from kybern.api.rules import Rules, rules

if TYPE_CHECKING:
    from kybern.api.apiregistration.v1 import APIService

GROUP_PRIORITY_MAX: Final = 20000
VERSION_PRIORITY_MAX: Final = 1000
STATUSES: Final = ("False", "True", "Unknown")


def check_api_service(obj: APIService, out: list[Problem]) -> None:
    """A group and version, and who serves it."""
    spec = obj.spec
    group, version = spec.group or "", spec.version or ""
    expected = f"{version}.{group}"
    if obj.metadata.name != expected:
        told = f'must be `spec.version+"."+spec.group`: "{expected}"'
        out.append(invalid(METADATA / "name", obj.metadata.name or "", told))
    if group and (messages := names.dns1123_subdomain(group)):
        out += all_invalid(SPEC / "group", group, messages)
    if messages := names.dns1035_label(version):
        out += all_invalid(SPEC / "version", version, messages)
    for field, limit in (
        ("groupPriorityMinimum", GROUP_PRIORITY_MAX),
        ("versionPriority", VERSION_PRIORITY_MAX),
    ):
        number = getattr(spec, field)
        if not 0 < number <= limit:
            told = f"must be positive and less than {limit}"
            out.append(invalid(SPEC / field, number, told))
    _check_service(obj, out)


def _check_service(obj: APIService, out: list[Problem]) -> None:
    spec = obj.spec
    if spec.service is None:
        if spec.caBundle:
            told = "local APIServices may not have a caBundle"
            out.append(invalid(SPEC / "caBundle", f"{len(spec.caBundle)} bytes", told))
        if spec.insecureSkipTLSVerify:
            told = "local APIServices may not have insecureSkipTLSVerify"
            out.append(invalid(SPEC / "insecureSkipTLSVerify", True, told))
        return
    place = SPEC / "service"
    if not spec.service.namespace:
        out.append(required(place / "namespace"))
    if not spec.service.name:
        out.append(required(place / "name"))
    port = spec.service.port or 0
    if messages := names.port_number(port):
        told = f"port is not valid: {','.join(messages)}"
        out.append(invalid(place / "port", port, told))
    if spec.insecureSkipTLSVerify and spec.caBundle:
        told = "may not be true if caBundle is present"
        out.append(invalid(SPEC / "insecureSkipTLSVerify", True, told))


def validate_api_service_status_update(new: APIService, old: APIService) -> list[Problem]:
    """Whether it answers."""
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    for index, condition in enumerate(new.status.conditions or ()):
        if condition.status not in STATUSES:
            place = (STATUS / "conditions")[index] / "status"
            out.append(not_supported(place, condition.status, STATUSES))
    return out


VALIDATORS: Final[dict[str, Rules]] = {
    "APIService": rules(
        check_api_service,
        namespaced=False,
        name=names.path_segment,
        status=validate_api_service_status_update,
    ),
}
