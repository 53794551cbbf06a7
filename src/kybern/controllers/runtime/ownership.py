"""Whose an object is.

In:   an owner with a selector, and objects that are or could be its own.
Out:  which are its own, which to adopt and which to release; and those two carried out.
By:   deployment, replicaset.

An object is controlled by at most one owner: the ownerReference with `controller: true`. An owner
adopts what it selects and nobody controls, and releases what it controls and no longer selects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from kybern.api import errors
from kybern.api.meta.v1 import OwnerReference
from kybern.api.scheme import SCHEME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kybern.api.selectors import Selector
    from kybern.client.informer import Informer
    from kybern.client.rest import Client

T = TypeVar("T")

BY_CONTROLLER = "controller"
ORPHANS = "orphans"


def controller_of(obj: Any) -> OwnerReference | None:
    """Return the reference to the object's controller."""
    for reference in obj.metadata.ownerReferences or ():
        if reference.controller:
            return reference  # type: ignore[no-any-return]
    return None


def is_controlled_by(obj: Any, owner: Any) -> bool:
    """Whether `owner`, this very incarnation of it, controls the object."""
    reference = controller_of(obj)
    return reference is not None and reference.uid == owner.metadata.uid


def reference_to(owner: Any) -> OwnerReference:
    """Return the reference that makes `owner` the controller of an object."""
    kind = SCHEME.of(owner)
    return OwnerReference(
        apiVersion=kind.api_version,
        kind=kind.kind,
        name=owner.metadata.name,
        uid=owner.metadata.uid,
        controller=True,
        blockOwnerDeletion=True,
    )


def _controller_uid(obj: Any) -> list[str]:
    reference = controller_of(obj)
    return [reference.uid] if reference is not None else []


def _orphan_namespace(obj: Any) -> list[str]:
    return [] if controller_of(obj) is not None else [obj.metadata.namespace or ""]


INDEXERS = {BY_CONTROLLER: _controller_uid, ORPHANS: _orphan_namespace}
"""What an informer needs so that claims cost what is claimed, not what exists."""


@dataclass(frozen=True, slots=True)
class Claim(Generic[T]):
    """A sorting of objects: mine and staying so, to be adopted, to be released."""

    owned: tuple[T, ...]
    adopt: tuple[T, ...]
    release: tuple[T, ...]


def sort_out(
    owner: Any,
    selector: Selector,
    candidates: Iterable[T],
    accepts: Callable[[T], bool] | None = None,
) -> Claim[T]:
    """Decide for each candidate whether it is, becomes or ceases to be the owner's.

    It has to be selected, and be what the owner `accepts`.
    """
    owned: list[T] = []
    adopt: list[T] = []
    release: list[T] = []
    dying = owner.metadata.deletionTimestamp is not None
    for candidate in candidates:
        obj: Any = candidate
        reference = controller_of(obj)
        selected = selector.matches(obj.metadata.labels)
        if selected and accepts is not None:
            selected = accepts(candidate)
        if reference is not None:
            if reference.uid != owner.metadata.uid:
                continue
            if selected:
                owned.append(candidate)
            elif not dying:
                release.append(candidate)
        elif selected and not dying and obj.metadata.deletionTimestamp is None:
            adopt.append(candidate)
    return Claim(tuple(owned), tuple(adopt), tuple(release))


def candidates(informer: Informer[T], owner: Any) -> list[T]:
    """Return what the owner controls and what nobody in its namespace does."""
    found = informer.by_index(BY_CONTROLLER, owner.metadata.uid)
    found += informer.by_index(ORPHANS, owner.metadata.namespace or "")
    return found


async def claim(
    client: Client,
    owner: Any,
    selector: Selector,
    informer: Informer[T],
    accepts: Callable[[T], bool] | None = None,
    *,
    finalizer: str = "",
) -> tuple[list[T], list[T]]:
    """Adopt and release as needed; return what the owner has and what was written for that.

    What is adopted gets the finalizer, if there is one, and loses it with its owner.

    Raises:
        Conflict: the owner is not what the cache says, so it must not adopt.
    """
    sorted_out = sort_out(owner, selector, candidates(informer, owner), accepts)
    owned = list(sorted_out.owned)
    written: list[T] = []
    if sorted_out.adopt:
        await _check_still_there(client, owner)
    for obj in sorted_out.adopt:
        adopted = await _adopt(client, owner, obj, finalizer)
        if adopted is not None:
            owned.append(adopted)
            written.append(adopted)
    for obj in sorted_out.release:
        released = await _release(client, owner, obj, finalizer)
        if released is not None:
            written.append(released)
    return owned, written


async def _check_still_there(client: Client, owner: Any) -> None:
    # The cache may not know yet that the owner was deleted; adopting for the dead leaks.
    metadata = owner.metadata
    fresh: Any = await client.get(type(owner), metadata.name, metadata.namespace or "")
    kind = SCHEME.of(owner)
    if fresh.metadata.uid != metadata.uid:
        raise errors.Conflict.of(kind, metadata.name, "it was deleted and created again")
    if fresh.metadata.deletionTimestamp is not None:
        raise errors.Conflict.of(kind, metadata.name, "it is being deleted")


async def _adopt(client: Client, owner: Any, obj: Any, finalizer: str) -> Any:
    reference = reference_to(owner)
    patch: dict[str, Any] = {
        "metadata": {
            "uid": obj.metadata.uid,
            "ownerReferences": [
                {
                    "apiVersion": reference.apiVersion,
                    "kind": reference.kind,
                    "name": reference.name,
                    "uid": reference.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        }
    }
    if finalizer:
        patch["metadata"]["finalizers"] = [finalizer]
    return await _patch(client, obj, patch)


async def _release(client: Client, owner: Any, obj: Any, finalizer: str) -> Any:
    gone = [{"$patch": "delete", "uid": owner.metadata.uid}]
    metadata: dict[str, Any] = {"uid": obj.metadata.uid, "ownerReferences": gone}
    if finalizer:
        metadata["$deleteFromPrimitiveList/finalizers"] = [finalizer]
    return await _patch(client, obj, {"metadata": metadata})


async def _patch(client: Client, obj: Any, patch: dict[str, Any]) -> Any:
    try:
        metadata = obj.metadata
        return await client.patch(
            type(obj), metadata.name, metadata.namespace or "", patch, type="strategic"
        )
    except (errors.NotFound, errors.Invalid, errors.Conflict) as error:
        # Gone, or another incarnation, or claimed by another: then it is not ours to decide.
        if isinstance(error, errors.NotFound | errors.Conflict):
            return None
        if "uid" in error.message or "Only one reference" in error.message:
            return None
        raise
