"""Bodies as clients send them, and what the server says about them."""

import json

import pytest

from kybern.api import codec
from kybern.api.core.v1 import Container, Pod
from kybern.api.errors import BadRequest, UnsupportedMediaType
from kybern.api.scheme import SCHEME

POD = SCHEME.by_kind("v1", "Pod")
DEPLOYMENT = SCHEME.by_kind("apps/v1", "Deployment")
SECRET = SCHEME.by_kind("v1", "Secret")


def read(body, kind=POD, content_type="application/json", validation="Strict"):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return codec.decode_request(data, kind, content_type, validation)


def test_kind_and_version_may_be_left_out():
    pod, warnings = read({"metadata": {"name": "x"}})
    assert (pod.kind, pod.apiVersion, pod.metadata.name, warnings) == ("Pod", "v1", "x", [])


def test_unknown_and_duplicate_fields_are_told_in_the_order_of_the_text():
    body = b"""{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"},
        "spec": {"unknownField": "foo", "replicas": 1, "replicas": 2,
        "template": {"spec": {"containers": [{"name": "a", "bogus": 1, "name": "b"}]}}}}"""
    with pytest.raises(BadRequest) as caught:
        read(body, DEPLOYMENT)
    assert caught.value.message == (
        'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: '
        'unknown field "spec.unknownField", duplicate field "spec.replicas", '
        'unknown field "spec.template.spec.containers[0].bogus", '
        'duplicate field "spec.template.spec.containers[0].name"'
    )


def test_duplicates_alone_are_seen_although_everything_fits():
    body = b'{"metadata":{"name":"a","name":"b"}}'
    assert read(body, validation="Warn")[1] == ['duplicate field "metadata.name"']
    assert read(body, validation="Ignore")[0].metadata.name == "b"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"replicas": "three"},
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of "
            "type int32",
        ),
        (
            {"template": {"spec": {"containers": [{"ports": [{"containerPort": "80"}]}]}}},
            "json: cannot unmarshal string into Go struct field ContainerPort.spec.template.spec."
            "containers.ports.containerPort of type int32",
        ),
        (
            {"template": []},
            "json: cannot unmarshal array into Go struct field DeploymentSpec.spec.template of "
            "type v1.PodTemplateSpec",
        ),
        (
            {"paused": "yes"},
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.paused of "
            "type bool",
        ),
    ],
)
def test_wrong_types_are_told_as_go_tells_them(spec, message):
    with pytest.raises(BadRequest) as caught:
        read({"spec": spec}, DEPLOYMENT)
    prefix = 'Deployment in version "v1" cannot be handled as a Deployment: '
    assert caught.value.message == prefix + message


def test_null_is_the_zero_value():
    pod, _ = read({"metadata": None, "spec": {"containers": None}, "status": None})
    assert pod == Pod()


def test_quantities_and_times_become_canonical():
    limits = {"cpu": "1000m", "memory": "1024Mi", "x/y": 2}
    pod, _ = read(
        {
            "metadata": {"creationTimestamp": "2026-01-02T03:04:05.5+01:00"},
            "spec": {"containers": [{"name": "a", "resources": {"limits": limits}}]},
        }
    )
    assert pod.spec.containers[0].resources.limits == {"cpu": "1", "memory": "1Gi", "x/y": "2"}
    assert pod.metadata.creationTimestamp == "2026-01-02T02:04:05Z"


def test_bad_quantity():
    with pytest.raises(BadRequest, match="quantities must match the regular expression"):
        read({"spec": {"containers": [{"resources": {"limits": {"cpu": "lots"}}}]}})


@pytest.mark.parametrize("body", [b"{", b"", b"[]", b'"x"', b"{]}", b"\xff\xfe"])
def test_what_is_no_object_is_a_bad_request(body):
    with pytest.raises(BadRequest, match=r"unrecognized \(must be of type Pod\)"):
        read(body)


def test_invalid_utf8_is_replaced_as_go_replaces_it():
    pod, _ = read(b'{"metadata":{"name":"a\xff"}}')
    assert pod.metadata.name == "a\ufffd"


def test_another_kind_or_version():
    with pytest.raises(BadRequest, match="does not match the expected API version"):
        read({"apiVersion": "apps/v1", "kind": "Pod"})
    with pytest.raises(BadRequest, match="cannot be handled as a Pod"):
        read({"apiVersion": "v1", "kind": "Secret"})


def test_yaml():
    text = b"metadata: {name: x}\nspec:\n  paused: yes\n  replicas: 3\n"
    deployment, _ = read(text, DEPLOYMENT, "application/yaml")
    assert (deployment.spec.paused, deployment.spec.replicas) == (True, 3)
    with pytest.raises(BadRequest, match="error converting YAML to JSON: yaml: line 2"):
        read(b"a: b\nc: d: e\n", DEPLOYMENT, "application/yaml")
    with pytest.raises(BadRequest, match='line 3: key "replicas" already set in map'):
        read(b"spec:\n  replicas: 1\n  replicas: 2\n", DEPLOYMENT, "application/yaml")


def test_yaml_dates_stay_strings_and_numbers_are_numbers():
    text = b"metadata:\n  annotations: {a: 2026-01-02, b: '12', c: 12:30:45}\n"
    pod, _ = read(text, POD, "application/yaml")
    assert pod.metadata.annotations == {"a": "2026-01-02", "b": "12", "c": "12:30:45"}


def test_unknown_media_type():
    with pytest.raises(UnsupportedMediaType):
        read(b"<pod/>", content_type="text/xml")


def test_clients_ignore_what_they_do_not_know():
    pod = codec.decode(b'{"metadata":{"name":"x","new":1},"spec":{"later":{}}}', Pod)
    assert pod.metadata.name == "x"


def test_clone_is_deep():
    pod = Pod()
    pod.spec.containers.append(Container(name="a"))
    copy = codec.clone(pod)
    copy.spec.containers[0].name = "b"
    assert pod.spec.containers[0].name == "a"


def test_every_kind_reads_what_it_writes():
    for kind in SCHEME.kinds:
        obj, warnings = codec.decode_request(codec.encode(kind.struct()), kind, "", "Strict")
        assert (obj, warnings) == (kind.struct(), [])
