"""What the variables of expressions stand for, each made when it is first asked for.

In:   a Review, and the form in which the object is wanted.
Out:  a Subject: `object`, `oldObject`, `request`, `namespaceObject`, `authorizer`.
By:   validating, mutating. Facts: upstream's `admission/plugin/cel/condition.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import codec
from kybern.api.custom.kinds import CustomKind
from kybern.api.expressions.authorizer import Asked, Authorizer, Decision, ResourceCheck
from kybern.apiserver.context import AUTHENTICATED, Attributes, User
from kybern.apiserver.registry.resource import ConvertedResource
from kybern.apiserver.registry.review import CONNECT, CREATE, DELETE, UPDATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.core.v1 import Namespace
    from kybern.api.scheme import Kind
    from kybern.apiserver.admission.looking import Lookup
    from kybern.apiserver.registry.resource import Resource
    from kybern.apiserver.registry.review import Review

OPTIONS = {CREATE: "CreateOptions", UPDATE: "UpdateOptions", DELETE: "DeleteOptions"}
CONNECTIONS = {
    "exec": "PodExecOptions", "attach": "PodAttachOptions", "portforward": "PodPortForwardOptions",
    "log": "PodLogOptions",
}  # fmt: skip
FLAGS = frozenset(("stdin", "stdout", "stderr", "tty"))
NAMESPACE_META = frozenset(
    (
        "name", "generateName", "namespace", "uid", "resourceVersion", "generation",
        "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "labels",
        "annotations", "finalizers",
    )
)  # fmt: skip


class Subject(dict[str, Any]):
    """The variables of one request, by name."""

    def __init__(self, review: Review, resource: Resource, namespaces: Lookup[Namespace]) -> None:
        super().__init__()
        self.review = review
        self.resource = resource
        self._namespaces = namespaces
        self._answers: dict[Asked, Decision] = {}

    def __missing__(self, name: str) -> Any:
        value = self[name] = self._MAKERS[name](self)
        return value

    def _object(self) -> Any:
        review = self.review
        if review.operation == CONNECT:
            return _connection(review)
        return None if review.obj is None else self._tree(review.obj)

    def _old_object(self) -> Any:
        return None if self.review.old is None else self._tree(self.review.old)

    def _tree(self, obj: Any) -> dict[str, Any]:
        return codec.to_tree(self.shown(obj))

    def shown(self, obj: Any) -> Any:
        """Return an object in the form that is wanted."""
        view = view_of(self.review)
        if view is not None:
            return view.read(obj)
        return converted(obj, self.review.resource, self.resource)

    def _namespace(self) -> dict[str, Any] | None:
        review = self.review
        if not review.namespace:
            return None
        namespace = self._namespaces.get(review.namespace)
        if namespace is None:
            return None
        tree = codec.to_tree(namespace)
        meta = tree["metadata"]
        tree["metadata"] = {name: meta[name] for name in meta if name in NAMESPACE_META}
        return tree

    def _request(self) -> dict[str, Any]:
        review, ctx = self.review, self.review.ctx
        asked = review.resource.kind
        tree: dict[str, Any] = {
            "kind": _kind(_shown_kind(review, self.resource.kind)),
            "resource": _resource(self.resource.kind),
            "requestKind": _kind(_shown_kind(review, asked)),
            "requestResource": _resource(asked),
            "operation": review.operation,
            "userInfo": _user(ctx.user),
            "dryRun": ctx.dry_run,
            "options": _options(review),
        }
        if review.subresource:
            tree["subResource"] = tree["requestSubResource"] = review.subresource
        namespace = review.namespace or (review.name if asked.kind == "Namespace" else "")
        return tree | _given(name=review.name, namespace=namespace)

    def _authorizer(self) -> Authorizer:
        return Authorizer(self._ask)

    def _request_resource(self) -> ResourceCheck:
        review = self.review
        kind = review.resource.kind
        asked = Asked(
            "", group=kind.group, resource=kind.plural, subresource=review.subresource,
            namespace=review.namespace, name=review.name,
        )  # fmt: skip
        return ResourceCheck(self["authorizer"], asked)

    def _ask(self, asked: Asked) -> Decision:
        known = self._answers.get(asked)
        if known is None:
            ctx = self.review.ctx
            user = ctx.user if asked.account is None else _account(*asked.account)
            verdict = ctx.services.authorizer.authorize(
                Attributes(
                    user, asked.verb, group=asked.group, version="*" if asked.resource else "",
                    plural=asked.resource, subresource=asked.subresource,
                    namespace=asked.namespace, name=asked.name, path=asked.path,
                )
            )  # fmt: skip
            allowed = user.master or verdict.allowed is True
            known = self._answers[asked] = Decision(allowed, verdict.reason)
        return known

    _MAKERS: dict[str, Callable[[Subject], Any]] = {  # noqa: RUF012  # a table, never changed
        "object": _object, "oldObject": _old_object, "namespaceObject": _namespace,
        "request": _request, "authorizer": _authorizer,
        "authorizer.requestResource": _request_resource,
    }  # fmt: skip


def view_of(review: Review) -> Any:
    """Return the view through which a subresource shows the object; None: as it is."""
    part = review.resource.subresources.get(review.subresource) if review.subresource else None
    return None if part is None else part.view


def converted(obj: Any, given: Resource, wanted: Resource) -> Any:
    """Return an object of one resource as another that has the same storage."""
    if given is wanted:
        return obj
    if isinstance(given.kind, CustomKind):  # versions of one kind differ in name only
        tree = {**codec.to_tree(obj), "apiVersion": wanted.kind.api_version}
        return wanted.rebuilt(tree, wanted.struct)
    stored = given.to_stored(obj) if isinstance(given, ConvertedResource) else obj
    return wanted.from_stored(stored) if isinstance(wanted, ConvertedResource) else stored


def kind_of(review: Review) -> Kind:
    """Return the kind of the object under review: that of a Binding is not that of its pod."""
    part = review.resource.subresources.get(review.subresource) if review.subresource else None
    return review.resource.kind if part is None else part.kind or review.resource.kind


def _shown_kind(review: Review, kind: Kind) -> tuple[str, str, str]:
    if review.operation == CONNECT:
        name = CONNECTIONS.get(review.subresource, f"{kind.kind}ProxyOptions")
        return kind.group, kind.version, name
    view = view_of(review)
    if view is not None:
        kind = view.kind
    elif kind_of(review) is not review.resource.kind:
        kind = kind_of(review)
    return kind.group, kind.version, kind.kind


def _kind(names: tuple[str, str, str]) -> dict[str, str]:
    return dict(zip(("group", "version", "kind"), names, strict=True))


def _resource(kind: Kind) -> dict[str, str]:
    return {"group": kind.group, "version": kind.version, "resource": kind.plural}


def _user(user: User) -> dict[str, Any]:
    tree: dict[str, Any] = {"username": user.name}
    return tree | _given(uid=user.uid, groups=list(user.groups), extra=user.extra)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _account(namespace: str, name: str) -> User:
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    return User(f"system:serviceaccount:{namespace}:{name}", groups[:2])


def _options(review: Review) -> dict[str, Any] | None:
    if review.operation == CONNECT:
        return None
    if review.options is not None:
        return codec.to_tree(review.options)
    ctx = review.ctx
    tree: dict[str, Any] = {
        "kind": OPTIONS[review.operation], "apiVersion": "meta.k8s.io/v1",
    }  # fmt: skip
    return tree | _given(
        dryRun=["All"] if ctx.dry_run else None,
        fieldManager=ctx.field_manager,
        fieldValidation=ctx.field_validation,
    )


def _connection(review: Review) -> dict[str, Any]:
    """Return what a conversation was asked for, as the object that upstream makes of the query."""
    group, version, name = _shown_kind(review, review.resource.kind)
    del group
    tree: dict[str, Any] = {"kind": name, "apiVersion": version}
    for key, values in review.ctx.params.items():
        if key == "command":
            tree[key] = values
        elif key in FLAGS:
            tree[key] = values[0] in ("true", "1")
        else:
            tree[key] = values[0]
    return tree


def restored(review: Review, wanted: Resource, shown: Any) -> Any:
    """Return the object of a review from a changed form of it."""
    view = view_of(review)
    if view is None:
        return converted(shown, wanted, review.resource)
    obj = codec.clone(review.obj)
    view.write(obj, shown)
    return obj
