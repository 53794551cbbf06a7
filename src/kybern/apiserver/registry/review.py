"""What admission plugins look at: one operation on one object.

In:   made by registry.generic and handlers.connect.
Out:  plugins read it; mutating ones may change or replace `obj`.
By:   admission.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kybern.apiserver.context import RequestContext
    from kybern.apiserver.registry.resource import Resource

CREATE, UPDATE, DELETE, CONNECT = "CREATE", "UPDATE", "DELETE", "CONNECT"


class Review:
    """One operation under review.

    Attributes:
        obj: the new object; None for DELETE.
        old: the object as stored; None for CREATE.
        options: of a DELETE or CONNECT.
        subresource: the part of the object that is written, or "".
        reinvoke: a policy has changed the object, so what came before it is to look again.
        history: what the policies remember of the first round.
        shown_to: what each webhook has seen, when there was a first round.
    """

    __slots__ = (
        "ctx", "history", "obj", "old", "operation", "options", "reinvoke", "resource",
        "shown_to", "subresource",
    )  # fmt: skip

    def __init__(
        self,
        ctx: RequestContext,
        operation: str,
        resource: Resource,
        obj: Any,
        old: Any = None,
        options: Any = None,
    ) -> None:
        self.ctx = ctx
        self.operation = operation
        self.resource = resource
        self.subresource = ctx.subresource
        self.obj = obj
        self.old = old
        self.options = options
        self.reinvoke = False
        self.history: Any = None
        self.shown_to: dict[Any, Any] | None = None

    @property
    def namespace(self) -> str:
        """The namespace of the object, or "" for one without."""
        return self.ctx.namespace if self.resource.namespaced else ""

    @property
    def name(self) -> str:
        """The object's name; "" while it is yet to be generated."""
        if self.obj is not None:
            return self.obj.metadata.name or self.ctx.name
        return self.old.metadata.name if self.old is not None else self.ctx.name
