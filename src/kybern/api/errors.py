"""Failures that travel as a Status.

The server raises one, the wire carries it, the client raises the same again:

    ApiError
    ├── BadRequest 400           the body or a parameter makes no sense
    ├── Unauthorized 401         nobody knows who is asking
    ├── Forbidden 403            they may not
    ├── NotFound 404
    ├── MethodNotAllowed 405     not on this resource
    ├── NotAcceptable 406        no form of the answer the client takes
    ├── AlreadyExists 409        the name is taken
    ├── Conflict 409             the object changed in between, or a precondition failed
    ├── Gone 410 / Expired 410   the resourceVersion is too old
    ├── RequestEntityTooLarge 413
    ├── UnsupportedMediaType 415
    ├── Invalid 422              validation found problems
    ├── TooManyRequests 429      later
    ├── InternalError 500
    ├── ServerTimeout 500        could not finish now, try again
    ├── ServiceUnavailable 503
    └── Timeout 504

In:   facts (`NotFound.of(kind, name)`) or a Status off the wire (`from_status`).
Out:  `.status()`, the tree of a metav1.Status with upstream's words.
By:   server and client alike. Source: apimachinery `pkg/api/errors/errors.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kybern.api.field_path import Problem

Tree = dict[str, Any]


class Named(Protocol):
    """What an error needs to know of a kind; `scheme.Kind` and custom kinds have it."""

    @property
    def group(self) -> str:
        """API group."""

    @property
    def kind(self) -> str:
        """`Pod`."""

    @property
    def plural(self) -> str:
        """`pods`."""

    @property
    def group_resource(self) -> str:
        """`deployments.apps`."""


class ApiError(Exception):
    """A failure with a Status; the subclasses say which."""

    code = 500
    reason = ""

    def __init__(self, message: str, details: Tree | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def status(self) -> Tree:
        """Return the metav1.Status as a tree, in upstream's order of fields."""
        tree: Tree = {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message,
        }  # fmt: skip
        if self.reason:
            tree["reason"] = self.reason
        if self.details is not None:
            tree["details"] = self.details
        tree["code"] = self.code
        return tree

    @property
    def retry_after(self) -> int:
        """Seconds after which the client should try again; 0 when it should not."""
        return int((self.details or {}).get("retryAfterSeconds", 0))

    @property
    def causes(self) -> list[Tree]:
        """The causes in the details."""
        return (self.details or {}).get("causes") or []


def _details(kind: Named, name: str = "", **more: Any) -> Tree:
    details: Tree = {}
    if name:
        details["name"] = name
    if kind.group:
        details["group"] = kind.group
    details["kind"] = kind.plural
    details.update(more)
    return details


class BadRequest(ApiError):
    """The request makes no sense."""

    code, reason = 400, "BadRequest"


class Unauthorized(ApiError):
    """Nobody knows who is asking."""

    code, reason = 401, "Unauthorized"


class Forbidden(ApiError):
    """The user may not do this."""

    code, reason = 403, "Forbidden"

    @classmethod
    def of(cls, kind: Named, name: str, why: str) -> Self:
        """`pods "x" is forbidden: why`."""
        subject = f'{kind.group_resource} "{name}"' if name else kind.group_resource
        return cls(f"{subject} is forbidden: {why}", _details(kind, name))


class NotFound(ApiError):
    """There is no such object."""

    code, reason = 404, "NotFound"

    @classmethod
    def of(cls, kind: Named, name: str) -> Self:
        """`pods "x" not found`."""
        return cls(f'{kind.group_resource} "{name}" not found', _details(kind, name))

    @classmethod
    def page(cls) -> Self:
        """Answer for a path or resource that does not exist."""
        return cls("the server could not find the requested resource", {})


class MethodNotAllowed(ApiError):
    """The resource does not offer this verb."""

    code, reason = 405, "MethodNotAllowed"

    @classmethod
    def of(cls, kind: Named, action: str) -> Self:
        """`create is not supported on resources of kind "nodes"`."""
        what = f'{action} is not supported on resources of kind "{kind.group_resource}"'
        return cls(what, _details(kind))


class NotAcceptable(ApiError):
    """No form of the answer suits the client's Accept header."""

    code, reason = 406, "NotAcceptable"

    @classmethod
    def of(cls, accepted: Sequence[str]) -> Self:
        """Name the media types there are."""
        return cls("only the following media types are accepted: " + ", ".join(accepted))


class AlreadyExists(ApiError):
    """The name is taken."""

    code, reason = 409, "AlreadyExists"

    @classmethod
    def of(cls, kind: Named, name: str) -> Self:
        """`pods "x" already exists`."""
        return cls(f'{kind.group_resource} "{name}" already exists', _details(kind, name))

    @classmethod
    def generated(cls, kind: Named, name: str) -> Self:
        """A generated name was taken, several times over."""
        return cls(
            f'{kind.group_resource} "{name}" already exists, the server was not able to generate '
            "a unique name for the object",
            _details(kind, name, retryAfterSeconds=1),
        )


class Conflict(ApiError):
    """The object changed in between, or a precondition does not hold."""

    code, reason = 409, "Conflict"

    @classmethod
    def of(cls, kind: Named, name: str, why: str = "") -> Self:
        """`Operation cannot be fulfilled on pods "x": why`."""
        why = why or MODIFIED
        what = f'Operation cannot be fulfilled on {kind.group_resource} "{name}": {why}'
        return cls(what, _details(kind, name))


MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


class Gone(ApiError):
    """No longer there, and nowhere else."""

    code, reason = 410, "Gone"


class Expired(ApiError):
    """The resourceVersion or continue token is too old."""

    code, reason = 410, "Expired"

    @classmethod
    def too_old(cls, asked: int, oldest: int) -> Self:
        """A watch from before the history that is kept."""
        return cls(f"too old resource version: {asked} ({oldest})")


class RequestEntityTooLarge(ApiError):
    """The body is over the limit."""

    code, reason = 413, "RequestEntityTooLarge"

    @classmethod
    def of(cls, limit: int) -> Self:
        """State the limit in bytes."""
        return cls(f"Request entity too large: limit is {limit}")


class UnsupportedMediaType(ApiError):
    """The body is in a form that nobody here reads."""

    code, reason = 415, "UnsupportedMediaType"

    @classmethod
    def of(cls, accepted: Sequence[str]) -> Self:
        """Name the media types there are."""
        return cls(
            "the body of the request was in an unknown format - accepted media types include: "
            + ", ".join(accepted)
        )


class Invalid(ApiError):
    """Validation found problems."""

    code, reason = 422, "Invalid"

    @classmethod
    def of(cls, kind: Named, name: str, problems: Sequence[Problem]) -> Self:
        """`Pod "x" is invalid: spec.containers: Required value`."""
        subject = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
        texts = list(dict.fromkeys(str(p) for p in problems))
        text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        message = f'{subject} "{name}" is invalid' + (f": {text}" if texts else "")
        details: Tree = {"name": name} if name else {}
        if kind.group:
            details["group"] = kind.group
        details["kind"] = kind.kind
        details["causes"] = [p.cause() for p in problems]
        return cls(message, details)


class TooManyRequests(ApiError):
    """Later, please."""

    code, reason = 429, "TooManyRequests"

    @classmethod
    def of(cls, message: str, retry_after: int = 1, causes: Sequence[Tree] = ()) -> Self:
        """Say when to come back, in seconds."""
        details: Tree = {"causes": list(causes)} if causes else {}
        if retry_after:
            details["retryAfterSeconds"] = retry_after
        return cls(message, details)


class InternalError(ApiError):
    """A bug or a broken part."""

    code, reason = 500, "InternalError"

    @classmethod
    def of(cls, why: str) -> Self:
        """`Internal error occurred: why`."""
        return cls(f"Internal error occurred: {why}", {"causes": [{"message": why}]})


class ServerTimeout(ApiError):
    """Could not be completed now; try again."""

    code, reason = 500, "ServerTimeout"

    @classmethod
    def of(cls, kind: Named, operation: str, retry_after: int = 1) -> Self:
        """Name the operation that did not finish."""
        return cls(
            f"The {operation} operation against {kind.group_resource} could not be completed at "
            "this time, please try again.",
            _details(kind, operation, retryAfterSeconds=retry_after),
        )


class ServiceUnavailable(ApiError):
    """Not now."""

    code, reason = 503, "ServiceUnavailable"


class Timeout(ApiError):
    """The deadline passed; the work may still be done."""

    code, reason = 504, "Timeout"

    @classmethod
    def of(cls, why: str, retry_after: int = 0) -> Self:
        """`Timeout: why`."""
        return cls(f"Timeout: {why}", {"retryAfterSeconds": retry_after} if retry_after else {})


_BY_REASON: dict[str, type[ApiError]] = {
    c.reason: c
    for c in (
        BadRequest, Unauthorized, Forbidden, NotFound, MethodNotAllowed, NotAcceptable,
        AlreadyExists, Conflict, Gone, Expired, RequestEntityTooLarge, UnsupportedMediaType,
        Invalid, TooManyRequests, InternalError, ServerTimeout, ServiceUnavailable, Timeout,
    )
}  # fmt: skip
_BY_CODE: dict[int, type[ApiError]] = {
    c.code: c for c in reversed(_BY_REASON.values()) if c not in (AlreadyExists, ServerTimeout)
}


def from_status(status: Any, code: int) -> ApiError:
    """Return the error that a Status tree off the wire stands for.

    Anything that is not a Status (a proxy's page, an empty body) becomes an error by its code.
    """
    if not isinstance(status, dict) or status.get("kind") != "Status":
        text = f"the server responded with the status code {code}"
        return _make(_BY_CODE.get(code, ApiError), code, text, None)
    code = int(status.get("code") or code)
    reason = status.get("reason", "")
    cls = _BY_REASON.get(reason) or _BY_CODE.get(code, ApiError)
    return _make(cls, code, status.get("message", ""), status.get("details"))


def _make(cls: type[ApiError], code: int, message: str, details: Tree | None) -> ApiError:
    error = cls(message, details)
    error.code = code
    return error
