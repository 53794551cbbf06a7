from __future__ import annotations

import pytest
from tests.unit.api.objects import container, kind_of, make, pod

from kybern.api import codec
from kybern.api.defaults import DEFAULTERS, apply
from kybern.api.scheme import SCHEME


def tree(name, given):
    return codec.to_tree(make(name, given))


@pytest.mark.parametrize("kind", SCHEME.kinds, ids=lambda k: f"{k.api_version}/{k.kind}")
def test_filling_in_twice_changes_nothing(kind):
    obj = kind.struct()
    apply(obj)
    once = codec.encode(obj)
    apply(obj)
    assert codec.encode(obj) == once


def test_a_pod():
    assert tree("v1/Pod", pod())["spec"] == {
        "containers": [
            {
                "name": "c",
                "image": "i:1",
                "imagePullPolicy": "IfNotPresent",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }
        ],
        "dnsPolicy": "ClusterFirst",
        "enableServiceLinks": True,
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.25", "IfNotPresent"),
        ("localhost:5000/nginx", "Always"),
        ("localhost:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:abc", "IfNotPresent"),
        ("nginx:latest@sha256:abc", "Always"),
        ("", "IfNotPresent"),
    ],
)
def test_when_to_pull(image, policy):
    (found,) = tree("v1/Pod", container(image=image))["spec"]["containers"]
    assert found["imagePullPolicy"] == policy


def test_what_is_limited_is_requested_in_pods_and_not_in_templates():
    resources = {"limits": {"cpu": "1000m", "memory": "1Gi"}, "requests": {"cpu": "100m"}}
    spec = container(resources=resources)["spec"]
    (of_pod,) = tree("v1/Pod", {"spec": spec})["spec"]["containers"]
    assert of_pod["resources"]["requests"] == {"cpu": "100m", "memory": "1Gi"}
    assert of_pod["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    deployment = tree("apps/v1/Deployment", {"spec": {"template": {"spec": spec}}})
    (of_template,) = deployment["spec"]["template"]["spec"]["containers"]
    assert of_template["resources"]["requests"] == {"cpu": "100m"}
    assert "enableServiceLinks" not in deployment["spec"]["template"]["spec"]


def test_probes_ports_and_environment():
    probe = {"httpGet": {"port": 80}}
    env = [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    given = container(ports=[{"containerPort": 80}], livenessProbe=probe, env=env)
    (found,) = tree("v1/Pod", {"spec": {**given["spec"], "hostNetwork": True}})["spec"][
        "containers"
    ]
    assert found["ports"] == [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]
    assert found["livenessProbe"] == {
        "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert found["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"emptyDir": {}}),
        ({"hostPath": {"path": "/x"}}, {"hostPath": {"path": "/x", "type": ""}}),
        ({"secret": {"secretName": "s"}}, {"secret": {"secretName": "s", "defaultMode": 420}}),
        ({"configMap": {"name": "c"}}, {"configMap": {"name": "c", "defaultMode": 420}}),
        (
            {"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
            {
                "projected": {
                    "defaultMode": 420,
                    "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}],
                }
            },
        ),
        ({"image": {"reference": "i"}}, {"image": {"reference": "i", "pullPolicy": "Always"}}),
    ],
)
def test_volumes(given, expected):
    (volume,) = tree("v1/Pod", pod(volumes=[{"name": "v", **given}]))["spec"]["volumes"]
    assert volume == {"name": "v", **expected}


def test_the_old_name_of_the_service_account_goes_along():
    assert make("v1/Pod", pod(serviceAccountName="a")).spec.serviceAccount == "a"
    assert make("v1/Pod", pod(serviceAccount="b")).spec.serviceAccountName == "b"


def test_requests_of_a_whole_pod_come_from_its_containers_or_its_limits():
    given = container(resources={"requests": {"cpu": "250m"}})
    given["spec"]["resources"] = {"limits": {"cpu": "1", "memory": "1Gi"}}
    assert make("v1/Pod", given).spec.resources.requests == {"cpu": "250m", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {},
            {"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster"},
        ),
        (
            {"type": "NodePort"},
            {"externalTrafficPolicy": "Cluster", "internalTrafficPolicy": "Cluster"},
        ),
        ({"type": "LoadBalancer"}, {"allocateLoadBalancerNodePorts": True}),
        ({"externalIPs": ["1.2.3.4"]}, {"externalTrafficPolicy": "Cluster"}),
        (
            {"sessionAffinity": "ClientIP"},
            {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}},
        ),
    ],
)
def test_services(spec, expected):
    found = tree("v1/Service", {"spec": {"ports": [{"port": 80}], **spec}})
    assert found["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert found["status"] == {"loadBalancer": {}}
    assert expected.items() <= found["spec"].items()


def test_names_of_services_outside_have_no_traffic_policy():
    spec = {"type": "ExternalName", "externalName": "a.b"}
    assert "internalTrafficPolicy" not in tree("v1/Service", {"spec": spec})["spec"]


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("v1/Secret", {}, {"type": "Opaque"}),
        ("v1/Secret", {"data": {"a": "eA=="}, "stringData": {"b": "y"}},
         {"data": {"a": "eA==", "b": "eQ=="}}),
        ("v1/Namespace", {"metadata": {"name": "n"}}, {"status": {"phase": "Active"}}),
        ("v1/Node", {"status": {"capacity": {"cpu": "2000m"}}},
         {"status": {"capacity": {"cpu": "2"}, "allocatable": {"cpu": "2"}}}),
        ("v1/PersistentVolume", {"spec": {"capacity": {"storage": "1024Mi"}}},
         {"status": {"phase": "Pending"},
          "spec": {"capacity": {"storage": "1Gi"}, "persistentVolumeReclaimPolicy": "Retain",
                   "volumeMode": "Filesystem"}}),
        ("v1/PersistentVolumeClaim", {},
         {"status": {"phase": "Pending"}, "spec": {"volumeMode": "Filesystem", "resources": {}}}),
        ("v1/LimitRange", {"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"},
                                                "min": {"memory": "1Mi"}}]}},
         {"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"},
                               "default": {"cpu": "2"},
                               "defaultRequest": {"cpu": "2", "memory": "1Mi"}}]}}),
        ("storage.k8s.io/v1/StorageClass", {"provisioner": "p"},
         {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}),
        ("scheduling.k8s.io/v1/PriorityClass", {}, {"preemptionPolicy": "PreemptLowerPriority"}),
        ("networking.k8s.io/v1/NetworkPolicy", {"spec": {"egress": [{"ports": [{"port": 1}]}]}},
         {"spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"],
                   "egress": [{"ports": [{"port": 1, "protocol": "TCP"}]}]}}),
        ("autoscaling/v1/HorizontalPodAutoscaler", {},
         {"spec": {"maxReplicas": 0, "minReplicas": 1, "targetCPUUtilizationPercentage": 80,
                   "scaleTargetRef": {"kind": "", "name": ""}}}),
        ("rbac.authorization.k8s.io/v1/RoleBinding",
         {"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}]},
         {"subjects": [{"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}]}),
        ("flowcontrol.apiserver.k8s.io/v1/FlowSchema", {},
         {"spec": {"matchingPrecedence": 1000, "priorityLevelConfiguration": {"name": ""}}}),
        ("discovery.k8s.io/v1/EndpointSlice", {"ports": [{"port": 1}]},
         {"ports": [{"name": "", "port": 1, "protocol": "TCP"}]}),
    ],
)  # fmt: skip
def test_other_kinds(kind, given, expected):
    assert expected.items() <= tree(kind, given).items()


def test_workloads():
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod()["spec"]}
    deployment = tree("apps/v1/Deployment", {"spec": {"template": template}})["spec"]
    assert deployment["replicas"] == 1
    assert deployment["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
    }
    assert deployment["revisionHistoryLimit"] == 10
    assert deployment["progressDeadlineSeconds"] == 600
    daemon = tree("apps/v1/DaemonSet", {"spec": {"template": template}})["spec"]
    assert daemon["updateStrategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    stateful = tree("apps/v1/StatefulSet", {"spec": {"template": template}})["spec"]
    assert stateful["podManagementPolicy"] == "OrderedReady"
    assert stateful["updateStrategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"partition": 0},
    }
    controller = tree("v1/ReplicationController", {"spec": {"template": template}})
    assert controller["spec"]["selector"] == {"a": "b"}
    assert controller["metadata"]["labels"] == {"a": "b"}


def test_jobs():
    template = {"spec": {**pod()["spec"], "restartPolicy": "Never"}}
    spec = tree("batch/v1/Job", {"spec": {"template": template}})["spec"]
    assert {k: v for k, v in spec.items() if k != "template"} == {
        "backoffLimit": 6,
        "completionMode": "NonIndexed",
        "completions": 1,
        "manualSelector": False,
        "parallelism": 1,
        "podReplacementPolicy": "TerminatingOrFailed",
        "suspend": False,
    }


def test_the_table_is_a_mapping():
    assert ("", "Pod") in DEFAULTERS
    assert ("", "ConfigMap") not in DEFAULTERS
    assert DEFAULTERS.get(("nowhere", "Nothing")) is None
    assert kind_of("v1/Pod").group == ""
