"""Validation of the kinds outside core, apps and batch: one table, exact messages."""

from __future__ import annotations

import pytest
from tests.unit.api.objects import created, make, updated

from kybern.api.scheme import SCHEME
from kybern.api.validation import VALIDATORS, rules_of

HPA = {"maxReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "d"}}
SERVICE = {"service": {"name": "s", "port": {"number": 80}}}
HOOK = {
    "name": "a.b.c",
    "admissionReviewVersions": ["v1"],
    "sideEffects": "None",
    "clientConfig": {"url": "https://a"},
}
RULE = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
POLICY = {
    "matchConstraints": {"resourceRules": [RULE]},
    "validations": [{"expression": "true"}],
}
ROLE_REF = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}


def ingress(*paths, **rule):
    return {"spec": {"rules": [{**rule, "http": {"paths": list(paths)}}]}}


def path(text="/", kind="Prefix", backend=None):
    return {"path": text, "pathType": kind, "backend": backend or SERVICE}


@pytest.mark.parametrize(
    ("kind", "tree", "problems"),
    [
        # rbac
        ("rbac.authorization.k8s.io/v1/Role", {"rules": [{}]}, [
            "rules[0].verbs: Required value: verbs must contain at least one value",
            "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
            "rules[0].resources: Required value: resource rules must supply at least one resource",
        ]),
        ("rbac.authorization.k8s.io/v1/Role",
         {"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]},
         ['rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to '
          "non-resource URLs"]),
        ("rbac.authorization.k8s.io/v1/ClusterRole", {"metadata": {"name": "system:x"}}, []),
        ("rbac.authorization.k8s.io/v1/ClusterRole", {"metadata": {"name": "a/b"}},
         ["metadata.name: Invalid value: \"a/b\": may not contain '/'"]),
        ("rbac.authorization.k8s.io/v1/ClusterRole", {"aggregationRule": {}},
         ["aggregationRule.clusterRoleSelectors: Required value: at least one "
          "clusterRoleSelector required if aggregationRule is non-nil"]),
        ("rbac.authorization.k8s.io/v1/RoleBinding",
         {"roleRef": {"kind": "x", "name": ""}, "subjects": [{"kind": "Robot", "name": "r"}]},
         ['roleRef.kind: Unsupported value: "x": supported values: "Role", "ClusterRole"',
          "roleRef.name: Required value",
          'subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount", '
          '"User", "Group"']),
        ("rbac.authorization.k8s.io/v1/ClusterRoleBinding",
         {"roleRef": {"kind": "ClusterRole", "name": "r"},
          "subjects": [{"kind": "ServiceAccount", "name": "a"}]},
         ["subjects[0].namespace: Required value"]),
        # policy
        ("policy/v1/PodDisruptionBudget", {"spec": {"minAvailable": "101%"}},
         ['spec.minAvailable: Invalid value: "101%": must not be greater than 100%']),
        ("policy/v1/PodDisruptionBudget", {"spec": {"unhealthyPodEvictionPolicy": "x"}},
         ['spec.unhealthyPodEvictionPolicy: Unsupported value: "x": supported values: '
          '"AlwaysAllow", "IfHealthyBudget"']),
        # autoscaling
        ("autoscaling/v2/HorizontalPodAutoscaler", {"spec": HPA}, []),
        ("autoscaling/v1/HorizontalPodAutoscaler", {"spec": HPA}, []),
        ("autoscaling/v2/HorizontalPodAutoscaler", {"spec": {**HPA, "minReplicas": 3}},
         ["spec.maxReplicas: Invalid value: 2: must be greater than or equal to `minReplicas`"]),
        ("autoscaling/v2/HorizontalPodAutoscaler", {"spec": {**HPA, "metrics": [{"type": "x"}]}},
         ['spec.metrics[0].type: Unsupported value: "x": supported values: "ContainerResource", '
          '"External", "Object", "Pods", "Resource"',
          "spec.metrics[0].x: Required value: must populate information for the given metric "
          "source"]),
        # networking
        ("networking.k8s.io/v1/NetworkPolicy", {"spec": {"podSelector": {}}}, []),
        ("networking.k8s.io/v1/NetworkPolicy",
         {"spec": {"ingress": [{"from": [{}], "ports": [{"port": 80, "endPort": 79}]}]}},
         ["spec.ingress[0].ports[0].endPort: Invalid value: 79: must be greater than or equal to "
          "`port`",
          "spec.ingress[0].from[0]: Required value: must specify a peer"]),
        ("networking.k8s.io/v1/NetworkPolicy",
         {"spec": {"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8",
                                                   "except": ["11.0.0.0/16"]}}]}]}},
         ['spec.egress[0].to[0].ipBlock.except[0]: Invalid value: "11.0.0.0/16": must be a strict '
          "subset of `cidr`"]),
        ("networking.k8s.io/v1/NetworkPolicy", {"spec": {"policyTypes": ["x"]}},
         ['spec.policyTypes[0]: Unsupported value: "x": supported values: "Ingress", "Egress"']),
        ("networking.k8s.io/v1/Ingress", ingress(path()), []),
        ("networking.k8s.io/v1/Ingress", {"spec": {}},
         ["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"]),
        ("networking.k8s.io/v1/Ingress", ingress(path("x"), path("/a/../b"), path(kind="")),
         ['spec.rules[0].http.paths[0].path: Invalid value: "x": must be an absolute path',
          "spec.rules[0].http.paths[1].path: Invalid value: \"/a/../b\": must not contain '/../'",
          "spec.rules[0].http.paths[2].pathType: Required value: pathType must be specified"]),
        ("networking.k8s.io/v1/Ingress", ingress(path(), host="1.2.3.4"),
         ['spec.rules[0].host: Invalid value: "1.2.3.4": must be a DNS name, not an IP address']),
        ("networking.k8s.io/v1/Ingress", ingress(path(backend={"service": {"name": "s"}})),
         ["spec.rules[0].http.paths[0].backend: Required value: port name or number is required"]),
        ("networking.k8s.io/v1/Ingress",
         {**ingress(path()), "metadata": {"annotations": {"kubernetes.io/ingress.class": "a"}},
          "spec": {**ingress(path())["spec"], "ingressClassName": "b"}},
         ['annotations.kubernetes.io/ingress.class: Invalid value: "a": must match '
          "`ingressClassName` when both are specified"]),
        ("networking.k8s.io/v1/IngressClass", {"spec": {"controller": "x"}},
         ['spec.controller: Invalid value: "x": must be a domain-prefixed path (such as '
          '"acme.io/foo")']),
        ("networking.k8s.io/v1/ServiceCIDR", {"spec": {"cidrs": ["10.0.0.1/24"]}},
         ['spec.cidrs[0]: Invalid value: "10.0.0.1/24": must be in canonical form '
          '("10.0.0.0/24")']),
        ("networking.k8s.io/v1/IPAddress",
         {"metadata": {"name": "10.0.0.1"},
          "spec": {"parentRef": {"resource": "services", "name": "s", "namespace": "d"}}}, []),
        # storage
        ("storage.k8s.io/v1/StorageClass", {"provisioner": "", "volumeBindingMode": "x"},
         ["provisioner: Required value",
          'volumeBindingMode: Unsupported value: "x": supported values: "Immediate", '
          '"WaitForFirstConsumer"']),
        ("storage.k8s.io/v1/VolumeAttachment",
         {"spec": {"attacher": "a.b", "nodeName": "n", "source": {}}},
         ["spec.source: Required value: must specify exactly one of inlineVolumeSpec and "
          "persistentVolumeName"]),
        ("storage.k8s.io/v1/CSIDriver", {"spec": {"fsGroupPolicy": "x"}},
         ['spec.fsGroupPolicy: Unsupported value: "x": supported values: "File", "None", '
          '"ReadWriteOnceWithFSType"']),
        ("storage.k8s.io/v1/CSINode",
         {"spec": {"drivers": [{"name": "d", "nodeID": ""}, {"name": "d", "nodeID": "x"}]}},
         ["spec.drivers[0].nodeID: Required value",
          'spec.drivers[1].name: Duplicate value: "d"']),
        ("storage.k8s.io/v1/VolumeAttributesClass", {"driverName": "d"},
         ["parameters: Required value: must contain at least one key/value pair"]),
        # scheduling, node, coordination
        ("scheduling.k8s.io/v1/PriorityClass", {"value": 1_000_000_001},
         ["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"]),
        ("scheduling.k8s.io/v1/PriorityClass",
         {"metadata": {"name": "system-x"}, "value": 1},
         ["metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for "
          "system use only"]),
        ("scheduling.k8s.io/v1/PriorityClass",
         {"metadata": {"name": "system-node-critical"}, "value": 2_000_001_000}, []),
        ("coordination.k8s.io/v1/Lease", {"spec": {"leaseDurationSeconds": 0}},
         ["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"]),
        # certificates, apiregistration
        ("apiregistration.k8s.io/v1/APIService",
         {"metadata": {"name": "v1.a.b"}, "spec": {"group": "a.b", "version": "v1",
          "groupPriorityMinimum": 0, "versionPriority": 1, "service": {}}},
         ["spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
          "spec.service.namespace: Required value", "spec.service.name: Required value"]),
        # flow control
        ("flowcontrol.apiserver.k8s.io/v1/FlowSchema",
         {"spec": {"matchingPrecedence": 10001, "priorityLevelConfiguration": {"name": "p"}}},
         ["spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000"]),
        ("flowcontrol.apiserver.k8s.io/v1/PriorityLevelConfiguration",
         {"spec": {"type": "Limited"}},
         ["spec.limited: Required value: must not be empty when type is Limited"]),
        # admission
        ("admissionregistration.k8s.io/v1/ValidatingWebhookConfiguration",
         {"webhooks": [HOOK]}, []),
        ("admissionregistration.k8s.io/v1/ValidatingWebhookConfiguration",
         {"webhooks": [{**HOOK, "name": "a", "sideEffects": "Some", "timeoutSeconds": 31,
                        "clientConfig": {}}]},
         ['webhooks[0].name: Invalid value: "a": should be a domain with at least three segments '
          "separated by dots",
          'webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", '
          '"NoneOnDryRun"',
          "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and "
          "30 seconds",
          "webhooks[0].clientConfig: Required value: exactly one of url or service is required"]),
        ("admissionregistration.k8s.io/v1/MutatingWebhookConfiguration",
         {"webhooks": [HOOK, HOOK]}, ['webhooks[1].name: Duplicate value: "a.b.c"']),
        ("admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy", {"spec": POLICY}, []),
        ("admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy",
         {"spec": {**POLICY, "variables": [{"name": "1a", "expression": "1"}]}},
         ['spec.variables[0].name: Invalid value: "1a": name is not a valid CEL identifier']),
        ("admissionregistration.k8s.io/v1/ValidatingAdmissionPolicyBinding",
         {"spec": {"policyName": "p", "validationActions": ["Deny", "Deny"]}},
         ['spec.validationActions[1]: Duplicate value: "Deny"']),
        # events, resources
        ("events.k8s.io/v1/Event", {}, ["eventTime: Required value"]),
        ("events.k8s.io/v1/Event",
         {"eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "a/b",
          "reportingInstance": "i", "action": "a", "reason": "r", "type": "Normal"}, []),
        ("resource.k8s.io/v1/ResourceClaim",
         {"spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "c"}}]}}},
         []),
        ("resource.k8s.io/v1/ResourceClaim", {"spec": {"devices": {"requests": [{"name": "r"}]}}},
         ["spec.devices.requests[0]: Required value: exactly one of `exactly` or "
          "`firstAvailable` is required"]),
        ("resource.k8s.io/v1/ResourceSlice",
         {"spec": {"driver": "d.x", "pool": {"name": "p", "resourceSliceCount": 1}}},
         ["spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, "
          "`perDeviceNodeSelection` is required"]),
    ],
)  # fmt: skip
def test_creation(kind, tree, problems):
    assert created(kind, tree) == problems


@pytest.mark.parametrize(
    ("kind", "old", "new", "problem"),
    [
        ("rbac.authorization.k8s.io/v1/RoleBinding", {"roleRef": ROLE_REF},
         {"roleRef": {**ROLE_REF, "name": "s"}},
         'roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"Role",'
         '"Name":"s"}: cannot change roleRef'),
        ("scheduling.k8s.io/v1/PriorityClass", {"value": 1}, {"value": 2},
         "value: Forbidden: may not be changed in an update."),
        ("storage.k8s.io/v1/StorageClass", {"provisioner": "a"}, {"provisioner": "b"},
         "provisioner: Forbidden: updates to provisioner are forbidden."),
        ("storage.k8s.io/v1/StorageClass", {"provisioner": "a", "parameters": {"a": "b"}},
         {"provisioner": "a"}, "parameters: Forbidden: updates to parameters are forbidden."),
        ("node.k8s.io/v1/RuntimeClass", {"handler": "a"}, {"handler": "b"},
         'handler: Invalid value: "b": field is immutable'),
        ("networking.k8s.io/v1/IngressClass", {"spec": {"controller": "a.b/c"}},
         {"spec": {"controller": "a.b/d"}},
         'spec.controller: Invalid value: "a.b/d": field is immutable'),
    ],
)  # fmt: skip
def test_what_stays(kind, old, new, problem):
    assert updated(kind, old, new) == [problem]


def signing_request(**fields):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    import base64

    text = base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()
    return {"spec": {"request": text, "signerName": "a.b/c", "usages": ["client auth"], **fields}}


def test_certificate_signing_requests():
    kind = "certificates.k8s.io/v1/CertificateSigningRequest"
    assert created(kind, signing_request()) == []
    assert created(kind, signing_request(signerName="x", expirationSeconds=1)) == [
        'spec.signerName: Invalid value: "x": must be a fully qualified domain and path of the '
        "form 'example.com/signer-name'",
        "spec.expirationSeconds: Invalid value: 1: may not specify a duration less than 600 "
        "seconds (10 minutes)",
    ]
    (problem,) = created(kind, signing_request(request="eA=="))
    assert problem.endswith("PEM block type must be CERTIFICATE REQUEST")


def test_a_verdict_on_a_request_stands():
    kind = "certificates.k8s.io/v1/CertificateSigningRequest"
    tree = signing_request()
    approved = {**tree, "status": {"conditions": [{"type": "Approved", "status": "True"}]}}
    denied = {"type": "Denied", "status": "True"}
    both = {**tree, "status": {"conditions": [*approved["status"]["conditions"], denied]}}
    assert updated(kind, tree, approved, part="status") == []
    assert updated(kind, approved, tree, part="status") == [
        'status.conditions: Invalid value: "null": updates may not remove a condition of type '
        '"Approved"'
    ]
    assert updated(kind, tree, both, part="status") == [
        'status.conditions[1].type: Invalid value: "Denied": Approved and Denied conditions are '
        "mutually exclusive"
    ]


@pytest.mark.parametrize("kind", [k for k in SCHEME.kinds if k.plural], ids=lambda k: k.kind)
def test_every_kind_has_rules_which_judge_an_empty_object(kind):
    obj = make(f"{kind.api_version}/{kind.kind}", {})
    rules = rules_of(kind)
    for problem in (*rules.create(obj), *rules.update(obj, obj)):
        assert str(problem)
    if rules.status is not None:
        for problem in rules.status(obj, obj):
            assert str(problem)


def test_the_table_is_a_mapping():
    assert ("apps", "Deployment") in VALIDATORS
    assert ("apps", "Nothing") not in VALIDATORS
    assert ("example.com", "Thing") not in VALIDATORS
    assert len(VALIDATORS) > 50
