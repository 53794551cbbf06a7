"""Kinds come and go with their CustomResourceDefinitions.

In:   the definitions in the store.
Out:  resources in the registry; names accepted and conditions of definitions; objects of deleted
      kinds removed.
By:   app. Every API server serves kinds for itself; whoever is first writes the conditions.

Facts: apiextensions-apiserver/pkg/controller/{status,establish,finalizer}.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from kybern.api import codec, errors
from kybern.api.apiextensions.v1 import (
    CustomResourceDefinition,
    CustomResourceDefinitionNames,
)
from kybern.api.apiregistration.v1 import APIService, APIServiceSpec
from kybern.api.meta.v1 import ObjectMeta
from kybern.apiserver.registry.apiextensions.definitions import FINALIZER, set_condition
from kybern.lib import logs
from kybern.lib.clock import rfc3339
from kybern.store import keys
from kybern.store.interface import Mismatch, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kybern.apiserver.bootstrap.loopback import Loopback
    from kybern.apiserver.context import Services
    from kybern.apiserver.custom.resource import CustomResource

log = logs.get("apiserver.definitions")

PREFIX = "/registry/apiextensions.k8s.io/customresourcedefinitions/"
API_SERVICES = "/registry/apiregistration.k8s.io/apiservices/"
AUTOMATIC = "kube-aggregator.kubernetes.io/automanaged"
ATTEMPTS = 5


class Definitions:
    """Follows the definitions."""

    def __init__(self, services: Services, loopback: Loopback, changed: Callable[[], None]) -> None:
        """Know of none yet.

        Args:
            services: whose registry serves the kinds.
            loopback: writes conditions.
            changed: called when other kinds are served than before.
        """
        self._services = services
        self._loopback = loopback
        self._changed = changed
        self._known: dict[str, CustomResourceDefinition] = {}
        self._served: dict[str, list[CustomResource]] = {}

    def load(self) -> None:
        """Serve what is there, so that the first request finds it."""
        for entry in self._services.store.list(PREFIX).entries:
            self._take(codec.decode(entry.held, CustomResourceDefinition))

    async def run(self) -> None:
        """Keep up until cancelled."""
        listing, watcher = self._services.store.snapshot_and_watch(PREFIX)
        try:
            there = [codec.decode(e.held, CustomResourceDefinition) for e in listing.entries]
            for name in self._known.keys() - {each.metadata.name or "" for each in there}:
                self._drop(name)
            for definition in there:
                await self._see(definition)
            async for batch in watcher:
                for event in batch:
                    definition = codec.decode(event.entry.held, CustomResourceDefinition)
                    if event.type == "DELETED":
                        self._drop(definition.metadata.name or "")
                        await self._announce()
                        await self._settle_others(definition)
                    else:
                        await self._see(definition)
        finally:
            watcher.close()

    async def _see(self, definition: CustomResourceDefinition) -> None:
        self._take(definition)
        if definition.metadata.deletionTimestamp is not None:
            await self._remove_objects(definition)
        else:
            await self._settle(definition.metadata.name or "")
        await self._announce()

    # --- what is served ------------------------------------------------------------------------

    def _take(self, definition: CustomResourceDefinition) -> None:
        """Serve a definition as it is now, if it has its names."""
        name = definition.metadata.name or ""
        earlier = self._known.get(name)
        self._known[name] = definition
        deleted = definition.metadata.deletionTimestamp is not None
        if earlier is not None and name in self._served and _same(earlier, definition):
            for resource in self._served[name]:
                resource.rules.terminating = deleted
            return
        self._withdraw(name)
        if is_true(definition, "Established"):
            self._serve(definition)
        self._changed()

    def _serve(self, definition: CustomResourceDefinition) -> None:
        # Imported when the first kind is defined: a server without any starts sooner.
        from kybern.api.custom.kinds import kind_of
        from kybern.apiserver.custom.conversion import Conversion
        from kybern.apiserver.custom.resource import CustomResource, looks

        spec = definition.spec
        storage = next((v.name for v in spec.versions if v.storage), "")
        look = looks(definition)
        conversion = None
        if spec.conversion is not None and spec.conversion.strategy == "Webhook":
            conversion = Conversion(self._services, definition)
        made = [
            CustomResource(kind_of(definition, version), version, storage, look, conversion)
            for version in in_order(spec.versions)
            if version.served
        ]
        if made:
            prefix = keys.collection(spec.group, spec.names.plural)
            self._services.store.collection(prefix, made[0].fields.look)
        for resource in made:
            resource.rules.terminating = definition.metadata.deletionTimestamp is not None
            self._services.resources.add(resource)
        self._served[definition.metadata.name or ""] = made

    def _withdraw(self, name: str) -> None:
        for resource in self._served.pop(name, ()):
            self._services.resources.remove(resource)

    def _drop(self, name: str) -> None:
        self._known.pop(name, None)
        self._withdraw(name)
        self._changed()

    # --- names and conditions ------------------------------------------------------------------

    async def _settle(self, name: str) -> None:
        """Decide about a definition's names, and say so in its status."""
        for _ in range(ATTEMPTS):
            definition = self._loopback.get(CustomResourceDefinition, name)
            if definition is None or not self._judge(definition):
                return
            self._take(definition)  # first: who reads that it is established finds it served
            try:
                await self._loopback.update(definition, subresource="status")
            except errors.Conflict:
                continue
            except (errors.ApiError, StoreError) as error:
                log.warning("a condition was not written", name=name, why=str(error))
            return

    async def _settle_others(self, gone: CustomResourceDefinition) -> None:
        """Let others of the group have the names that are free now."""
        for name, definition in list(self._known.items()):
            if definition.spec.group == gone.spec.group:
                await self._settle(name)

    def _judge(self, definition: CustomResourceDefinition) -> bool:
        """Fill in names and conditions; return whether that changed anything."""
        status, before = definition.status, codec.encode(definition.status)
        names, taken = definition.spec.names, self._taken(definition)
        problem = _clash(names, taken)
        now = rfc3339(self._services.clock.now())
        if problem:
            reason, message = problem
            set_condition(definition, "NamesAccepted", "False", reason, message, now)
        else:
            status.acceptedNames = codec.clone(names)
            set_condition(
                definition, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now
            )
        if is_true(definition, "Established"):
            pass  # it stays so: its objects are there
        elif problem:
            set_condition(
                definition, "Established", "False", "NotAccepted", "not all names are accepted", now
            )
        else:
            told = "the initial names have been accepted"
            set_condition(definition, "Established", "True", "InitialNamesAccepted", told, now)
        return codec.encode(status) != before

    def _taken(self, definition: CustomResourceDefinition) -> dict[str, set[str]]:
        """Return the names that others of the group have, by what they name."""
        taken: dict[str, set[str]] = {"resource": set(), "kind": set()}
        for name, other in self._known.items():
            accepted = other.status.acceptedNames
            if (
                name == definition.metadata.name
                or other.spec.group != definition.spec.group
                or accepted is None
            ):
                continue
            taken["resource"] |= {accepted.plural, accepted.singular or ""}
            taken["resource"] |= set(accepted.shortNames or ())
            taken["kind"] |= {accepted.kind, accepted.listKind or ""}
        for words in taken.values():
            words.discard("")
        return taken

    async def _announce(self) -> None:
        """Have an APIService for each group version that is served, and none for others."""
        wanted = {
            f"{resource.kind.version}.{resource.kind.group}": resource.kind
            for made in self._served.values()
            for resource in made
        }
        there = {
            service.metadata.name or ""
            for entry in self._services.store.list(API_SERVICES).entries
            if (service := codec.decode(entry.held, APIService)).spec.service is None
            and (service.metadata.labels or {}).get(AUTOMATIC) == "true"
        }
        for name in there - wanted.keys():
            await self._loopback.delete(APIService, name)
        for name in wanted.keys() - there:
            kind = wanted[name]
            await self._loopback.create(
                APIService(
                    metadata=ObjectMeta(name=name, labels={AUTOMATIC: "true"}),
                    spec=APIServiceSpec(
                        group=kind.group, version=kind.version, groupPriorityMinimum=1000,
                        versionPriority=100,
                    ),
                )
            )  # fmt: skip

    # --- the end -------------------------------------------------------------------------------

    async def _remove_objects(self, definition: CustomResourceDefinition) -> None:
        """Delete every object of a kind that is to be gone, and then let the definition go."""
        name = definition.metadata.name or ""
        if FINALIZER not in (definition.metadata.finalizers or ()):
            return
        prefix = keys.collection(definition.spec.group, definition.spec.names.plural)
        left = await self._delete_all(prefix)
        if left:
            watching = self._services.store.watch(prefix, self._services.store.revision)
            try:
                while await self._delete_all(prefix):
                    await anext(watching)
            finally:
                watching.close()
        for _ in range(ATTEMPTS):
            found = self._loopback.get(CustomResourceDefinition, name)
            if found is None:
                return
            found.metadata.finalizers = [
                f for f in found.metadata.finalizers or () if f != FINALIZER
            ]
            try:
                await self._loopback.update(found)
            except errors.Conflict:
                continue
            return

    async def _delete_all(self, prefix: str) -> int:
        """Delete what has no finalizers, mark what has; return how many are still there."""
        store, left = self._services.store, 0
        for entry in store.list(prefix).entries:
            tree = codec.decode_tree(entry.data)
            metadata = tree["metadata"]
            with contextlib.suppress(Mismatch):
                if not metadata.get("finalizers"):
                    await store.delete(entry.key, entry)
                    continue
                if not metadata.get("deletionTimestamp"):
                    metadata["deletionTimestamp"] = rfc3339(self._services.clock.now())
                    metadata["deletionGracePeriodSeconds"] = 0
                    await store.update(entry.key, codec.encode(tree), entry)
            left += 1
        return left


def is_true(definition: CustomResourceDefinition, condition: str) -> bool:
    """Whether a definition has a condition."""
    conditions = definition.status.conditions or ()
    return any(each.type == condition and each.status == "True" for each in conditions)


def in_order(versions: Iterable[Any]) -> list[Any]:
    """Return versions as discovery has them: the most stable and newest first."""
    return sorted(versions, key=lambda each: _rank(each.name))


def _rank(name: str) -> tuple[int, int, int, str]:
    """Return what sorts `v10`, `v2`, `v1`, `v11beta2`, `v3beta1`, `v1alpha1`, `foo1`."""
    import re

    found = re.fullmatch(r"v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?", name)
    if found is None:
        return (3, 0, 0, name)
    stage = {None: 0, "beta": 1, "alpha": 2}[found[2]]
    return (stage, -int(found[1]), -int(found[3] or 0), "")


def _same(one: CustomResourceDefinition, other: CustomResourceDefinition) -> bool:
    return is_true(one, "Established") == is_true(other, "Established") and codec.equal(
        one.spec, other.spec
    )


def _clash(
    names: CustomResourceDefinitionNames, taken: dict[str, set[str]]
) -> tuple[str, str] | None:
    """Return why names cannot be had; None when they can."""
    wanted = (
        ("PluralConflict", "plural", names.plural, "resource"),
        ("SingularConflict", "singular", names.singular or "", "resource"),
        ("ShortNamesConflict", "shortNames", names.shortNames or (), "resource"),
        ("KindConflict", "kind", names.kind, "kind"),
        ("ListKindConflict", "listKind", names.listKind or "", "kind"),
    )
    for reason, _, value, table in wanted:
        for word in value if isinstance(value, (list, tuple)) else (value,):
            if word in taken[table]:
                return reason, f'"{word}" is already in use'
    return None
