"""`authorizer.group('').resource('pods').check('create').allowed()`.

In:   an Authorizer that asks; what is asked is put together by the expression.
Out:  `FUNCTIONS`, a table of overloads; the types of `authorizer` and `authorizer.requestResource`.
By:   libraries. Facts: upstream's `apiserver/pkg/cel/library/authz.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kybern.api import names
from kybern.lib.cel.declarations import Overload
from kybern.lib.cel.types import Type
from kybern.lib.cel.values import EvalError

if TYPE_CHECKING:
    from collections.abc import Callable

_PACKAGE = "kubernetes.authorization"
AUTHORIZER, PATH, GROUP, RESOURCE, DECISION = (
    f"{_PACKAGE}.{each}"
    for each in ("Authorizer", "PathCheck", "GroupCheck", "ResourceCheck", "Decision")
)
AUTHORIZER_TYPE, RESOURCE_TYPE = Type(AUTHORIZER), Type(RESOURCE)
CHECK_COST = 350_000


class Decision:
    """An authorizer's answer."""

    TYPE = DECISION
    __slots__ = ("allowed", "reason")

    def __init__(self, allowed: bool, reason: str) -> None:
        self.allowed = allowed
        self.reason = reason


class Asked(NamedTuple):
    """What is asked."""

    verb: str
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    account: tuple[str, str] | None = None


class Authorizer:
    """Asks for the user of the request, or for a service account."""

    TYPE = AUTHORIZER
    __slots__ = ("account", "ask")

    def __init__(
        self, ask: Callable[[Asked], Decision], account: tuple[str, str] | None = None
    ) -> None:
        self.ask = ask
        self.account = account


class PathCheck:
    """A question about a path."""

    TYPE = PATH
    __slots__ = ("authorizer", "path")

    def __init__(self, authorizer: Authorizer, path: str) -> None:
        self.authorizer = authorizer
        self.path = path


class GroupCheck:
    """The beginning of a question about a resource."""

    TYPE = GROUP
    __slots__ = ("authorizer", "group")

    def __init__(self, authorizer: Authorizer, group: str) -> None:
        self.authorizer = authorizer
        self.group = group


class ResourceCheck:
    """A question about a resource."""

    TYPE = RESOURCE
    __slots__ = ("asked", "authorizer")

    def __init__(self, authorizer: Authorizer, asked: Asked) -> None:
        self.authorizer = authorizer
        self.asked = asked


def _path(authorizer: Authorizer, path: str) -> PathCheck:
    if not path.strip():
        raise EvalError("path must not be empty")
    return PathCheck(authorizer, path)


def _service_account(authorizer: Authorizer, namespace: str, name: str) -> Authorizer:
    if names.dns1123_subdomain(name):
        raise EvalError("Invalid service account name")
    if names.dns1123_label(namespace):
        raise EvalError("Invalid service account namespace")
    return Authorizer(authorizer.ask, (namespace, name))


def _resource(check: GroupCheck, resource: str) -> ResourceCheck:
    if not resource.strip():
        raise EvalError("resource must not be empty")
    authorizer = check.authorizer
    asked = Asked("", group=check.group, resource=resource, account=authorizer.account)
    return ResourceCheck(authorizer, asked)


def _with(field: str) -> Callable[[ResourceCheck, str], ResourceCheck]:
    def narrowed(check: ResourceCheck, value: str) -> ResourceCheck:
        more: dict[str, Any] = {field: value}
        return ResourceCheck(check.authorizer, check.asked._replace(**more))

    return narrowed


def _same(check: ResourceCheck, selector: str) -> ResourceCheck:
    """Ask without the selector: nobody here decides by one."""
    del selector
    return check


def _check_path(check: PathCheck, verb: str) -> Decision:
    return check.authorizer.ask(Asked(verb, check.path, account=check.authorizer.account))


def _check_resource(check: ResourceCheck, verb: str) -> Decision:
    return check.authorizer.ask(check.asked._replace(verb=verb))


def _fixed(*_: Any) -> int:
    return CHECK_COST


def _member(signature: str, call: Any, cost: Any = None) -> tuple[Overload, ...]:
    return (Overload(signature, call, member=True, cost=cost),)


FUNCTIONS: dict[str, tuple[Overload, ...]] = {
    "path": _member(f"{AUTHORIZER}, string -> {PATH}", _path),
    "group": _member(f"{AUTHORIZER}, string -> {GROUP}", GroupCheck),
    "serviceAccount": _member(f"{AUTHORIZER}, string, string -> {AUTHORIZER}", _service_account),
    "resource": _member(f"{GROUP}, string -> {RESOURCE}", _resource),
    **{
        name: _member(f"{RESOURCE}, string -> {RESOURCE}", _with(name))
        for name in ("subresource", "namespace", "name")
    },
    "fieldSelector": _member(f"{RESOURCE}, string -> {RESOURCE}", _same),
    "labelSelector": _member(f"{RESOURCE}, string -> {RESOURCE}", _same),
    "check": (
        *_member(f"{PATH}, string -> {DECISION}", _check_path, _fixed),
        *_member(f"{RESOURCE}, string -> {DECISION}", _check_resource, _fixed),
    ),
    "allowed": _member(f"{DECISION} -> bool", lambda decision: decision.allowed),
    "reason": _member(f"{DECISION} -> string", lambda decision: decision.reason),
    "errored": _member(f"{DECISION} -> bool", lambda _: False),
    "error": _member(f"{DECISION} -> string", lambda _: ""),
}
