"""labelSelector and fieldSelector.

In:   the query of a list, watch or deletecollection.
Out:  a Choice that says of each entry whether it is meant; None when all are.
By:   those handlers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import errors, selectors

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.apiserver.context import RequestContext
    from kybern.apiserver.registry.resource import Resource
    from kybern.store.interface import Entry


class Choice:
    """What labels and fields the chosen objects have."""

    __slots__ = ("_fields", "_labels", "_look", "_see")

    def __init__(
        self,
        labels: selectors.Selector | None,
        fields: tuple[tuple[Callable[[Any], str], str, bool], ...],
        look: Callable[[bytes], Any],
        see: Callable[[Entry], bytes] | None = None,
    ) -> None:
        self._labels = labels
        self._fields = fields
        self._look = look
        self._see = see

    def takes(self, entry: Entry) -> bool:
        """Say whether an object is chosen."""
        peek = entry.attributes if self._see is None else self._look(self._see(entry))
        if peek is None:
            peek = self._look(entry.held)
        for getter, value, equal in self._fields:
            if (getter(peek) == value) is not equal:
                return False
        return self._labels is None or self._labels.matches(peek.metadata.labels)


def choice(ctx: RequestContext, resource: Resource) -> tuple[Choice | None, str]:
    """Return the selectors of a query, and the one name it is narrowed to, or "".

    Raises:
        BadRequest: a selector cannot be read, or the kind has no such field.
    """
    if not ctx.request.query:
        return None, ""
    labels_text, fields_text = ctx.param("labelSelector"), ctx.param("fieldSelector")
    if not labels_text and not fields_text:
        return None, ""
    try:
        labels = selectors.parse(labels_text) if labels_text else None
        terms = selectors.parse_fields(fields_text) if fields_text else ()
    except selectors.SelectorError as error:
        raise errors.BadRequest(str(error)) from None
    resource.fields.check(terms)
    name = ""
    getters = resource.fields.getters
    fields = []
    for term in terms:
        if term.field == "metadata.name" and term.operator == "=" and not name:
            name = term.value
        fields.append((getters[term.field], term.value, term.operator == "="))
    if labels is not None and labels.everything:
        labels = None
    if not fields and labels is None:
        return None, ""
    see = resource.wire if fields and resource.chosen_as_shown else None
    return Choice(labels, tuple(fields), resource.fields.look, see), name
