"""Priority levels and flow schemas every cluster has.

In:   nothing: tables.
Out:  PriorityLevelConfigurations and FlowSchemas.
By:   bootstrap.start. Requests are not sorted by them yet (see filters.flow_control); clients look
      them up and change them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api.flowcontrol.v1 import (
    ExemptPriorityLevelConfiguration,
    FlowDistinguisherMethod,
    FlowSchema,
    FlowSchemaSpec,
    GroupSubject,
    LimitedPriorityLevelConfiguration,
    LimitResponse,
    NonResourcePolicyRule,
    PolicyRulesWithSubjects,
    PriorityLevelConfiguration,
    PriorityLevelConfigurationReference,
    PriorityLevelConfigurationSpec,
    QueuingConfiguration,
    ResourcePolicyRule,
    ServiceAccountSubject,
    Subject,
    UserSubject,
)
from kybern.api.meta.v1 import ObjectMeta

if TYPE_CHECKING:
    from collections.abc import Iterator

AUTO = {"apf.kubernetes.io/autoupdate-spec": "true"}

# name: shares, percent lent to others, queues, hand size, queue length
LEVELS: dict[str, tuple[int, int, int, int, int]] = {
    "system": (30, 33, 64, 6, 50),
    "node-high": (40, 25, 64, 6, 50),
    "leader-election": (10, 0, 16, 4, 50),
    "workload-high": (40, 50, 128, 6, 50),
    "workload-low": (100, 90, 128, 6, 50),
    "global-default": (20, 50, 128, 6, 50),
}
AUTHENTICATED, UNAUTHENTICATED = "Group system:authenticated", "Group system:unauthenticated"
MANAGERS = "User system:kube-controller-manager", "User system:kube-scheduler"
SYSTEM_ACCOUNTS = "ServiceAccount kube-system/*"
LEASES = "get create update: coordination.k8s.io: leases"
NODE_OBJECTS = "update patch: core: nodes nodes/status"

# name: level, precedence, flows are told apart by, subjects, rules ("" for everything)
SCHEMAS: dict[str, tuple[str, int, str, tuple[str, ...], tuple[str, ...]]] = {
    "exempt": ("exempt", 1, "", ("Group system:masters",), ()),
    "probes": ("exempt", 2, "", (AUTHENTICATED, UNAUTHENTICATED), ("/healthz /readyz /livez",)),
    "system-leader-election": (
        "leader-election", 100, "ByUser", (*MANAGERS, SYSTEM_ACCOUNTS), (LEASES,),
    ),
    "endpoint-controller": (
        "workload-high", 150, "ByUser",
        ("ServiceAccount kube-system/endpoint-controller", MANAGERS[0]),
        ("get create update: core: endpoints",),
    ),
    "workload-leader-election": (
        "leader-election", 200, "ByUser", (SYSTEM_ACCOUNTS,), (LEASES,),
    ),
    "system-node-high": (
        "node-high", 400, "ByUser", ("Group system:nodes",),
        (NODE_OBJECTS, "*: coordination.k8s.io: leases"),
    ),
    "system-nodes": ("system", 500, "ByUser", ("Group system:nodes",), ()),
    "kube-controller-manager": ("workload-high", 800, "ByNamespace", MANAGERS[:1], ()),
    "kube-scheduler": ("workload-high", 800, "ByNamespace", MANAGERS[1:], ()),
    "kube-system-service-accounts": (
        "workload-high", 900, "ByNamespace", (SYSTEM_ACCOUNTS,), (),
    ),
    "service-accounts": ("workload-low", 9000, "ByUser", ("Group system:serviceaccounts",), ()),
    "global-default": (
        "global-default", 9900, "ByUser", (AUTHENTICATED, UNAUTHENTICATED), (),
    ),
    "catch-all": ("catch-all", 10000, "ByUser", (AUTHENTICATED, UNAUTHENTICATED), ()),
}  # fmt: skip


def objects() -> Iterator[Any]:
    """Return every priority level, then every flow schema."""
    yield _level(
        "exempt",
        PriorityLevelConfigurationSpec(
            type="Exempt",
            exempt=ExemptPriorityLevelConfiguration(nominalConcurrencyShares=0, lendablePercent=0),
        ),
    )
    yield _level("catch-all", _limited(5, 0, LimitResponse(type="Reject")))
    for name, (shares, lent, queues, hand, length) in LEVELS.items():
        queuing = QueuingConfiguration(queues=queues, handSize=hand, queueLengthLimit=length)
        yield _level(name, _limited(shares, lent, LimitResponse(type="Queue", queuing=queuing)))
    for name in SCHEMAS:
        yield _schema(name)


def _level(name: str, spec: PriorityLevelConfigurationSpec) -> PriorityLevelConfiguration:
    return PriorityLevelConfiguration(
        metadata=ObjectMeta(name=name, annotations=dict(AUTO)), spec=spec
    )


def _limited(shares: int, lent: int, response: LimitResponse) -> PriorityLevelConfigurationSpec:
    return PriorityLevelConfigurationSpec(
        type="Limited",
        limited=LimitedPriorityLevelConfiguration(
            nominalConcurrencyShares=shares, lendablePercent=lent, limitResponse=response
        ),
    )


def _schema(name: str) -> FlowSchema:
    level, precedence, method, subjects, lines = SCHEMAS[name]
    rules = PolicyRulesWithSubjects(subjects=[_subject(text) for text in subjects])
    if lines:
        rules.resourceRules = [_resource_rule(line) for line in lines if ": " in line] or None
        urls = [line for line in lines if ": " not in line]
        if urls:
            rules.nonResourceRules = [
                NonResourcePolicyRule(verbs=["get"], nonResourceURLs=urls[0].split())
            ]
    else:
        rules.resourceRules = [
            ResourcePolicyRule(
                verbs=["*"], apiGroups=["*"], resources=["*"], clusterScope=True, namespaces=["*"]
            )
        ]
        rules.nonResourceRules = [NonResourcePolicyRule(verbs=["*"], nonResourceURLs=["*"])]
    return FlowSchema(
        metadata=ObjectMeta(name=name, annotations=dict(AUTO)),
        spec=FlowSchemaSpec(
            priorityLevelConfiguration=PriorityLevelConfigurationReference(name=level),
            matchingPrecedence=precedence,
            distinguisherMethod=FlowDistinguisherMethod(type=method) if method else None,
            rules=[rules],
        ),
    )


def _resource_rule(line: str) -> ResourcePolicyRule:
    verbs, groups, resources = line.split(": ")
    return ResourcePolicyRule(
        verbs=verbs.split(),
        apiGroups=["" if group == "core" else group for group in groups.split()],
        resources=resources.split(),
        clusterScope=True,
        namespaces=["*"],
    )


def _subject(text: str) -> Subject:
    kind, name = text.split(" ")
    if kind == "Group":
        return Subject(kind=kind, group=GroupSubject(name=name))
    if kind == "User":
        return Subject(kind=kind, user=UserSubject(name=name))
    namespace, _, account = name.partition("/")
    subject = ServiceAccountSubject(namespace=namespace, name=account)
    return Subject(kind=kind, serviceAccount=subject)
