"""The variables that admission policies and match conditions speak of.

In:   an expression, and what kind of expression it is.
Out:  a Program; or what is wrong with it, in upstream's words.
By:   validation of the objects that hold expressions; the API server's admission; the controller
      that checks types. Facts: upstream's `apiserver/pkg/admission/plugin/cel/compile.go`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

from kybern.api.expressions import json_patches, libraries
from kybern.api.expressions.authorizer import AUTHORIZER_TYPE, RESOURCE_TYPE
from kybern.lib.cel import types as ty
from kybern.lib.cel.environment import Environment
from kybern.lib.cel.source import CompileError
from kybern.lib.cel.types import BOOL, DYN, INT, STRING, TIMESTAMP, ObjectType, Type, object_type

if TYPE_CHECKING:
    from kybern.lib.cel.environment import Program

PER_CALL = 1_000_000
"""What one expression may cost."""
BUDGET = 10_000_000
"""What the expressions of a policy may cost together."""
MATCH_BUDGET = BUDGET // 4
"""What match conditions may cost together."""
LONGEST_MESSAGE = 5 * 1024


class Returns(NamedTuple):
    """What an expression must evaluate to; any of these types."""

    types: tuple[Type, ...]

    def problem(self, given: Type) -> str:
        """Return what is wrong with a type, or ""."""
        if given in self.types or DYN in self.types:
            return ""
        names = " ".join(runtime_name(each) for each in self.types)
        wanted = names if len(self.types) == 1 else f"one of [{names}]"
        return f"must evaluate to {wanted} but got {runtime_name(given)}"


CONDITION = Returns((BOOL,))
MESSAGE = Returns((STRING,))
ANNOTATION = Returns((STRING, ty.NULL))
ANYTHING = Returns((DYN,))
OBJECT = Returns((Type(json_patches.ROOT),))
PATCH = Returns((ty.list_of(Type("JSONPatch")),))

_RUNTIME = {
    "null": "null_type", "timestamp": "google.protobuf.Timestamp",
    "duration": "google.protobuf.Duration",
}  # fmt: skip


def runtime_name(given: Type) -> str:
    """Return the name a type has at run time."""
    name = _RUNTIME.get(given.name, given.name)
    if not given.params:
        return name
    return f"{name}({', '.join(map(runtime_name, given.params))})"


STRINGS, STRING_MAP = ty.list_of(STRING), ty.map_of(STRING, STRING)
_KIND = object_type(
    "kubernetes.GroupVersionKind", dict.fromkeys(("group", "version", "kind"), STRING)
)
_RESOURCE = object_type(
    "kubernetes.GroupVersionResource", dict.fromkeys(("group", "version", "resource"), STRING)
)
_USER = object_type(
    "kubernetes.UserInfo",
    {
        "username": STRING, "uid": STRING, "groups": STRINGS,
        "extra": ty.map_of(STRING, STRINGS),
    },
)  # fmt: skip
REQUEST = object_type(
    "kubernetes.AdmissionRequest",
    {
        "kind": _KIND, "resource": _RESOURCE, "subResource": STRING, "requestKind": _KIND,
        "requestResource": _RESOURCE, "requestSubResource": STRING, "name": STRING,
        "namespace": STRING, "operation": STRING, "userInfo": _USER, "dryRun": BOOL,
        "options": DYN,
    },
)  # fmt: skip
_NAMESPACE_META = object_type(
    "kubernetes.NamespaceMetadata",
    {
        **dict.fromkeys(("name", "generateName", "namespace", "UID", "resourceVersion"), STRING),
        "labels": STRING_MAP, "annotations": STRING_MAP, "finalizers": STRINGS,
        "creationTimestamp": TIMESTAMP, "deletionTimestamp": TIMESTAMP,
        "deletionGracePeriodSeconds": INT, "generation": INT,
    },
)  # fmt: skip
_NAMESPACE_CONDITION = object_type(
    "kubernetes.NamespaceCondition",
    {
        **dict.fromkeys(("status", "type", "message", "reason"), STRING),
        "lastTransitionTime": TIMESTAMP,
    },
)
NAMESPACE = object_type(
    "kubernetes.Namespace",
    {
        "metadata": _NAMESPACE_META,
        "spec": object_type("kubernetes.NamespaceSpec", {"finalizers": STRINGS}),
        "status": object_type(
            "kubernetes.NamespaceStatus",
            {"conditions": ty.list_of(_NAMESPACE_CONDITION), "phase": STRING},
        ),
    },
)


class Speech(NamedTuple):
    """What expressions of some kind may speak of.

    Attributes:
        params: whether there is `params`.
        authorizer: whether there are `authorizer` and `authorizer.requestResource`.
        mutation: whether they may make objects and JSON patches.
    """

    params: bool = False
    authorizer: bool = True
    mutation: bool = False


def variables(speech: Speech, object_: Type = DYN, params: Type = DYN) -> dict[str, Type]:
    """Return the variables of an environment."""
    found: dict[str, Type] = {
        "object": object_, "oldObject": object_, "namespaceObject": NAMESPACE, "request": REQUEST,
    }  # fmt: skip
    if speech.params:
        found["params"] = params
    if speech.authorizer:
        found["authorizer"] = AUTHORIZER_TYPE
        found["authorizer.requestResource"] = RESOURCE_TYPE
    return found


@functools.cache
def environment(speech: Speech) -> Environment:
    """Return the environment for objects of any type."""
    return made(speech, variables(speech))


def made(speech: Speech, known: dict[str, Type]) -> Environment:
    """Return an environment with some variables."""
    if speech.mutation:
        return Environment(known, libraries.known(), json_patches.mutation_types)
    return Environment(known, libraries.known())


def composed(speech: Speech, fields: dict[str, Type], base: dict[str, Type]) -> Environment:
    """Return an environment that has `variables` as well; it sees fields that are added later."""
    return made(speech, {**base, "variables": ObjectType("kubernetes.variables", fields.get)})


def compiled(where: Environment, text: str, returns: Returns) -> Program:
    """Return the program of an expression.

    Raises:
        Unusable: why not.
    """
    try:
        program = where.compile(text)
    except CompileError as error:
        raise Unusable(f"compilation failed: {error}") from None
    if problem := returns.problem(program.type):
        raise Unusable(problem)
    return program


class Unusable(Exception):  # what is wrong is said in the object's own words
    """An expression that cannot be used."""
