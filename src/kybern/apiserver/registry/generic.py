"""Create, update and delete over the store, for every kind.

In:   a request's context, its resource, and a decoded object or a change to one.
Out:  the stored Entry; or an ApiError.
By:   handlers. The order of the steps is upstream's and clients can see it; see `create`.

The object passed in is used up: it is changed on the way and must not be used again.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from kybern.api import errors
from kybern.apiserver.registry import deletion, managed, metadata
from kybern.apiserver.registry.review import CREATE, DELETE, UPDATE, Review
from kybern.lib import logs
from kybern.store.interface import Entry, KeyExists, Mismatch

if TYPE_CHECKING:
    from kybern.api.meta.v1 import DeleteOptions
    from kybern.apiserver.context import RequestContext
    from kybern.apiserver.registry.resource import Resource
    from kybern.apiserver.registry.strategy import Strategy

log = logs.get("apiserver")

NAME_ATTEMPTS = 8
"""How many generated names are tried before the client is told that all were taken."""
RETRIES = 100
"""How often a change without a resourceVersion is tried again on a newer object."""


class Change(Protocol):
    """How an update makes the new object from the old one."""

    retries: int
    """How often it may be tried on a newer object."""
    records_owners: bool
    """Whether `apply` itself keeps managedFields."""

    def apply(self, ctx: RequestContext, old: Any | None) -> Any:
        """Return the new object, decoded and defaulted; `old` None: there is none yet."""
        ...


class Written(NamedTuple):
    """An object as it was stored."""

    entry: Entry
    created: bool = False


def find(ctx: RequestContext, resource: Resource) -> Entry:
    """Return the object the path names.

    Raises:
        NotFound: there is none.
    """
    entry: Entry | None = ctx.services.store.get(resource.key(ctx.namespace, ctx.name))
    if entry is None:
        raise errors.NotFound.of(resource.kind, ctx.name)
    return entry


async def create(
    ctx: RequestContext,
    resource: Resource,
    obj: Any,
    *,
    records_owners: bool = False,
    must_be_new: bool = False,
) -> Entry:
    """Store a new object: place, admit, identify, prepare, validate, admit, write.

    With `records_owners` the object already says who owns its fields; with `must_be_new` it may
    not say that it was stored before.
    """
    strategy, meta = resource.strategy, obj.metadata
    metadata.place(ctx, resource, meta)
    generated = not meta.name and bool(meta.generateName)
    if not records_owners:
        managed.created(ctx, resource, obj)
    review = Review(ctx, CREATE, resource, obj)
    admission = ctx.services.admission
    if admission.mutates(review):
        await admission.mutate(review)
    obj = review.obj
    attempts = NAME_ATTEMPTS if generated else 1
    while True:
        attempts -= 1
        if generated:
            obj.metadata.name = None
        try:
            return await _create_once(ctx, resource, strategy, review, obj, must_be_new)
        except KeyExists:
            name = obj.metadata.name
            if not generated:
                raise errors.AlreadyExists.of(resource.kind, name) from None
            if not attempts:
                raise errors.AlreadyExists.generated(resource.kind, name) from None


async def _create_once(
    ctx: RequestContext,
    resource: Resource,
    strategy: Strategy,
    review: Review,
    obj: Any,
    must_be_new: bool,
) -> Entry:
    metadata.identify(ctx, obj.metadata)
    strategy.prepare_for_create(ctx, obj)
    strategy.authorize_write(ctx, obj, None)
    claim = strategy.claim(ctx, obj, None)
    try:
        problems = strategy.validate(ctx, obj)
        if problems:
            raise errors.Invalid.of(resource.kind, obj.metadata.name or "", problems)
        admission = ctx.services.admission
        if admission.validates(review):
            await admission.validate(review)
        strategy.warn(ctx, obj, None)
        if must_be_new and not ctx.dry_run:
            metadata.check_new(obj.metadata)
        data = await resource.encoded(obj) if resource.converts else resource.encode(obj)
        key = resource.key(obj.metadata.namespace or "", obj.metadata.name)
        store = ctx.services.store
        if ctx.dry_run:
            existing = store.get(key)
            if existing is not None:
                raise KeyExists(key, existing)
            return await _shown(resource, Entry(key, 0, 0, data))
        entry: Entry = await store.create(key, data, strategy.ttl)
    except BaseException:
        if claim is not None:
            claim.release()
        raise
    if claim is not None and (problem := claim.keep()):
        with contextlib.suppress(Mismatch):  # somebody has already changed or deleted it
            await ctx.services.store.delete(entry.key, entry)
        claim.release()
        raise errors.Conflict.of(resource.kind, obj.metadata.name, problem)
    return await _shown(resource, entry) if resource.converts else entry


async def _shown(resource: Resource, entry: Entry) -> Entry:
    """Return an entry once its served form is at hand."""
    if resource.converts:
        await resource.ready((entry,))
    return entry


async def update(
    ctx: RequestContext,
    resource: Resource,
    strategy: Strategy,
    change: Change,
    *,
    create_missing: bool = False,
) -> Written:
    """Change an object, again and again while others are faster.

    Raises:
        NotFound, Conflict, Invalid, Forbidden.
    """
    store = ctx.services.store
    key = resource.key(ctx.namespace, ctx.name)
    for _ in range(change.retries):
        entry = store.get(key)
        if entry is None:
            if not create_missing:
                raise errors.NotFound.of(resource.kind, ctx.name)
            new = change.apply(ctx, None)
            metadata.check_place(ctx, resource, new.metadata, ctx.name)
            entry = await create(ctx, resource, new, records_owners=change.records_owners)
            return Written(entry, created=True)
        try:
            return await _update_once(ctx, resource, strategy, change, entry)
        except Mismatch as lost:
            if lost.current is None and not create_missing:
                raise errors.NotFound.of(resource.kind, ctx.name) from None
    raise errors.Conflict.of(resource.kind, ctx.name)


async def _update_once(
    ctx: RequestContext, resource: Resource, strategy: Strategy, change: Change, entry: Entry
) -> Written:
    if resource.converts:
        await resource.ready((entry,))
    old = resource.decode(entry)
    new = change.apply(ctx, old)
    metadata.check_place(ctx, resource, new.metadata, ctx.name)
    metadata.check_version(
        resource, new.metadata, old.metadata, unconditional=strategy.unconditional_update
    )
    metadata.inherit(new.metadata, old.metadata)
    if not change.records_owners:
        managed.updated(ctx, resource, new, old)
    review = Review(ctx, UPDATE, resource, new, old)
    admission = ctx.services.admission
    if admission.mutates(review):
        await admission.mutate(review)
        new = review.obj
    strategy.prepare_for_update(ctx, new, old)
    strategy.authorize_write(ctx, new, old)
    claim = strategy.claim(ctx, new, old)  # first: what is required may be what it fills in
    try:
        if problems := strategy.validate_update(ctx, new, old):
            raise errors.Invalid.of(resource.kind, ctx.name, problems)
        if admission.validates(review):
            await admission.validate(review)
        strategy.warn(ctx, new, old)
        written = await _store_update(ctx, resource, strategy, new, old, entry)
    except BaseException:
        if claim is not None:
            claim.release()
        raise
    if claim is not None and (problem := claim.keep()):
        log.error("an object has what is another's", key=entry.key, why=problem)
    return written


async def _store_update(
    ctx: RequestContext,
    resource: Resource,
    strategy: Strategy,
    new: Any,
    old: Any,
    entry: Entry,
) -> Written:
    remove = strategy.finished(new, old)
    data = await resource.encoded(new) if resource.converts else resource.encode(new)
    store = ctx.services.store
    if not remove and data == entry.data and not store.stale(entry.key):
        return Written(entry)
    if ctx.dry_run:
        return Written(await _shown(resource, _unstored(entry, data)))
    if not remove:
        written = await store.update(entry.key, data, entry, strategy.ttl)
        return Written(await _shown(resource, written) if resource.converts else written)
    # The last finalizer went: the object goes with it, and the answer shows it as it was.
    gone = await store.delete(entry.key, entry)
    strategy.removed(ctx, old)
    return Written(await _shown(resource, Entry(entry.key, gone.revision, entry.created, data)))


def _unstored(entry: Entry, data: bytes) -> Entry:
    """Return what a dry run would have stored, with the version of what is there."""
    return Entry(entry.key, entry.revision, entry.created, data)


class Deleted(NamedTuple):
    """What became of an object that was to be deleted."""

    entry: Entry
    gone: bool


async def delete(
    ctx: RequestContext, resource: Resource, name: str, options: DeleteOptions
) -> Deleted:
    """Remove an object, or mark it and wait for its finalizers and its grace.

    Raises:
        NotFound, Conflict.
    """
    store = ctx.services.store
    key = resource.key(ctx.namespace, name)
    asked = options.gracePeriodSeconds
    for _ in range(RETRIES):
        entry = store.get(key)
        if entry is None:
            raise errors.NotFound.of(resource.kind, name)
        options.gracePeriodSeconds = asked
        try:
            return await _delete_once(ctx, resource, entry, options)
        except Mismatch:
            continue
    raise errors.Conflict.of(resource.kind, name)


async def _delete_once(
    ctx: RequestContext, resource: Resource, entry: Entry, options: DeleteOptions
) -> Deleted:
    strategy, store = resource.strategy, ctx.services.store
    if resource.converts:
        await resource.ready((entry,))
    old = resource.decode(entry)
    metadata.check_deletable(resource, old.metadata, options.preconditions)
    review = Review(ctx, DELETE, resource, None, old, options)
    admission = ctx.services.admission
    if admission.mutates(review):
        await admission.mutate(review)
    if admission.validates(review):
        await admission.validate(review)
    grace = strategy.grace(ctx, old, options)
    now = ctx.services.clock.now()
    plan = deletion.plan(old.metadata, options, grace, now, orphans=strategy.orphans)
    plan = strategy.adjust_deletion(ctx, old, plan)
    if plan.remove:
        if ctx.dry_run:
            return Deleted(entry, gone=True)
        gone = await store.delete(entry.key, entry)
        strategy.removed(ctx, old)
        return Deleted(await _shown(resource, gone), gone=True)
    deletion.apply(old.metadata, plan)
    data = await resource.encoded(old) if resource.converts else resource.encode(old)
    if data == entry.data:
        return Deleted(entry, gone=False)
    if ctx.dry_run:
        return Deleted(await _shown(resource, _unstored(entry, data)), gone=False)
    marked = await store.update(entry.key, data, entry, strategy.ttl)
    return Deleted(await _shown(resource, marked), gone=False)
