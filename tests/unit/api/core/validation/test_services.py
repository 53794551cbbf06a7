from __future__ import annotations

import pytest
from tests.unit.api.objects import created, updated

PORT = {"port": 80}


def service(**spec):
    return {"spec": {"ports": [PORT], **spec}}


def allocated(**spec):
    return service(**({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]} | spec))


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"ports": []}, "spec.ports: Required value"),
        (
            {"type": "x"},
            'spec.type: Unsupported value: "x": supported values: "ClusterIP", "ExternalName", '
            '"LoadBalancer", "NodePort"',
        ),
        (
            {"ports": [{"port": 0}]},
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (
            {"ports": [{"port": 1, "protocol": "x"}]},
            'spec.ports[0].protocol: Unsupported value: "x": supported values: "SCTP", "TCP", '
            '"UDP"',
        ),
        ({"ports": [{"port": 1}, {"port": 2}]}, "spec.ports[1].name: Required value"),
        (
            {"ports": [{"port": 1, "name": "a"}, {"port": 2, "name": "a"}]},
            'spec.ports[1].name: Duplicate value: "a"',
        ),
        (
            {"ports": [{"port": 1, "name": "a"}, {"port": 1, "name": "b"}]},
            'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,'
            '"Port":1,"TargetPort":0,"NodePort":0}',
        ),
        (
            {"ports": [{"port": 1, "targetPort": "TOO_LONG_A_NAME_FOR_IT"}]},
            'spec.ports[0].targetPort: Invalid value: "TOO_LONG_A_NAME_FOR_IT": must be no more '
            "than 15 bytes",
        ),
        (
            {"ports": [{"port": 1, "nodePort": 30000}]},
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            {"sessionAffinity": "x"},
            'spec.sessionAffinity: Unsupported value: "x": supported values: "ClientIP", "None"',
        ),
        (
            {"sessionAffinity": "ClientIP",
             "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86401}}},
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be "
            "greater than 0 and less than 86400",
        ),
        (
            {"externalIPs": ["127.0.0.1"]},
            'spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range '
            "(127.0.0.0/8, ::1/128)",
        ),
        (
            {"loadBalancerSourceRanges": ["x"]},
            "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is "
            "'LoadBalancer'",
        ),
        (
            {"loadBalancerClass": "a"},
            "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
        ),
        (
            {"externalTrafficPolicy": "Local"},
            'spec.externalTrafficPolicy: Invalid value: "Local": may only be set for '
            "externally-accessible services",
        ),
        (
            {"internalTrafficPolicy": "x"},
            'spec.internalTrafficPolicy: Unsupported value: "x": supported values: "Cluster", '
            '"Local"',
        ),
        (
            {"trafficDistribution": "x"},
            'spec.trafficDistribution: Unsupported value: "x": supported values: "PreferClose", '
            '"PreferSameZone", "PreferSameNode"',
        ),
        (
            {"healthCheckNodePort": 30000},
            "spec.healthCheckNodePort: Invalid value: 30000: may only be set when `type` is "
            "'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
        ),
        (
            {"type": "LoadBalancer", "externalTrafficPolicy": "Local"},
            "spec.healthCheckNodePort: Required value",
        ),
        ({"type": "ExternalName"}, "spec.externalName: Required value"),
        (
            {"type": "ExternalName", "externalName": "a.b", "clusterIPs": ["10.0.0.1"]},
            "spec.clusterIPs: Forbidden: may not be set for ExternalName services",
        ),
        (
            {"type": "NodePort", "clusterIP": "None", "clusterIPs": ["None"]},
            "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort "
            "services",
        ),
        ({"clusterIP": "10.0.0.1"}, "spec.clusterIPs: Required value"),
        (
            {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.2"]},
            'spec.clusterIPs: Invalid value: ["10.0.0.2"]: first value must match `clusterIP`',
        ),
        (
            {"clusterIP": "x", "clusterIPs": ["x"]},
            'spec.clusterIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 '
            "or 2001:db8::ffff)",
        ),
        (
            {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv6"]},
            'spec.clusterIPs[0]: Invalid value: "10.0.0.1": expected an IPv6 value as indicated '
            "by `ipFamilies[0]`",
        ),
        (
            {"ipFamilies": ["IPv5"]},
            'spec.ipFamilies[0]: Unsupported value: "IPv5": supported values: "IPv4", "IPv6"',
        ),
        (
            {"ipFamilyPolicy": "x"},
            'spec.ipFamilyPolicy: Unsupported value: "x": supported values: "PreferDualStack", '
            '"RequireDualStack", "SingleStack"',
        ),
    ],
)  # fmt: skip
def test_services(spec, problem):
    assert problem in created("v1/Service", service(**spec))


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"type": "NodePort"},
        {"type": "LoadBalancer"},
        {"type": "ExternalName", "externalName": "a.b.", "ports": []},
        {"clusterIP": "None", "clusterIPs": ["None"], "ports": []},
        {"sessionAffinity": "ClientIP"},
    ],
)
def test_services_that_are_fine(spec):
    assert created("v1/Service", service(**spec)) == []


def test_services_start_with_a_letter():
    (problem,) = created("v1/Service", {**service(), "metadata": {"name": "1a"}})
    assert problem.startswith('metadata.name: Invalid value: "1a": a DNS-1035 label must consist')


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            allocated(),
            allocated(clusterIP="10.0.0.2", clusterIPs=["10.0.0.2"]),
            'spec.clusterIPs[0]: Invalid value: ["10.0.0.2"]: may not change once set',
        ),
        (
            allocated(),
            service(),
            "spec.clusterIPs[0]: Invalid value: []: primary clusterIP can not be unset",
        ),
        (
            allocated(ipFamilies=["IPv4"]),
            allocated(ipFamilies=["IPv6"]),
            'spec.ipFamilies[0]: Invalid value: ["IPv6"]: may not change once set',
        ),
        (
            allocated(type="LoadBalancer", loadBalancerClass="a/b"),
            allocated(type="LoadBalancer", loadBalancerClass="a/c"),
            'spec.loadBalancerClass: Invalid value: "a/c": may not change once set',
        ),
    ],
)
def test_what_stays(old, new, problem):
    assert problem in updated("v1/Service", old, new)


def test_types_may_change():
    external = {"spec": {"type": "ExternalName", "externalName": "a.b"}}
    assert updated("v1/Service", allocated(), external) == []
    assert updated("v1/Service", external, allocated(type="NodePort")) == []


def test_only_load_balancers_have_their_status():
    def at(ingress, kind="LoadBalancer"):
        return {**allocated(type=kind), "status": {"loadBalancer": {"ingress": [ingress]}}}

    place = "status.loadBalancer.ingress"
    assert updated("v1/Service", allocated(), at({"ip": "1.1.1.1"}), part="status") == []
    assert updated("v1/Service", allocated(), at({}, "ClusterIP"), part="status") == [
        f"{place}: Forbidden: may only be used when `spec.type` is 'LoadBalancer'"
    ]
    assert updated("v1/Service", allocated(), at({"hostname": "1.1.1.1"}), part="status") == [
        f'{place}[0].hostname: Invalid value: "1.1.1.1": must be a DNS name, not an IP address'
    ]
    assert updated("v1/Service", allocated(), at({"ipMode": "VIP"}), part="status") == [
        f"{place}[0].ipMode: Forbidden: may not be specified when `ip` is not set"
    ]


# --- endpoints ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subset", "problem"),
    [
        ({}, ": Required value: must specify `addresses` or `notReadyAddresses`"),
        (
            {"addresses": [{"ip": "0.0.0.0"}]},
            '.addresses[0].ip: Invalid value: "0.0.0.0": may not be unspecified (0.0.0.0)',
        ),
        (
            {"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 0}]},
            ".ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (
            {"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 1}, {"port": 2, "name": "b"}]},
            ".ports[0].name: Required value",
        ),
    ],
)
def test_endpoints(subset, problem):
    assert created("v1/Endpoints", {"subsets": [subset]}) == [f"subsets[0]{problem}"]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"addressType": ""}, "addressType: Required value"),
        (
            {"addressType": "x"},
            'addressType: Unsupported value: "x": supported values: "FQDN", "IPv4", "IPv6"',
        ),
        (
            {"endpoints": [{"addresses": []}]},
            "endpoints[0].addresses: Required value: must contain at least 1 address",
        ),
        (
            {"endpoints": [{"addresses": ["::1"]}]},
            'endpoints[0].addresses[0]: Invalid value: "::1": must be a valid IPv4 address',
        ),
        (
            {"endpoints": [{"addresses": ["10.0.0.1"]}] * 1001},
            "endpoints: Too many: 1001: must have at most 1000 items",
        ),
        (
            {"ports": [{"port": 1}, {"port": 2}]},
            'ports[1].name: Duplicate value: ""',
        ),
        (
            {"ports": [{"port": 1, "protocol": "x"}]},
            'ports[0].protocol: Unsupported value: "x": supported values: "SCTP", "TCP", "UDP"',
        ),
    ],
)
def test_endpoint_slices(fields, problem):
    tree = {"addressType": "IPv4", "endpoints": [], **fields}
    assert problem in created("discovery.k8s.io/v1/EndpointSlice", tree)


def test_the_type_of_addresses_stays():
    kind = "discovery.k8s.io/v1/EndpointSlice"
    old, new = {"addressType": "IPv4"}, {"addressType": "IPv6"}
    assert updated(kind, old, new) == ['addressType: Invalid value: "IPv6": field is immutable']
