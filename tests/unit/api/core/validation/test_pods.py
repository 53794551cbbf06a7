from __future__ import annotations

import pytest
from tests.unit.api.objects import container, created, make, pod, updated

from kybern.api.core.validation import pods

UPDATE = "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`"


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"containers": []}, "spec.containers: Required value"),
        (
            {"restartPolicy": "Sometimes"},
            'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", '
            '"OnFailure", "Never"',
        ),
        (
            {"dnsPolicy": "x"},
            'spec.dnsPolicy: Unsupported value: "x": supported values: "ClusterFirstWithHostNet", '
            '"ClusterFirst", "Default", "None"',
        ),
        (
            {"activeDeadlineSeconds": 0},
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, "
            "inclusive",
        ),
        (
            {"ephemeralContainers": [{"name": "e", "image": "i"}]},
            "spec.ephemeralContainers: Forbidden: cannot be set on create",
        ),
        (
            {"nodeName": "n", "schedulingGates": [{"name": "a"}]},
            "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
        ),
        (
            {"schedulingGates": [{"name": "a"}, {"name": "a"}]},
            'spec.schedulingGates[1]: Duplicate value: "a"',
        ),
        (
            {"preemptionPolicy": "x"},
            'spec.preemptionPolicy: Unsupported value: "x": supported values: '
            '"PreemptLowerPriority", "Never"',
        ),
        (
            {"hostAliases": [{"ip": "x"}]},
            'spec.hostAliases[0].ip: Invalid value: "x": must be a valid IP address, (e.g. '
            "10.9.8.7 or 2001:db8::ffff)",
        ),
        (
            {"dnsPolicy": "None"},
            "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
        ),
        (
            {"dnsPolicy": "None", "dnsConfig": {}},
            "spec.dnsConfig.nameservers: Required value: must provide at least one DNS nameserver "
            "when `dnsPolicy` is None",
        ),
        (
            {"dnsConfig": {"nameservers": ["1.1.1.1"] * 4}},
            'spec.dnsConfig.nameservers: Invalid value: ["1.1.1.1","1.1.1.1","1.1.1.1","1.1.1.1"]'
            ": must not have more than 3 nameservers",
        ),
        (
            {"dnsConfig": {"options": [{"value": "x"}]}},
            "spec.dnsConfig.options[0]: Required value: must not be empty",
        ),
        (
            {"hostUsers": False, "hostNetwork": True},
            "spec.hostNetwork: Forbidden: when `pod.Spec.HostUsers` is false",
        ),
        ({"os": {"name": ""}}, "spec.os.name: Required value: cannot be empty"),
        (
            {"os": {"name": "beos"}},
            'spec.os: Unsupported value: "beos": supported values: "linux", "windows"',
        ),
        (
            {"os": {"name": "windows"}, "securityContext": {"runAsUser": 1}},
            "spec.securityContext.runAsUser: Forbidden: cannot be set for a windows pod",
        ),
        (
            {"os": {"name": "linux"}, "securityContext": {"windowsOptions": {}}},
            "spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a "
            "linux pod",
        ),
        (
            {"securityContext": {"windowsOptions": {"hostProcess": True}}},
            "spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any "
            "hostProcess containers",
        ),
        (
            {"resourceClaims": [{"name": "c"}]},
            'spec.resourceClaims[0]: Invalid value: {"Name":"c","ResourceClaimName":null,'
            '"ResourceClaimTemplateName":null}: must specify one of: `resourceClaimName`, '
            "`resourceClaimTemplateName`",
        ),
        (
            {"hostnameOverride": "h", "hostNetwork": True},
            "spec.hostnameOverride: Forbidden: may not be specified when hostNetwork is true",
        ),
    ],
)
def test_specs(spec, problem):
    assert problem in created("v1/Pod", pod(**spec))


def test_a_plain_pod_is_fine():
    assert created("v1/Pod", pod()) == []


def test_a_missing_image_is_the_only_problem():
    assert created("v1/Pod", pod(containers=[{"name": "c"}])) == [
        "spec.containers[0].image: Required value"
    ]


def test_a_token_needs_an_account():
    volume = {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}
    assert created("v1/Pod", pod(volumes=[volume])) == [
        "spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be "
        "specified when serviceAccountName is not set"
    ]
    assert created("v1/Pod", pod(volumes=[volume], serviceAccountName="a")) == []


def test_pods_write_their_images_neatly():
    assert created("v1/Pod", container(image=" i ")) == [
        'spec.containers[0].image: Invalid value: " i ": must not have leading or trailing '
        "whitespace"
    ]


@pytest.mark.parametrize(
    ("annotations", "problem"),
    [
        (
            {"kubernetes.io/config.mirror": "x"},
            'metadata.annotations[kubernetes.io/config.mirror]: Invalid value: "x": must set '
            "spec.nodeName if mirror pod annotation is set",
        ),
        (
            {"controller.kubernetes.io/pod-deletion-cost": "+1"},
            "metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: "
            '"+1": must be a 32bit integer',
        ),
        (
            {"container.apparmor.security.beta.kubernetes.io/d": "x"},
            "metadata.annotations[container.apparmor.security.beta.kubernetes.io/d]: Invalid "
            'value: "d": container not found',
        ),
    ],
)
def test_annotations_with_a_meaning(annotations, problem):
    assert problem in created("v1/Pod", {**pod(), "metadata": {"annotations": annotations}})


# --- pod-level resources ------------------------------------------------------------------------


def test_pod_level_resources_cover_the_containers():
    tree = container(resources={"requests": {"cpu": "2"}, "limits": {"memory": "2Gi"}})
    tree["spec"]["resources"] = {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}
    assert created("v1/Pod", tree) == [
        'spec.resources.requests: Invalid value: "2Gi": must be less than or equal to memory '
        "limit of 1Gi",
        'spec.resources.requests[cpu]: Invalid value: "1": must be greater than or equal to '
        "aggregate container requests of 2",
        'spec.resources.containers[0][memory].limits: Invalid value: "2Gi": must be less than or '
        "equal to pod limits of 1Gi",
    ]


# --- updates ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            pod(),
            pod(containers=[{"name": "c", "image": "i:1"}, {"name": "d", "image": "i:1"}]),
            "spec.containers: Forbidden: pod updates may not add or remove containers",
        ),
        (
            pod(activeDeadlineSeconds=10),
            pod(activeDeadlineSeconds=20),
            "spec.activeDeadlineSeconds: Invalid value: 20: must be less than or equal to "
            "previous value",
        ),
        (
            pod(activeDeadlineSeconds=10),
            pod(),
            'spec.activeDeadlineSeconds: Invalid value: "null": must not update from a positive '
            "integer to nil value",
        ),
        (
            pod(tolerations=[{"key": "a", "operator": "Exists"}]),
            pod(),
            "spec.tolerations: Forbidden: existing toleration can not be modified except its "
            "tolerationSeconds",
        ),
        (
            pod(),
            pod(schedulingGates=[{"name": "g"}]),
            "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new "
            "scheduling gate 'g'",
        ),
        (
            pod(schedulingGates=[{"name": "g"}], nodeSelector={"a": "1"}),
            pod(schedulingGates=[{"name": "g"}], nodeSelector={"a": "2"}),
            'spec.nodeSelector: Invalid value: {"a":"2"}: only additions to spec.nodeSelector are '
            "allowed (no mutations or deletions)",
        ),
    ],
)
def test_updates_that_are_refused(old, new, problem):
    assert updated("v1/Pod", old, new) == [problem]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (pod(), container(image="i:2")),
        (pod(), pod(activeDeadlineSeconds=5)),
        (pod(), pod(tolerations=[{"key": "a", "operator": "Exists"}])),
        (pod(schedulingGates=[{"name": "g"}]), pod()),
        (
            pod(schedulingGates=[{"name": "g"}]),
            pod(schedulingGates=[{"name": "g"}], nodeSelector={"a": "1"}),
        ),
        (pod(), pod(hostNetwork=False, nodeSelector={})),
        (pod(terminationGracePeriodSeconds=-1), pod(terminationGracePeriodSeconds=1)),
    ],
)
def test_updates_that_are_fine(old, new):
    assert updated("v1/Pod", old, new) == []


def test_anything_else_in_the_spec_stays_and_the_difference_is_shown():
    (problem,) = updated("v1/Pod", pod(), pod(dnsPolicy="Default"))
    assert problem.startswith(UPDATE)
    assert problem.splitlines()[1:] == [
        "  core.PodSpec{",
        "  \t... // 5 identical fields",
        '- \tDNSPolicy: "ClusterFirst",',
        '+ \tDNSPolicy: "Default",',
        "  \t... // 36 identical fields",
        "  }",
    ]


def test_the_mirror_annotation_is_there_from_the_beginning():
    annotated = {**pod(nodeName="n"), "metadata": {"annotations": {pods.MIRROR: "x"}}}
    assert updated("v1/Pod", pod(nodeName="n"), annotated) == [
        "metadata.annotations[kubernetes.io/config.mirror]: Forbidden: may not add mirror pod "
        "annotation"
    ]


# --- status -------------------------------------------------------------------------------------


def with_status(**status):
    return {**pod(restartPolicy="Never"), "status": status}


ENDED = [{"name": "c", "image": "i", "imageID": "", "state": {"terminated": {"exitCode": 1}}}]
RUNNING = [{"name": "c", "image": "i", "imageID": "", "state": {"running": {}}}]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            {"containerStatuses": ENDED},
            {"containerStatuses": RUNNING},
            "status.containerStatuses[0].state: Forbidden: may not be transitioned to "
            "non-terminated state",
        ),
        (
            {"qosClass": "Burstable"},
            {"qosClass": "BestEffort"},
            'status.qosClass: Invalid value: "BestEffort": field is immutable',
        ),
        (
            {},
            {"podIPs": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]},
            'status.podIPs: Invalid value: [{"IP":"10.0.0.1"},{"IP":"10.0.0.2"}]: may specify no '
            "more than one IP for each IP family",
        ),
        (
            {},
            {"hostIP": "10.0.0.1", "hostIPs": [{"ip": "10.0.0.2"}]},
            'status.hostIPs[0].ip: Invalid value: "10.0.0.2": must be equal to `hostIP`',
        ),
    ],
)
def test_statuses_that_are_refused(old, new, problem):
    old, new = with_status(**old), with_status(**new)
    assert updated("v1/Pod", old, new, part="status") == [problem]


def test_a_container_may_start_again_where_the_policy_says_so():
    old = {**pod(restartPolicy="OnFailure"), "status": {"containerStatuses": ENDED}}
    new = {**pod(restartPolicy="OnFailure"), "status": {"containerStatuses": RUNNING}}
    assert updated("v1/Pod", old, new, part="status") == []


# --- subresources -------------------------------------------------------------------------------


def changed(old, new):
    version = {"metadata": {"resourceVersion": "1"}}
    return make("v1/Pod", {**new, **version}), make("v1/Pod", {**old, **version})


def texts(problems):
    return [str(each) for each in problems]


def test_ephemeral_containers_come_and_stay():
    one = pod(ephemeralContainers=[{"name": "e", "image": "i:1"}])
    other = pod(ephemeralContainers=[{"name": "e", "image": "i:2"}])
    check = pods.validate_ephemeral_containers_update
    assert texts(check(*changed(pod(), one))) == []
    assert texts(check(*changed(one, pod()))) == [
        'spec.ephemeralContainers: Forbidden: existing ephemeral containers "e" may not be '
        "removed\n"
    ]
    (problem,) = texts(check(*changed(one, other)))
    assert problem.startswith(
        'spec.ephemeralContainers: Forbidden: existing ephemeral containers "e" may not be '
        "changed\n"
    )


def test_a_resize_changes_cpu_and_memory_and_nothing_else():
    def asks(cpu, **more):
        return container(resources={"requests": {"cpu": cpu, **more}})

    check = pods.validate_resize
    assert texts(check(*changed(asks("1"), asks("2")))) == []
    assert texts(
        check(*changed(asks("1"), container(image="i:2", resources={"requests": {"cpu": "1"}})))
    ) == ["spec: Forbidden: only cpu and memory resources are mutable"]
    assert texts(check(*changed(asks("1", memory="1Gi"), asks("1")))) == [
        "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed"
    ]
    (problem, *_) = texts(
        check(
            *changed(
                asks("1"),
                container(
                    resources={
                        "requests": {"cpu": "1", "memory": "1Gi"},
                        "limits": {"cpu": "1", "memory": "1Gi"},
                    }
                ),
            )
        )
    )
    assert problem.endswith("Pod QOS Class may not change as a result of resizing")
    renamed = container(name="other", resources={"requests": {"cpu": "1"}})
    assert texts(check(*changed(asks("1"), renamed))) == [
        "spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize"
    ]
    more = pod(containers=[*asks("1")["spec"]["containers"], *renamed["spec"]["containers"]])
    assert texts(check(*changed(asks("1"), more))) == [
        "spec.containers: Forbidden: containers may not be added or removed on resize"
    ]


def test_a_binding_names_a_node():
    binding = make("v1/Binding", {"target": {"kind": "Pod", "name": ""}}, defaults=False)
    assert texts(pods.validate_binding(binding)) == [
        'target.kind: Unsupported value: "Pod": supported values: "Node", "<empty>"',
        "target.name: Required value",
    ]
