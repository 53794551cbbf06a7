from __future__ import annotations

import pytest
from tests.unit.api.objects import container, created, pod

C = "spec.containers[0]."
HTTP = {"httpGet": {"port": 80}}
EMPTY = {"volumes": [{"name": "v"}]}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"name": ""}, "name: Required value"),
        ({"image": ""}, "image: Required value"),
        (
            {"imagePullPolicy": "x"},
            'imagePullPolicy: Unsupported value: "x": supported values: "Always", "IfNotPresent", '
            '"Never"',
        ),
        (
            {"terminationMessagePolicy": "x"},
            'terminationMessagePolicy: Unsupported value: "x": supported values: "File", '
            '"FallbackToLogsOnError"',
        ),
        ({"ports": [{"containerPort": 0}]}, "ports[0].containerPort: Required value"),
        (
            {"ports": [{"containerPort": 70000}]},
            "ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            {"ports": [{"containerPort": 1, "hostPort": -1}]},
            "ports[0].hostPort: Invalid value: -1: must be between 1 and 65535, inclusive",
        ),
        (
            {"ports": [{"containerPort": 1, "protocol": "x"}]},
            'ports[0].protocol: Unsupported value: "x": supported values: "SCTP", "TCP", "UDP"',
        ),
        (
            {"ports": [{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]},
            'ports[1].name: Duplicate value: "a"',
        ),
        (
            {"ports": [{"containerPort": 1, "hostPort": 1}, {"containerPort": 2, "hostPort": 1}]},
            'ports[1].hostPort: Duplicate value: "TCP//1"',
        ),
        ({"env": [{"name": ""}]}, "env[0].name: Required value"),
        (
            {"env": [{"name": "a=b"}]},
            'env[0].name: Invalid value: "a=b": a valid environment variable name must consist '
            "only of printable ASCII characters other than '='",
        ),
        (
            {"env": [{"name": "a", "valueFrom": {}}]},
            'env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, '
            "`resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        ),
        (
            {"env": [{"name": "a", "value": "b",
                      "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
            'env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty',
        ),
        (
            {"env": [{"name": "a", "valueFrom": {"secretKeyRef": {"name": "s", "key": ""}}}]},
            "env[0].valueFrom.secretKeyRef.key: Required value",
        ),
        (
            {"env": [{"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}]},
            'env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.x": error converting '
            "fieldPath: field label not supported: spec.x",
        ),
        (
            {"env": [{"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels"}}}]},
            'env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "metadata.labels": supported '
            'values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", '
            '"spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", '
            '"status.podIPs"',
        ),
        (
            {"env": [{"name": "a", "valueFrom": {"resourceFieldRef": {
                "resource": "limits.cpu", "divisor": "2"}}}]},
            'env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.cpu": only '
            "divisor's values 1m and 1 are supported with the cpu resource",
        ),
        (
            {"env": [{"name": "a", "valueFrom": {"resourceFieldRef": {"resource": "x"}}}]},
            'env[0].valueFrom.resourceFieldRef.resource: Unsupported value: "x": supported values: '
            '"limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", '
            '"requests.ephemeral-storage", "requests.memory"',
        ),
        (
            {"envFrom": [{}]},
            'envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`',
        ),
        ({"envFrom": [{"secretRef": {}}]}, "envFrom[0].secretRef.name: Required value"),
        ({"volumeMounts": [{"name": "v", "mountPath": "/a"}]},
         'volumeMounts[0].name: Not found: "v"'),
        ({"livenessProbe": {}}, "livenessProbe: Required value: must specify a handler type"),
        (
            {"livenessProbe": HTTP | {"tcpSocket": {"port": 1}}},
            "livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
        ),
        (
            {"livenessProbe": HTTP | {"successThreshold": 2}},
            "livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ),
        (
            {"readinessProbe": HTTP | {"terminationGracePeriodSeconds": 2}},
            "readinessProbe.terminationGracePeriodSeconds: Invalid value: 2: must not be set for "
            "readinessProbes",
        ),
        (
            {"startupProbe": HTTP | {"periodSeconds": -1}},
            "startupProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            {"startupProbe": {"exec": {}}},
            "startupProbe.exec.command: Required value",
        ),
        (
            {"startupProbe": {"httpGet": {"port": "UP", "scheme": "FTP"}}},
            'startupProbe.httpGet.scheme: Unsupported value: "FTP": supported values: "HTTP", '
            '"HTTPS"',
        ),
        (
            {"startupProbe": {"grpc": {"port": 0}}},
            "startupProbe.grpc.port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (
            {"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}},
            "lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than "
            "terminationGracePeriodSeconds (30)",
        ),
        (
            {"lifecycle": {"stopSignal": "SIGTERM"}},
            "lifecycle.stopSignal: Forbidden: may not be set for containers with empty "
            "`spec.os.name`",
        ),
        (
            {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}},
            'resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
        ),
        (
            {"resources": {"requests": {"cpu": "-1"}}},
            'resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0',
        ),
        (
            {"resources": {"requests": {"pods": "1"}}},
            'resources.requests[pods]: Invalid value: "pods": must be a standard resource for '
            "containers",
        ),
        (
            {"resources": {"requests": {"gpu": "1"}}},
            'resources.requests[gpu]: Invalid value: "gpu": must be a standard resource type or '
            "fully qualified",
        ),
        (
            {"resources": {"requests": {"example.com/gpu": "1"}}},
            "resources.limits: Required value: Limit must be set for non overcommitable resources",
        ),
        (
            {"resources": {"limits": {"example.com/gpu": "500m"}}},
            'resources.limits[example.com/gpu]: Invalid value: "500m": must be an integer',
        ),
        (
            {"resources": {"requests": {"a.b/c": "1"}, "limits": {"a.b/c": "2"}}},
            'resources.requests: Invalid value: "1": must be equal to a.b/c limit of 2',
        ),
        (
            {"resources": {"limits": {"hugepages-2Mi": "2Mi"}}},
            "resources: Forbidden: HugePages require cpu or memory",
        ),
        (
            {"resources": {"limits": {"hugepages-2Mi": "3Mi", "cpu": "1"}}},
            'resources.limits[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer '
            "multiple of hugepages-2Mi",
        ),
        (
            {"resources": {"claims": [{"name": "x"}]}},
            'resources.claims[0]: Not found: "x": must be one of the names in '
            "pod.spec.resourceClaims which is empty",
        ),
        (
            {"resizePolicy": [{"resourceName": "x", "restartPolicy": "NotRequired"}]},
            'resizePolicy: Unsupported value: "x": supported values: "cpu", "memory"',
        ),
        (
            {"restartPolicy": "x"},
            'restartPolicy: Unsupported value: "x": supported values: "Always", "OnFailure", '
            '"Never"',
        ),
        (
            {"restartPolicyRules": [{"action": "Restart",
                                     "exitCodes": {"operator": "In", "values": [1]}}]},
            "restartPolicy: Required value: must specify restartPolicy when restart rules are used",
        ),
    ],
)  # fmt: skip
def test_containers(fields, problem):
    assert C + problem in created("v1/Pod", container(**fields))


@pytest.mark.parametrize(
    ("mounts", "problem"),
    [
        ([{"name": "v", "mountPath": ""}], "[0].mountPath: Required value"),
        (
            [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a"}],
            '[1].mountPath: Invalid value: "/a": must be unique',
        ),
        (
            [{"name": "v", "mountPath": "/a", "subPath": "/b"}],
            '.subPath: Invalid value: "/b": must be a relative path',
        ),
        (
            [{"name": "v", "mountPath": "/a", "subPath": "b", "subPathExpr": "c"}],
            '[0].subPathExpr: Invalid value: "c": subPathExpr and subPath are mutually exclusive',
        ),
        (
            [{"name": "v", "mountPath": "/a", "mountPropagation": "Bidirectional"}],
            ".mountPropagation: Forbidden: Bidirectional mount propagation is available only to "
            "privileged containers",
        ),
        (
            [{"name": "v", "mountPath": "/a", "recursiveReadOnly": "Enabled"}],
            ".recursiveReadOnly: Forbidden: may only be specified when readOnly is true",
        ),
    ],
)
def test_mounts(mounts, problem):
    tree = container(volumeMounts=mounts)
    tree["spec"] |= EMPTY
    assert created("v1/Pod", tree) == [f"{C}volumeMounts{problem}"]


def test_block_devices_come_from_claims():
    tree = container(volumeDevices=[{"name": "v", "devicePath": "/dev/../x"}])
    tree["spec"] |= EMPTY
    assert created("v1/Pod", tree) == [
        f'{C}volumeDevices[0].name: Invalid value: "v": can only use volume source type of '
        "PersistentVolumeClaim or Ephemeral for block mode",
        f'{C}volumeDevices[0].devicePath: Invalid value: "/dev/../x": can not contain backsteps '
        "('..')",
    ]


def test_host_ports_and_container_ports_agree_on_the_node_network():
    tree = container(ports=[{"containerPort": 80, "hostPort": 81}])
    tree["spec"]["hostNetwork"] = True
    assert created("v1/Pod", tree) == [
        f"{C}ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` "
        "is true"
    ]
    assert created("v1/Pod", pod(hostNetwork=True)) == []


I0 = "spec.initContainers[0]."


@pytest.mark.parametrize(
    ("fields", "problems"),
    [
        ({}, []),
        ({"name": "c"}, ['name: Duplicate value: "c"']),
        (
            {"readinessProbe": HTTP},
            [
                "readinessProbe: Forbidden: may not be set for init containers without "
                "restartPolicy=Always"
            ],
        ),
        ({"readinessProbe": HTTP, "restartPolicy": "Always"}, []),
        (
            {"restartPolicy": "Maybe"},
            [
                'restartPolicy: Unsupported value: "Maybe": supported values: "Always", '
                '"OnFailure", "Never"'
            ],
        ),
    ],
)
def test_init_containers(fields, problems):
    found = created("v1/Pod", pod(initContainers=[{"name": "init", "image": "i", **fields}]))
    assert found == [I0 + problem for problem in problems]


def test_what_ephemeral_containers_may_not_have():
    fields = {"name": "e", "image": "i", "ports": [{"containerPort": 1}], "livenessProbe": HTTP}
    tree = pod(ephemeralContainers=[{**fields, "targetContainerName": "nobody"}])
    found = created("v1/Pod", tree)
    e = "spec.ephemeralContainers[0]."
    assert found[:-1] == [
        f'{e}targetContainerName: Not found: "nobody"',
        f"{e}ports: Forbidden: cannot be set for an Ephemeral Container",
        f"{e}livenessProbe: Forbidden: cannot be set for an Ephemeral Container",
    ]


# --- security -----------------------------------------------------------------------------------

S = "spec.securityContext."


@pytest.mark.parametrize(
    ("context", "problems"),
    [
        ({"runAsUser": -1}, ["runAsUser: Invalid value: -1: must be between 0 and 4294967295, "
                             "inclusive"]),
        (
            {"supplementalGroups": [-5]},
            ["supplementalGroups[0]: Invalid value: -5: must be between 0 and 4294967295, "
             "inclusive"],
        ),
        (
            {"fsGroupChangePolicy": "x"},
            ['fsGroupChangePolicy: Unsupported value: "x": supported values: "Always", '
             '"OnRootMismatch"'],
        ),
        (
            {"seccompProfile": {"type": "Localhost"}},
            ["seccompProfile.localhostProfile: Required value: must be set when seccomp type is "
             "Localhost"],
        ),
        (
            {"seccompProfile": {"type": "RuntimeDefault", "localhostProfile": "x"}},
            ['seccompProfile.localhostProfile: Invalid value: {"Type":"RuntimeDefault",'
             '"LocalhostProfile":"x"}: can only be set when seccomp type is Localhost'],
        ),
        (
            {"appArmorProfile": {"type": "x"}},
            ['appArmorProfile.type: Unsupported value: "x": supported values: "Localhost", '
             '"RuntimeDefault", "Unconfined"'],
        ),
        (
            {"sysctls": [{"name": "foo-", "value": "b"}, {"name": "kernel.shmmax", "value": "1"},
                         {"name": "safe-and-unsafe", "value": "1"},
                         {"name": "bar..", "value": "4"}]},
            [
                'sysctls[0].name: Invalid value: "foo-": must have at most 253 characters and '
                "match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*"
                "[a-z0-9])?$",
                'sysctls[3].name: Invalid value: "bar..": must have at most 253 characters and '
                "match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*"
                "[a-z0-9])?$",
            ],
        ),
        (
            {"sysctls": [{"name": "a", "value": "1"}, {"name": "a", "value": "1"}]},
            ['sysctls[1].name: Duplicate value: "a"'],
        ),
        (
            {"windowsOptions": {"runAsUserName": ""}},
            ['windowsOptions.runAsUserName: Invalid value: "": runAsUserName cannot be an empty '
             "string"],
        ),
    ],
)  # fmt: skip
def test_security_of_pods(context, problems):
    assert created("v1/Pod", pod(securityContext=context)) == [S + each for each in problems]


def test_sysctls_of_the_node_are_not_for_pods():
    context = {"sysctls": [{"name": "net.ipv4.ip_forward", "value": "1"},
                           {"name": "kernel.shm_rmid_forced", "value": "1"}]}  # fmt: skip
    found = created("v1/Pod", pod(securityContext=context, hostNetwork=True, hostIPC=True))
    assert found == [
        f'{S}sysctls[0].name: Invalid value: "net.ipv4.ip_forward": may not be specified when '
        "'hostNetwork' is true",
        f'{S}sysctls[1].name: Invalid value: "kernel.shm_rmid_forced": may not be specified when '
        "'hostIPC' is true",
    ]


@pytest.mark.parametrize(
    ("context", "problem"),
    [
        (
            {"procMount": "x"},
            '.procMount: Unsupported value: "x": supported values: "Default", "Unmasked"',
        ),
        (
            {"procMount": "Unmasked"},
            '.procMount: Invalid value: "Unmasked": `hostUsers` must be false to use `Unmasked`',
        ),
    ],
)
def test_security_of_containers(context, problem):
    assert created("v1/Pod", container(securityContext=context)) == [f"{C}securityContext{problem}"]


def test_privileged_containers_have_escalated_already():
    context = {"allowPrivilegeEscalation": False, "privileged": True}
    (problem,) = created("v1/Pod", container(securityContext=context))
    assert problem.startswith(f'{C}securityContext: Invalid value: {{"Capabilities":null,')
    assert problem.endswith(
        "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
    )
