"""What the server decides about an object's metadata.

In:   the metadata a client sent, the old one, and the request.
Out:  the same metadata with the fields that are not the client's to choose set.
By:   registry.generic, in upstream's order (`rest/create.go`, `rest/update.go`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import errors
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.api.meta.v1 import ObjectMeta
    from kybern.apiserver.context import RequestContext
    from kybern.apiserver.registry.resource import Resource


def place(ctx: RequestContext, resource: Resource, meta: ObjectMeta) -> None:
    """Put a new object where the path says, and drop what clients cannot set.

    Raises:
        BadRequest: the body names another namespace.
    """
    if resource.namespaced:
        if not meta.namespace:
            meta.namespace = ctx.namespace
        elif meta.namespace != ctx.namespace:
            raise errors.BadRequest(
                "the namespace of the provided object does not match the namespace sent on the "
                "request"
            )
    elif meta.namespace:
        meta.namespace = None
    meta.deletionTimestamp = None
    meta.deletionGracePeriodSeconds = None
    meta.selfLink = None
    meta.uid = None
    meta.creationTimestamp = None
    meta.generation = None


def identify(ctx: RequestContext, meta: ObjectMeta) -> None:
    """Give a new object its name, uid and time of creation."""
    services = ctx.services
    if not meta.name and meta.generateName:
        meta.name = services.identities.name(meta.generateName)
    meta.uid = services.identities.uid()
    meta.creationTimestamp = rfc3339(services.clock.now())
    meta.generation = None


def check_new(meta: ObjectMeta) -> None:
    """Refuse to create what was stored before, as a manifest saved from a cluster says.

    Raises:
        ApiError: it has a version. Upstream calls that an error of the server.
    """
    version = meta.resourceVersion or ""
    if version.isdecimal() and version.strip("0"):
        raise errors.ApiError("resourceVersion should not be set on objects to be created")


def check_place(ctx: RequestContext, resource: Resource, meta: ObjectMeta, name: str) -> None:
    """Refuse an update whose body is for another object than the path.

    Raises:
        BadRequest: name or namespace differ.
    """
    if not meta.name:
        meta.name = name
    elif meta.name != name:
        raise errors.BadRequest(
            f"the name of the object ({meta.name}) does not match the name on the URL ({name})"
        )
    if not resource.namespaced:
        meta.namespace = None
    elif not meta.namespace:
        meta.namespace = ctx.namespace
    elif meta.namespace != ctx.namespace:
        raise errors.BadRequest(
            f"the namespace of the object ({meta.namespace}) does not match the namespace on the "
            f"URL ({ctx.namespace})"
        )


def inherit(new: ObjectMeta, old: ObjectMeta) -> None:
    """Carry over what an update may leave out; what it may not change is validated later."""
    new.generation = old.generation
    new.selfLink = None
    new.uid = new.uid or old.uid
    new.creationTimestamp = new.creationTimestamp or old.creationTimestamp
    new.deletionTimestamp = new.deletionTimestamp or old.deletionTimestamp
    if new.deletionGracePeriodSeconds is None:
        new.deletionGracePeriodSeconds = old.deletionGracePeriodSeconds
    new.generateName = new.generateName or old.generateName


def check_version(
    resource: Resource, new: ObjectMeta, old: ObjectMeta, *, unconditional: bool
) -> None:
    """Refuse an update of another version than the stored one.

    Raises:
        Conflict: the object changed in between, or is another one of the same name.
        Invalid: the kind wants to be told the version.
    """
    name = old.name or ""
    if new.uid and new.uid != old.uid:
        raise errors.Conflict.of(
            resource.kind, name, precondition_text("UID", new.uid, old.uid or "")
        )
    if not new.resourceVersion or new.resourceVersion == "0":
        if unconditional:
            new.resourceVersion = old.resourceVersion
            return
        from kybern.api.field_path import Path, invalid

        problem = invalid(
            Path("metadata") / "resourceVersion", 0, "must be specified for an update"
        )
        raise errors.Invalid.of(resource.kind, name, [problem])
    if new.resourceVersion != old.resourceVersion:
        raise errors.Conflict.of(resource.kind, name)


def check_preconditions(resource: Resource, meta: ObjectMeta, wanted: Any) -> None:
    """Refuse to touch an object that is not the one the client means.

    Raises:
        Conflict: uid or resourceVersion differ.
    """
    if wanted is None:
        return
    if wanted.uid is not None and wanted.uid != meta.uid:
        text = precondition_text("UID", wanted.uid, meta.uid or "")
        raise errors.Conflict.of(resource.kind, meta.name or "", text)
    if wanted.resourceVersion is not None and wanted.resourceVersion != meta.resourceVersion:
        text = precondition_text(
            "ResourceVersion", wanted.resourceVersion, meta.resourceVersion or ""
        )
        raise errors.Conflict.of(resource.kind, meta.name or "", text)


def check_deletable(resource: Resource, meta: ObjectMeta, wanted: Any) -> None:
    """Refuse to delete an object that is not the one the client means.

    Upstream words it otherwise than for an update, and names the kind instead of the resource.

    Raises:
        Conflict: uid or resourceVersion differ.
    """
    if wanted is None:
        return
    for what, asked, found, since in (
        ("UID", wanted.uid, meta.uid, "deleted and then recreated"),
        ("ResourceVersion", wanted.resourceVersion, meta.resourceVersion, "modified"),
    ):
        if asked is not None and asked != found:
            raise errors.Conflict.of(
                KindNamed(resource.kind),
                meta.name or "",
                f"the {what} in the precondition ({asked}) does not match the {what} in record"
                f" ({found}). The object might have been {since}",
            )


class KindNamed:
    """A kind that messages call `Pod` rather than `pods`."""

    def __init__(self, kind: errors.Named) -> None:
        self.group = kind.group
        self.kind = self.plural = kind.kind
        self.group_resource = f"{kind.kind}.{kind.group}" if kind.group else kind.kind


def precondition_text(what: str, wanted: str, found: str) -> str:
    """Say which precondition failed."""
    return f"Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}"
