"""What is known about one request so far, and the services that answer it.

In:   nothing: the filters fill a RequestContext in, one after the other.
Out:  one object that every later step reads.
By:   app makes it; filters, authn, authz, routes, handlers, admission and registry use it.

This is the lowest module of the API server: it imports none of the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from kybern.api import yaml_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kybern.lib.clock import Clock
    from kybern.lib.http.messages import Request, Response, StreamResponse, UpgradeResponse

    Answer = Response | StreamResponse | UpgradeResponse
    Handler = Callable[["RequestContext"], Awaitable[Answer]]

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
ANONYMOUS = "system:anonymous"
NODES = "system:nodes"


class User:
    """Who sends a request. Immutable by convention; shared by the requests of one credential."""

    __slots__ = ("extra", "groups", "key", "master", "name", "uid")

    def __init__(
        self,
        name: str,
        groups: tuple[str, ...] = (),
        uid: str = "",
        extra: dict[str, list[str]] | None = None,
    ) -> None:
        self.name = name
        self.groups = groups
        self.uid = uid
        self.extra = extra or {}
        self.master = MASTERS in groups
        self.key = (name, groups)

    def __repr__(self) -> str:
        return f"User({self.name!r}, {self.groups!r})"


class Attributes:
    """What an authorizer is asked: may this user do this to that."""

    __slots__ = (
        "group", "is_resource", "name", "namespace", "path", "plural", "subresource", "user",
        "verb", "version",
    )  # fmt: skip

    def __init__(
        self,
        user: User,
        verb: str,
        *,
        group: str = "",
        version: str = "",
        plural: str = "",
        subresource: str = "",
        namespace: str = "",
        name: str = "",
        path: str = "",
    ) -> None:
        self.user = user
        self.verb = verb
        self.group = group
        self.version = version
        self.plural = plural
        self.subresource = subresource
        self.namespace = namespace
        self.name = name
        self.path = path
        self.is_resource = not path


class Verdict:
    """An authorizer's answer. `allowed` None means: ask the next one."""

    __slots__ = ("allowed", "reason")

    def __init__(self, allowed: bool | None, reason: str = "") -> None:
        self.allowed = allowed
        self.reason = reason


NO_OPINION = Verdict(None)


class Authorizer(Protocol):
    """Decides whether a request may go on."""

    def authorize(self, asked: Attributes | RequestContext) -> Verdict:
        """Answer at once from what is in memory; never waits, never raises."""
        ...


class Services:
    """The collaborators of the handlers; one per API server, made by app.

    They are attributes and not arguments because every handler sees the same ones. The types are
    those of the modules named in the comments, which lie above this one.
    """

    store: Any  # store.objects.Store
    clock: Clock
    config: Any  # apiserver.config.Config
    resources: Any  # registry.all.Registry
    admission: Any  # admission.chain.Chain
    authorizer: Authorizer
    rbac: Any  # authz.rbac.Rbac: escalation checks and rule reviews
    authenticator: Any  # authn.chain.Chain: TokenReview
    tokens: Any  # authn.service_accounts.Tokens
    identities: Any  # registry.identity.Identities: uids, generated names
    allocators: Any  # registry.core.allocation: cluster IPs and node ports
    nodes: Any  # handlers.node_connection.Nodes: the way to kubelets
    paths: dict[str, Handler]  # documents outside the resources, by exact path
    prefixes: list[tuple[str, Handler]]  # the same by prefix; the first that fits answers
    computed: dict[tuple[str, str, str], Handler]  # resources that are not stored, by path
    aggregated: dict[tuple[str, str], Any]  # aggregator.backend.Backend by group and version


class RequestContext:
    """One request on its way. Filters fill it from the top down; see `app.FILTERS`."""

    __slots__ = (
        "dry_run", "field_manager", "field_validation", "group",
        "impersonator", "is_resource", "name", "namespace", "path", "plural", "request", "resource",
        "seated", "services", "started", "subpath", "subresource", "timeout", "user", "verb",
        "version", "warnings",
    )  # fmt: skip

    user: User

    def __init__(self, services: Services, request: Request) -> None:
        self.services = services
        self.request = request
        self.path = request.path
        self.verb = ""
        self.is_resource = False
        self.group = ""
        self.version = ""
        self.plural = ""
        self.subresource = ""
        self.subpath = ""
        self.namespace = ""
        self.name = ""
        self.resource: Any = None
        self.impersonator: User | None = None
        self.warnings: list[str] | None = None
        self.timeout: float | None = None
        self.dry_run = False
        self.field_manager = ""
        self.field_validation = ""
        self.seated = False
        self.started = 0.0

    @property
    def params(self) -> dict[str, list[str]]:
        """Return the query's parameters, decoded once."""
        return self.request.params

    def param(self, name: str) -> str:
        """Return the first value of a query parameter, or ""."""
        return self.request.param(name) if self.request.query else ""

    def at(self, namespace: str, name: str) -> RequestContext:
        """Return a context for the same request on one object of the collection it is about."""
        other = RequestContext(self.services, self.request)
        for slot in RequestContext.__slots__:
            setattr(other, slot, getattr(self, slot))
        other.namespace, other.name, other.seated = namespace, name, False
        return other

    def warn(self, text: str) -> None:
        """Add a Warning header to the answer, once per text; for YAML, once per line of it."""
        if self.warnings is None:
            self.warnings = []
        head, mark, lines = text.partition(yaml_text.ERRORS)
        for each in [line.strip() for line in lines.split("\n")] if mark else [head]:
            if each not in self.warnings:
                self.warnings.append(each)
