"""What the storage kinds must be.

In:   an object; for updates also the old one.
Out:  problems; the table `VALIDATORS`.
By:   `api.validation`. Facts: upstream's `pkg/apis/storage/validation/validation.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api import names
from kybern.api.core.validation.nodes import check_node_name
from kybern.api.core.validation.volumes import check_driver_name
from kybern.api.field_path import (
    Path,
    Problem,
    all_invalid,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
    too_long,
)
from kybern.api.meta.validation import (
    SPEC,
    STATUS,
    check_immutable,
    check_meta_update,
    check_selector,
)
from kybern.api.quantity import parse
from kybern.api.rules import Rules, rules

if TYPE_CHECKING:
    from kybern.api.core.v1 import TopologySelectorTerm
    from kybern.api.storage.v1 import (
        CSIDriver,
        CSINode,
        CSIStorageCapacity,
        StorageClass,
        VolumeAttachment,
        VolumeAttributesClass,
    )

PARAMETERS_MAX: Final = 512
PARAMETERS_BYTES: Final = 256 * 1024
ATTACHED_BYTES: Final = 256 * 1024
ERROR_BYTES: Final = 1024
NODE_ID_MAX: Final = 256
RECLAIM: Final = ("Delete", "Retain")
BINDING: Final = ("Immediate", "WaitForFirstConsumer")
GROUP_POLICIES: Final = ("File", "None", "ReadWriteOnceWithFSType")
LIFECYCLES: Final = ("Ephemeral", "Persistent")


# --- classes ------------------------------------------------------------------------------------


def check_storage_class(obj: StorageClass, out: list[Problem]) -> None:
    """Who makes volumes of a class, and how."""
    _check_provisioner(obj.provisioner, Path("provisioner"), out)
    _check_parameters(obj.parameters or {}, Path("parameters"), out, must=False)
    if obj.reclaimPolicy and obj.reclaimPolicy not in RECLAIM:
        out.append(not_supported(Path("reclaimPolicy"), obj.reclaimPolicy, RECLAIM))
    place = Path("volumeBindingMode")
    if obj.volumeBindingMode is None:
        out.append(required(place))
    elif obj.volumeBindingMode not in BINDING:
        out.append(not_supported(place, obj.volumeBindingMode, BINDING))
    _check_topologies(obj.allowedTopologies or [], Path("allowedTopologies"), out)


def _check_provisioner(name: str, place: Path, out: list[Problem]) -> None:
    if not name:
        out.append(required(place))
    elif messages := names.qualified_name(name.lower()):
        out += all_invalid(place, name, messages)


def _check_parameters(
    parameters: dict[str, str], place: Path, out: list[Problem], *, must: bool
) -> None:
    if not parameters and must:
        out.append(required(place, "must contain at least one key/value pair"))
    if len(parameters) > PARAMETERS_MAX:
        out.append(too_long(place, PARAMETERS_MAX))
        return
    if "" in parameters:
        out.append(invalid(place, "", "field can not be empty."))
    if sum(names.size(k) + names.size(v) for k, v in parameters.items()) > PARAMETERS_BYTES:
        out.append(too_long(place, PARAMETERS_BYTES))


def _check_topologies(terms: list[TopologySelectorTerm], place: Path, out: list[Problem]) -> None:
    seen: list[dict[str, frozenset[str]]] = []
    for index, term in enumerate(terms):
        wanted: dict[str, frozenset[str]] = {}
        for number, each in enumerate(term.matchLabelExpressions or ()):
            where = (place[index] / "matchLabelExpressions")[number]
            if not each.values:
                out.append(required(where / "values"))
            for at, value in enumerate(each.values):
                if value in each.values[:at]:
                    out.append(duplicate((where / "values")[at], value))
            if messages := names.qualified_name(each.key):
                out += all_invalid(where / "key", each.key, messages)
            if each.key in wanted:
                out.append(duplicate(where / "key", each.key))
            wanted[each.key] = frozenset(each.values)
        if wanted in seen:
            out.append(duplicate(place[index] / "matchLabelExpressions", ""))
        seen.append(wanted)


def check_storage_class_change(new: StorageClass, old: StorageClass, out: list[Problem]) -> None:
    """Volumes have been made as it said."""
    if (new.parameters or {}) != (old.parameters or {}):
        out.append(forbidden(Path("parameters"), "updates to parameters are forbidden."))
    if new.provisioner != old.provisioner:
        out.append(forbidden(Path("provisioner"), "updates to provisioner are forbidden."))
    for field in ("reclaimPolicy", "volumeBindingMode"):
        if getattr(new, field) != getattr(old, field):
            told = f"updates to {field} are forbidden."
            if field == "volumeBindingMode":
                check_immutable(getattr(new, field), getattr(old, field), Path(field), out)
            else:
                out.append(forbidden(Path(field), told))


def check_attributes_class(obj: VolumeAttributesClass, out: list[Problem]) -> None:
    """Parameters that volumes may be changed to."""
    _check_provisioner(obj.driverName, Path("driverName"), out)
    _check_parameters(obj.parameters or {}, Path("parameters"), out, must=True)


def check_attributes_class_change(
    new: VolumeAttributesClass, old: VolumeAttributesClass, out: list[Problem]
) -> None:
    """Volumes have been changed to what it said."""
    if new.driverName != old.driverName:
        out.append(forbidden(Path("driverName"), "updates to driverName are forbidden."))
    if (new.parameters or {}) != (old.parameters or {}):
        out.append(forbidden(Path("parameters"), "updates to parameters are forbidden."))


# --- attachments --------------------------------------------------------------------------------


def check_attachment(obj: VolumeAttachment, out: list[Problem]) -> None:
    """A volume that is to be attached to a node."""
    spec = obj.spec
    check_driver_name(spec.attacher, SPEC / "attacher", out)
    place = SPEC / "source"
    inline, name = spec.source.inlineVolumeSpec, spec.source.persistentVolumeName
    if inline is None and name is None:
        told = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
        out.append(required(place, told))
    elif inline is not None and name is not None:
        told = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
        out.append(forbidden(place, told))
    elif name is not None and (messages := names.dns1123_subdomain(name)):
        out += all_invalid(place / "persistentVolumeName", name, messages)
    if not spec.nodeName:
        out.append(required(SPEC / "nodeName"))
    check_node_name(spec.nodeName or None, SPEC / "nodeName", out)
    _check_attachment_status(obj, out)


def _check_attachment_status(obj: VolumeAttachment, out: list[Problem]) -> None:
    metadata = obj.status.attachmentMetadata or {}
    place = STATUS / "attachmentMetadata"
    if "" in metadata:
        out.append(required(place))
    if sum(names.size(k) + names.size(v) for k, v in metadata.items()) > ATTACHED_BYTES:
        out.append(too_long(place, ATTACHED_BYTES))
    for field in ("attachError", "detachError"):
        error = getattr(obj.status, field)
        if error is not None and names.size(error.message or "") > ERROR_BYTES:
            out.append(too_long(STATUS / field / "message", ERROR_BYTES))


def check_attachment_change(
    new: VolumeAttachment, old: VolumeAttachment, out: list[Problem]
) -> None:
    """Another attachment is another object."""
    check_immutable(new.spec, old.spec, SPEC, out)


def validate_attachment_status_update(
    new: VolumeAttachment, old: VolumeAttachment
) -> list[Problem]:
    """Whether it is attached."""
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    _check_attachment_status(new, out)
    return out


# --- drivers ------------------------------------------------------------------------------------


def check_csi_driver(obj: CSIDriver, out: list[Problem]) -> None:
    """What a driver needs."""
    if obj.metadata.name:
        check_driver_name(obj.metadata.name, Path("metadata") / "name", out)
    spec = obj.spec
    for field in ("attachRequired", "podInfoOnMount", "storageCapacity"):
        if getattr(spec, field) is None:
            out.append(required(SPEC / field))
    if spec.fsGroupPolicy is not None and spec.fsGroupPolicy not in GROUP_POLICIES:
        out.append(not_supported(SPEC / "fsGroupPolicy", spec.fsGroupPolicy, GROUP_POLICIES))
    for mode in spec.volumeLifecycleModes or ():
        if mode not in LIFECYCLES:
            out.append(not_supported(SPEC / "volumeLifecycleModes", mode, LIFECYCLES))
    seen: set[str] = set()
    for index, request in enumerate(spec.tokenRequests or ()):
        place = (SPEC / "tokenRequests")[index]
        if request.audience in seen:
            out.append(duplicate(place / "audience", request.audience))
        seen.add(request.audience)
        seconds = request.expirationSeconds
        if seconds is not None and seconds < 600:
            told = "may not specify a duration less than 10 minutes"
            out.append(invalid(place / "expirationSeconds", seconds, told))
        if seconds is not None and seconds > 1 << 32:
            told = "may not specify a duration larger than 2^32 seconds"
            out.append(invalid(place / "expirationSeconds", seconds, told))


def check_csi_driver_change(new: CSIDriver, old: CSIDriver, out: list[Problem]) -> None:
    """What nodes rely on stays."""
    for field in ("attachRequired", "volumeLifecycleModes"):
        check_immutable(getattr(new.spec, field), getattr(old.spec, field), SPEC / field, out)


def check_csi_node(obj: CSINode, out: list[Problem]) -> None:
    """The drivers on a node."""
    seen: set[str] = set()
    for index, driver in enumerate(obj.spec.drivers):
        place = (SPEC / "drivers")[index]
        check_driver_name(driver.name, place / "name", out)
        if not driver.nodeID:
            out.append(required(place / "nodeID"))
        if names.size(driver.nodeID) > NODE_ID_MAX:
            told = f"must be {NODE_ID_MAX} characters or less"
            out.append(invalid(place / "nodeID", driver.nodeID, told))
        if driver.name in seen:
            out.append(duplicate(place / "name", driver.name))
        seen.add(driver.name)
        count = driver.allocatable.count if driver.allocatable is not None else None
        if count is not None and count < 0:
            told = "must be greater than or equal to 0"
            out.append(invalid(place / "allocatable" / "count", count, told))
        _check_topology_keys(driver.topologyKeys or [], place / "topologyKeys", out)


def _check_topology_keys(keys: list[str], place: Path, out: list[Problem]) -> None:
    for index, key in enumerate(keys):
        if not key:
            out.append(required(place, key))
        if key in keys[:index]:
            out.append(duplicate(place, key))
        if messages := names.qualified_name(key):
            out += all_invalid(place, key, messages)


def check_csi_node_change(new: CSINode, old: CSINode, out: list[Problem]) -> None:
    """A driver that is there stays as it is, but for how much it can take."""
    now = {driver.name: driver for driver in new.spec.drivers}
    for driver in old.spec.drivers:
        after = now.get(driver.name)
        if after is None:
            continue
        same = (after.nodeID, after.topologyKeys or []) == (
            driver.nodeID,
            driver.topologyKeys or [],
        )
        if not same:
            out.append(invalid(SPEC / "drivers", after, "field is immutable"))


def check_capacity(obj: CSIStorageCapacity, out: list[Problem]) -> None:
    """How much storage there is somewhere."""
    if messages := names.dns1123_subdomain(obj.storageClassName):
        out += all_invalid(Path("storageClassName"), obj.storageClassName, messages)
    for field in ("capacity", "maximumVolumeSize"):
        text = getattr(obj, field)
        if text is not None and parse(text).nanos < 0:
            told = "must be greater than or equal to 0"
            out.append(invalid(Path(field), text, told))
    check_selector(obj.nodeTopology, Path("nodeTopology"), out)


def check_capacity_change(
    new: CSIStorageCapacity, old: CSIStorageCapacity, out: list[Problem]
) -> None:
    """Where stays; how much changes."""
    for field in ("nodeTopology", "storageClassName"):
        check_immutable(getattr(new, field), getattr(old, field), Path(field), out)


VALIDATORS: Final[dict[str, Rules]] = {
    "CSIDriver": rules(check_csi_driver, namespaced=False, change=check_csi_driver_change),
    "CSINode": rules(check_csi_node, namespaced=False, change=check_csi_node_change),
    "CSIStorageCapacity": rules(check_capacity, change=check_capacity_change),
    "StorageClass": rules(check_storage_class, namespaced=False, change=check_storage_class_change),
    "VolumeAttachment": rules(
        check_attachment,
        namespaced=False,
        change=check_attachment_change,
        status=validate_attachment_status_update,
    ),
    "VolumeAttributesClass": rules(
        check_attributes_class, namespaced=False, change=check_attributes_class_change
    ),
}
