"""By which fields and labels objects can be selected.

In:   the JSON of an object.
Out:  `Peek`, the few fields that selectors and the server itself look at, decoded without the rest;
      per kind the field labels and how to read them off a Peek.
By:   the store keeps a Peek with an entry (`Entry.attributes`) once someone asks; list, watch and
      deletecollection select by it.

Decoding a Peek skips over what it does not need: for a pod of 3 kB about 2 µs.
"""

# msgspec resolves the annotations of Structs: they are not postponed in this file.

from collections.abc import Callable, Mapping

import msgspec

from kybern.api.errors import BadRequest
from kybern.api.scheme import Kind
from kybern.api.selectors import FieldRequirement


class PeekOwner(msgspec.Struct, gc=False):
    """An owner reference."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class PeekMeta(msgspec.Struct, gc=False):
    """What is looked at in metadata."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] | None = None
    finalizers: list[str] | None = None
    deletionTimestamp: str | None = None  # noqa: N815


class PeekReference(msgspec.Struct, gc=False):
    """An object reference, as events have it."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    apiVersion: str = ""  # noqa: N815
    resourceVersion: str = ""  # noqa: N815
    fieldPath: str = ""  # noqa: N815


class PeekSource(msgspec.Struct, gc=False):
    """Where an event comes from."""

    component: str = ""


class PeekSpec(msgspec.Struct, gc=False):
    """Fields of any spec that some kind can be selected by."""

    nodeName: str = ""  # noqa: N815
    restartPolicy: str = ""  # noqa: N815
    schedulerName: str = ""  # noqa: N815
    serviceAccountName: str = ""  # noqa: N815
    hostNetwork: bool = False  # noqa: N815
    unschedulable: bool = False
    signerName: str = ""  # noqa: N815
    clusterIP: str = ""  # noqa: N815
    type: str = ""
    driver: str = ""


class PeekStatus(msgspec.Struct, gc=False):
    """Fields of any status that some kind can be selected by."""

    phase: str = ""
    podIP: str = ""  # noqa: N815
    nominatedNodeName: str = ""  # noqa: N815
    replicas: int = 0
    succeeded: int = 0


class Peek(msgspec.Struct, gc=False):
    """An object, as selectors see it."""

    metadata: PeekMeta = msgspec.field(default_factory=PeekMeta)


class PodPeek(Peek, gc=False):
    """A pod or anything else with spec and status."""

    spec: PeekSpec = msgspec.field(default_factory=PeekSpec)
    status: PeekStatus = msgspec.field(default_factory=PeekStatus)


class EventPeek(Peek, gc=False):
    """An event, in the form of core/v1, in which it is stored."""

    involvedObject: PeekReference = msgspec.field(default_factory=PeekReference)  # noqa: N815
    source: PeekSource = msgspec.field(default_factory=PeekSource)
    reason: str = ""
    type: str = ""
    reportingComponent: str = ""  # noqa: N815


class TypedPeek(Peek, gc=False):
    """A Secret."""

    type: str = ""


Getter = Callable[[Peek], str]


def _bool(value: bool) -> str:
    return "true" if value else "false"


METADATA: dict[str, Getter] = {
    "metadata.name": lambda o: o.metadata.name,
    "metadata.namespace": lambda o: o.metadata.namespace,
}


def _event_source(event: Peek) -> str:
    assert isinstance(event, EventPeek)
    return event.source.component or event.reportingComponent


def _reference(name: str) -> dict[str, Getter]:
    return {
        f"{name}.{field}": lambda o, f=field: getattr(o.involvedObject, f)  # type: ignore[misc]
        for field in PeekReference.__struct_fields__
    }


class Fields:
    """The field labels of one kind."""

    __slots__ = ("_decode", "getters", "peek")

    def __init__(self, peek: type[Peek], getters: Mapping[str, Callable[..., str]]) -> None:
        self.peek = peek
        self.getters = {**METADATA, **getters}
        self._decode = msgspec.json.Decoder(peek).decode

    def look(self, data: bytes) -> Peek:
        """Decode what selectors need of an object; for `Entry.attributes`."""
        return self._decode(data)

    def check(self, requirements: tuple[FieldRequirement, ...]) -> None:
        """Refuse fields the kind cannot be selected by.

        Raises:
            BadRequest: naming the field.
        """
        for each in requirements:
            if each.field in self.getters:
                continue
            if len(self.getters) == len(METADATA):
                raise BadRequest(
                    f'"{each.field}" is not a known field selector: only "metadata.name", '
                    '"metadata.namespace"'
                )
            raise BadRequest(f"field label not supported: {each.field}")


def fields_of(kind: Kind) -> Fields:
    """Return the field labels of a kind."""
    return BY_KIND.get((kind.group, kind.kind), PLAIN)


PLAIN = Fields(Peek, {})

POD = Fields(
    PodPeek,
    {
        "spec.nodeName": lambda o: o.spec.nodeName,
        "spec.restartPolicy": lambda o: o.spec.restartPolicy,
        "spec.schedulerName": lambda o: o.spec.schedulerName,
        "spec.serviceAccountName": lambda o: o.spec.serviceAccountName,
        "spec.hostNetwork": lambda o: _bool(o.spec.hostNetwork),
        "status.phase": lambda o: o.status.phase,
        "status.podIP": lambda o: o.status.podIP,
        "status.podIPs": lambda o: o.status.podIP,
        "status.nominatedNodeName": lambda o: o.status.nominatedNodeName,
    },
)
REPLICAS = Fields(PodPeek, {"status.replicas": lambda o: str(o.status.replicas)})

BY_KIND: dict[tuple[str, str], Fields] = {
    ("", "Pod"): POD,
    ("", "Node"): Fields(PodPeek, {"spec.unschedulable": lambda o: _bool(o.spec.unschedulable)}),
    ("", "Namespace"): Fields(
        PodPeek, {"status.phase": lambda o: o.status.phase, "name": lambda o: o.metadata.name}
    ),
    ("", "Secret"): Fields(TypedPeek, {"type": lambda o: o.type}),
    ("", "Service"): Fields(
        PodPeek,
        {"spec.clusterIP": lambda o: o.spec.clusterIP, "spec.type": lambda o: o.spec.type},
    ),
    ("", "ReplicationController"): REPLICAS,
    ("apps", "ReplicaSet"): REPLICAS,
    ("batch", "Job"): Fields(PodPeek, {"status.successful": lambda o: str(o.status.succeeded)}),
    ("certificates.k8s.io", "CertificateSigningRequest"): Fields(
        PodPeek, {"spec.signerName": lambda o: o.spec.signerName}
    ),
    ("resource.k8s.io", "ResourceSlice"): Fields(
        PodPeek,
        {"spec.nodeName": lambda o: o.spec.nodeName, "spec.driver": lambda o: o.spec.driver},
    ),
    ("", "Event"): Fields(
        EventPeek,
        {
            **_reference("involvedObject"),
            "reason": lambda o: o.reason,
            "reportingComponent": lambda o: o.reportingComponent,
            "source": _event_source,
            "type": lambda o: o.type,
        },
    ),
    ("events.k8s.io", "Event"): Fields(
        EventPeek,
        {
            **_reference("regarding"),
            "reason": lambda o: o.reason,
            "reportingController": lambda o: o.reportingComponent or o.source.component,
            "type": lambda o: o.type,
        },
    ),
}
