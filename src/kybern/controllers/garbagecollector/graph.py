"""Who owns whom.

In:   the metadata of objects as they come, change and go, of every kind.
Out:  work: objects to look at, because something about their owners or dependents changed.
By:   garbagecollector.controller. Pure bookkeeping.

An owner that is named by a dependent and has not been seen gets a place too (`observed` is false):
it may be on its way, or be long gone, which somebody has to find out.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kybern.api.scheme import Kind
    from kybern.client.metadata import Owner

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


class Verb(Enum):
    """What to do about an object."""

    CONSIDER = "consider"  # may it stay? if it waits for its dependents, may it go?
    ORPHAN = "orphan"  # its dependents are to be released
    VERIFY = "verify"  # does it exist at all?


class Work(NamedTuple):
    """An object that needs attention."""

    verb: Verb
    uid: str


class Node:
    """An object in the graph.

    Attributes:
        kind: its kind; None as long as it is only known from a reference.
        reference: how a dependent names it, when it has not been observed.
        deleting: it has a deletionTimestamp.
        foreground: it is deleted, and waits until its dependents are.
    """

    __slots__ = (
        "deleting", "dependents", "foreground", "kind", "name", "namespace", "owners",
        "reference", "uid",
    )  # fmt: skip

    def __init__(self, uid: str, namespace: str, name: str) -> None:
        self.uid = uid
        self.namespace = namespace
        self.name = name
        self.kind: Kind | None = None
        self.reference: Owner | None = None
        self.owners: tuple[Owner, ...] = ()
        self.dependents: dict[str, None] = {}  # in the order they came
        self.deleting = False
        self.foreground = False

    @property
    def observed(self) -> bool:
        """Whether the object itself has been seen."""
        return self.kind is not None

    def blocks(self, owner: str) -> bool:
        """Whether the owner of this uid must wait for this object."""
        return any(ref.uid == owner and ref.blockOwnerDeletion for ref in self.owners)


class Graph:
    """Objects by uid, linked both ways."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, uid: str) -> Node | None:
        """Return an object, or None."""
        return self._nodes.get(uid)

    def dependents(self, node: Node) -> list[Node]:
        """Return what an object owns."""
        return [self._nodes[uid] for uid in node.dependents]

    def of_kind(self, kind: Kind) -> Iterator[Node]:
        """Yield the observed objects of a kind."""
        wanted = (kind.group, kind.plural)
        for node in self._nodes.values():
            if node.kind is not None and (node.kind.group, node.kind.plural) == wanted:
                yield node

    def observe(self, kind: Kind, metadata: Any) -> list[Work]:
        """Take note of an object as it is now; `metadata` is an ObjectMeta or a partial one."""
        uid = metadata.uid or ""
        node = self._nodes.get(uid)
        if node is None:
            node = self._nodes[uid] = Node(uid, metadata.namespace or "", metadata.name or "")
        node.kind, node.reference = kind, None
        node.namespace, node.name = metadata.namespace or "", metadata.name or ""
        work = self._relink(node, tuple(metadata.ownerReferences or ()))
        work += self._transitions(node, metadata)
        return work

    def vanish(self, uid: str) -> list[Work]:
        """Take note that an object is gone: others lost an owner, or a dependent."""
        node = self._nodes.pop(uid, None)
        if node is None:
            return []
        node.dependents.pop(uid, None)  # nothing keeps anybody from naming himself
        work = [Work(Verb.CONSIDER, dependent) for dependent in sorted(node.dependents)]
        for reference in node.owners:
            owner = self._nodes.get(reference.uid)
            if owner is None:
                continue
            owner.dependents.pop(uid, None)
            if owner.foreground:
                work.append(Work(Verb.CONSIDER, owner.uid))
            self._drop_if_unknown(owner)
        if node.dependents:
            # They still name it; until they are gone or changed it has to be known as missing.
            self._nodes[uid] = ghost = Node(uid, node.namespace, node.name)
            ghost.dependents = node.dependents
            ghost.reference = self._reference_to(node)
        return work

    def _relink(self, node: Node, owners: tuple[Owner, ...]) -> list[Work]:
        if owners == node.owners:
            return []
        before = {reference.uid: reference for reference in node.owners}
        after = {reference.uid: reference for reference in owners}
        node.owners = owners
        work: list[Work] = []
        for uid, reference in after.items():
            if uid not in before:
                work += self._link(node, reference)
        for uid, reference in before.items():
            now = after.get(uid)
            released = reference.blockOwnerDeletion and not (now and now.blockOwnerDeletion)
            if released and (owner := self._nodes.get(uid)) is not None and owner.foreground:
                work.append(Work(Verb.CONSIDER, uid))
            if now is None and (owner := self._nodes.get(uid)) is not None:
                owner.dependents.pop(node.uid, None)
                self._drop_if_unknown(owner)
        return work

    def _link(self, node: Node, reference: Owner) -> list[Work]:
        owner = self._nodes.get(reference.uid)
        work: list[Work] = []
        if owner is None:
            owner = self._nodes[reference.uid] = Node(reference.uid, node.namespace, reference.name)
            owner.reference = reference
            work.append(Work(Verb.VERIFY, owner.uid))
        elif not owner.observed:
            work.append(Work(Verb.VERIFY, owner.uid))
        elif owner.foreground:
            # Born into a family that is being deleted.
            work.append(Work(Verb.CONSIDER, node.uid))
        owner.dependents[node.uid] = None
        return work

    def _transitions(self, node: Node, metadata: Any) -> list[Work]:
        finalizers = metadata.finalizers or ()
        deleting = metadata.deletionTimestamp is not None
        work: list[Work] = []
        if deleting and ORPHAN in finalizers:
            work.append(Work(Verb.ORPHAN, node.uid))
        foreground = deleting and FOREGROUND in finalizers
        if foreground and not node.foreground:
            work += [Work(Verb.CONSIDER, dependent) for dependent in sorted(node.dependents)]
            work.append(Work(Verb.CONSIDER, node.uid))
        node.deleting, node.foreground = deleting, foreground
        return work

    def _drop_if_unknown(self, owner: Node) -> None:
        if not owner.observed and not owner.dependents:
            self._nodes.pop(owner.uid, None)

    def _reference_to(self, node: Node) -> Owner | None:
        for dependent in node.dependents:
            for reference in self._nodes[dependent].owners:
                if reference.uid == node.uid:
                    return reference
        return None


def blocking(dependents: Iterable[Node], owner: str) -> list[Node]:
    """Return the dependents that an owner must wait for."""
    return [node for node in dependents if node.blocks(owner)]
