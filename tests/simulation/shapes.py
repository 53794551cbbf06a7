"""The few fields of objects that invariants look at, decoded fast."""

# ruff: noqa: N815 - the names on the wire
# msgspec resolves the annotations of Structs: they are not postponed in this file.

from typing import Any

import msgspec


class Owner(msgspec.Struct, frozen=True, gc=False):
    kind: str
    name: str
    uid: str
    controller: bool = False


class Meta(msgspec.Struct, frozen=True, gc=False):
    name: str
    uid: str
    namespace: str = ""
    generation: int = 0
    creationTimestamp: str = ""
    deletionTimestamp: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    ownerReferences: list[Owner] = []
    finalizers: list[str] = []

    @property
    def controller(self) -> str:
        """Return the uid of the controlling owner."""
        return next((owner.uid for owner in self.ownerReferences if owner.controller), "")


class AnyStatus(msgspec.Struct, frozen=True, gc=False):
    observedGeneration: int = 0


class Thing(msgspec.Struct, frozen=True, gc=False):
    """Any object."""

    metadata: Meta
    status: AnyStatus = AnyStatus()


class Condition(msgspec.Struct, frozen=True, gc=False):
    type: str
    status: str


class Requests(msgspec.Struct, frozen=True, gc=False):
    requests: dict[str, str] = {}


class Container(msgspec.Struct, frozen=True, gc=False):
    image: str = ""
    resources: Requests = Requests()


class PodSpec(msgspec.Struct, frozen=True, gc=False):
    nodeName: str = ""
    containers: list[Container] = []


class PodStatus(msgspec.Struct, frozen=True, gc=False):
    phase: str = "Pending"
    podIP: str = ""
    observedGeneration: int = 0
    conditions: list[Condition] = []


class Pod(msgspec.Struct, frozen=True, gc=False):
    metadata: Meta
    spec: PodSpec
    status: PodStatus = PodStatus()

    @property
    def ready(self) -> bool:
        """Whether it is Ready."""
        return any(c.type == "Ready" and c.status == "True" for c in self.status.conditions)

    @property
    def terminal(self) -> bool:
        """Whether it has ended for good."""
        return self.status.phase in ("Succeeded", "Failed")

    @property
    def active(self) -> bool:
        """Whether a ReplicaSet counts it."""
        return not self.terminal and not self.metadata.deletionTimestamp


class SetSpec(msgspec.Struct, frozen=True, gc=False):
    replicas: int = 1
    template: dict[str, Any] = {}


class SetStatus(msgspec.Struct, frozen=True, gc=False):
    replicas: int = 0
    observedGeneration: int = 0
    availableReplicas: int = 0
    readyReplicas: int = 0
    updatedReplicas: int = 0
    unavailableReplicas: int = 0


class ReplicaSet(msgspec.Struct, frozen=True, gc=False):
    metadata: Meta
    spec: SetSpec
    status: SetStatus = SetStatus()


class Rolling(msgspec.Struct, frozen=True, gc=False):
    maxSurge: int | str = 0
    maxUnavailable: int | str = 0


class Strategy(msgspec.Struct, frozen=True, gc=False):
    type: str = "RollingUpdate"
    rollingUpdate: Rolling | None = None


class DeploymentSpec(msgspec.Struct, frozen=True, gc=False):
    replicas: int = 1
    paused: bool = False
    strategy: Strategy = Strategy()
    template: dict[str, Any] = {}


class Deployment(msgspec.Struct, frozen=True, gc=False):
    metadata: Meta
    spec: DeploymentSpec
    status: SetStatus = SetStatus()


def decoder(shape: type) -> Any:
    return msgspec.json.Decoder(shape).decode


pod = decoder(Pod)
replica_set = decoder(ReplicaSet)
deployment = decoder(Deployment)
thing = decoder(Thing)
