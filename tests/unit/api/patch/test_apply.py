"""Server-side apply, as its users see it."""

import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.unit.api.making import Maker

from kybern.api import codec, errors
from kybern.api.apps.v1 import Deployment
from kybern.api.core.v1 import ConfigMap, Pod, Service
from kybern.api.patch import field_sets as fs
from kybern.api.patch import managed_fields as mf
from kybern.api.patch.apply import apply
from kybern.api.patch.creation import whole
from kybern.api.patch.declared import fields as declared_fields
from kybern.api.patch.entries import entries_of, read
from kybern.api.patch.schema import DEDUCED, from_openapi, object_meta, schema_of
from kybern.api.scheme import SCHEME

T1, T2, T3 = "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z", "2026-01-01T00:00:03Z"


def copy(tree):
    return json.loads(json.dumps(tree))


def deployment(**spec):
    return {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": spec,
    }  # fmt: skip


def template(*containers, **more):
    return {"template": {"spec": {"containers": list(containers), **more}}}


def config(data=None, **meta):
    tree = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", **meta}}
    return tree if data is None else {**tree, "data": data}


def owned(obj):
    return {
        f"{e.manager}/{e.operation}": (e.time, {fs.text(p) for p in fs.paths(e.fields)})
        for e in read(entries_of(obj))
    }


def bare(obj):
    """An object without its owners."""
    metadata = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    return {**obj, "metadata": metadata}


def updated(obj, manager, change, now=T2, struct=Deployment, **more):
    """The object after somebody changed it without apply."""
    new = copy(obj)
    change(new)
    mf.store(new, mf.on_update(obj, new, manager, now, schema=struct, **more))
    return new


# ---- ownership


def test_create():
    obj = apply(None, deployment(replicas=3), Deployment, "alice", T1)
    assert bare(obj) == deployment(replicas=3)
    assert obj["metadata"]["managedFields"] == [
        {"manager": "alice", "operation": "Apply", "apiVersion": "apps/v1", "time": T1,
         "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    ]  # fmt: skip


def test_the_same_again_changes_nothing_not_even_the_time():
    one = apply(None, deployment(replicas=3), Deployment, "alice", T1)
    assert apply(one, deployment(replicas=3), Deployment, "alice", T2) == one


def test_two_may_own_the_same_value():
    one = apply(None, deployment(replicas=3), Deployment, "alice", T1)
    two = apply(one, deployment(replicas=3), Deployment, "bob", T2)
    # as upstream: an apply that changes nothing has no time
    assert owned(two) == {
        "alice/Apply": (T1, {".spec.replicas"}),
        "bob/Apply": ("", {".spec.replicas"}),
    }
    assert bare(two) == bare(one)


def test_what_one_of_two_drops_stays():
    one = apply(None, deployment(replicas=3, paused=True), Deployment, "alice", T1)
    two = apply(one, deployment(replicas=3), Deployment, "bob", T2)
    three = apply(two, deployment(paused=True), Deployment, "alice", T3)
    assert three["spec"] == {"replicas": 3, "paused": True}
    assert owned(three)["alice/Apply"][1] == {".spec.paused"}
    nothing = {k: v for k, v in deployment().items() if k != "spec"}
    four = apply(three, nothing, Deployment, "bob", T3)
    assert four["spec"] == {"paused": True}
    assert "bob/Apply" not in owned(four)


def test_what_an_updater_owns_stays_too():
    one = apply(None, deployment(replicas=3), Deployment, "alice", T1)

    def scale(obj):
        obj["spec"]["replicas"] = 5

    two = updated(one, "hpa", scale)
    assert owned(two) == {"hpa/Update": (T2, {".spec.replicas"})}
    three = apply(two, deployment(paused=True), Deployment, "alice", T3)
    assert three["spec"] == {"replicas": 5, "paused": True}


def test_what_nobody_owns_stays():
    one = apply(None, deployment(replicas=3), Deployment, "alice", T1)
    defaulted = copy(one)
    defaulted["spec"]["progressDeadlineSeconds"] = 600  # by defaulting, which owns nothing
    two = apply(defaulted, deployment(), Deployment, "alice", T2)
    assert two["spec"] == {"progressDeadlineSeconds": 600}


# ---- conflicts


def conflict(*args, **more):
    with pytest.raises(errors.Conflict) as caught:
        apply(*args, **more)
    return caught.value.status()


def test_one_conflict_with_an_updater():
    live = deployment(replicas=3)
    mf.store(live, mf.on_create(live, "kubectl-client-side-apply", T1, schema=Deployment))
    assert conflict(live, deployment(replicas=5), Deployment, "bob", T2) == {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": 'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" '
                   "using apps/v1: .spec.replicas",
        "reason": "Conflict",
        "details": {"causes": [{
            "reason": "FieldManagerConflict",
            "message": 'conflict with "kubectl-client-side-apply" using apps/v1',
            "field": ".spec.replicas",
        }]},
        "code": 409,
    }  # fmt: skip


def test_several_conflicts():
    one = apply(
        None,
        deployment(replicas=3, **template({"name": "a", "image": "1"})),
        Deployment,
        "alice",
        T1,
    )

    def pause(obj):
        obj["spec"]["paused"] = True

    two = updated(one, "pauser", pause, subresource="status")
    wanted = deployment(replicas=4, paused=False, **template({"name": "a", "image": "2"}))
    status = conflict(two, wanted, Deployment, "bob", T3)
    assert status["message"] == (
        'Apply failed with 3 conflicts: conflicts with "alice":\n'
        "- .spec.replicas\n"
        '- .spec.template.spec.containers[name="a"].image\n'
        'conflicts with "pauser" with subresource "status" using apps/v1:\n'
        "- .spec.paused"
    )
    assert [(c["message"], c["field"]) for c in status["details"]["causes"]] == [
        ('conflict with "alice"', ".spec.replicas"),
        ('conflict with "alice"', '.spec.template.spec.containers[name="a"].image'),
        ('conflict with "pauser" with subresource "status" using apps/v1', ".spec.paused"),
    ]


def test_force_takes_over():
    one = apply(None, deployment(replicas=3, paused=True), Deployment, "alice", T1)
    two = apply(one, deployment(replicas=5), Deployment, "bob", T2, force=True)
    assert two["spec"] == {"replicas": 5, "paused": True}
    assert owned(two) == {
        "alice/Apply": (T1, {".spec.paused"}),
        "bob/Apply": (T2, {".spec.replicas"}),
    }


def test_who_loses_everything_is_forgotten():
    one = apply(None, deployment(replicas=3), Deployment, "alice", T1)
    two = apply(one, deployment(replicas=5), Deployment, "bob", T2, force=True)
    assert list(owned(two)) == ["bob/Apply"]


def test_an_update_by_the_same_name_is_another_manager():
    live = deployment(replicas=3)
    mf.store(live, mf.on_create(live, "alice", T1, schema=Deployment))
    assert conflict(live, deployment(replicas=4), Deployment, "alice", T2)["message"] == (
        'Apply failed with 1 conflict: conflict with "alice" using apps/v1: .spec.replicas'
    )


def test_an_atomic_list_is_one_field():
    one = apply(None, deployment(**template(tolerations=[{"key": "a"}])), Deployment, "alice", T1)
    status = conflict(
        one, deployment(**template(tolerations=[{"key": "a"}, {"key": "b"}])), Deployment, "bob", T2
    )
    assert status["details"]["causes"][0]["field"] == ".spec.template.spec.tolerations"


# ---- lists


def names(obj):
    return [c["name"] for c in obj["spec"]["template"]["spec"]["containers"]]


def applied_in_turn(first, second):
    one = apply(
        None, deployment(**template(*({"name": n} for n in first))), Deployment, "alice", T1
    )
    wanted = deployment(**template(*({"name": n} for n in second)))
    return names(apply(one, wanted, Deployment, "bob", T2))


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        ("ab", "ab", "ab"),
        ("ab", "ba", "ba"),
        ("ab", "c", "abc"),
        ("abc", "b", "abc"),
        ("abc", "xb", "axbc"),
        ("abc", "bx", "abcx"),
        ("abcd", "db", "acdb"),
        ("ace", "bd", "acebd"),
        ("abc", "cxa", "bcxa"),
        ("", "ab", "ab"),
    ],
)
def test_order_of_items(first, second, result):
    assert applied_in_turn(first, second) == list(result)


def test_an_item_that_is_dropped_goes_with_what_was_in_it():
    a, b = {"name": "a", "image": "1"}, {"name": "b", "image": "1"}
    one = apply(None, deployment(**template(a, b)), Deployment, "alice", T1)
    two = apply(one, deployment(**template(a)), Deployment, "alice", T2)
    assert two["spec"]["template"]["spec"]["containers"] == [a]


def test_an_item_goes_although_somebody_else_has_a_part_of_it():
    """As upstream: an item stays only if somebody else owns it, not a field in it."""
    one = apply(None, deployment(**template({"name": "a", "image": "1"})), Deployment, "alice", T1)

    def tune(obj):
        obj["spec"]["template"]["spec"]["containers"][0]["tty"] = True

    two = updated(one, "tuner", tune)
    three = apply(two, deployment(**template({"name": "b"})), Deployment, "alice", T3)
    assert names(three) == ["b"]
    assert list(owned(three)) == ["alice/Apply"]


def test_an_item_somebody_else_owns_keeps_what_is_theirs():
    one = apply(None, deployment(**template({"name": "a", "image": "1"})), Deployment, "alice", T1)
    two = apply(one, deployment(**template({"name": "a", "tty": True})), Deployment, "bob", T2)
    three = apply(two, deployment(**template({"name": "b"})), Deployment, "alice", T3)
    containers = three["spec"]["template"]["spec"]["containers"]
    assert containers == [{"name": "a", "tty": True}, {"name": "b"}]


def test_ports_are_told_apart_by_number_and_protocol():
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    dns = [{"port": 53, "protocol": "UDP", "name": "u"}, {"port": 53, "name": "t"}]
    one = apply(None, {**service, "spec": {"ports": dns}}, Service, "alice", T1)
    live = copy(one)
    live["spec"]["ports"][1]["protocol"] = "TCP"  # defaulted
    changed = {**service, "spec": {"ports": [dns[0], {"port": 53, "name": "tcp"}]}}
    two = apply(live, changed, Service, "alice", T2)
    assert two["spec"]["ports"] == [dns[0], {"port": 53, "name": "tcp", "protocol": "TCP"}]
    status = conflict(
        two, {**service, "spec": {"ports": [{"port": 53, "name": "x"}]}}, Service, "b", T3
    )
    assert status["details"]["causes"][0]["field"] == '.spec.ports[port=53,protocol="TCP"].name'


def test_sets():
    one = apply(None, config(finalizers=["x/a", "x/b"]), ConfigMap, "alice", T1)
    two = apply(one, config(finalizers=["x/c"]), ConfigMap, "bob", T2)
    assert two["metadata"]["finalizers"] == ["x/a", "x/b", "x/c"]
    three = apply(two, config(finalizers=["x/b"]), ConfigMap, "alice", T3)
    assert three["metadata"]["finalizers"] == ["x/b", "x/c"]
    assert owned(three)["alice/Apply"][1] == {'.metadata.finalizers[="x/b"]'}


def test_the_last_item_takes_the_list_along():
    one = apply(None, config(finalizers=["x/a"], labels={"a": "b"}), ConfigMap, "alice", T1)
    two = apply(one, config(), ConfigMap, "alice", T2)
    assert two == {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}


def test_repeated_items_in_the_live_object_are_borne():
    live = deployment(**template({"name": "a", "env": [{"name": "X", "value": "1"}] * 2}))
    mf.store(live, mf.on_create(live, "old", T1, schema=Deployment))
    wanted = deployment(**template({"name": "a", "env": [{"name": "Y", "value": "2"}]}))
    new = apply(live, wanted, Deployment, "bob", T2)
    env = new["spec"]["template"]["spec"]["containers"][0]["env"]
    assert env == [*[{"name": "X", "value": "1"}] * 2, {"name": "Y", "value": "2"}]


# ---- maps


def test_keys_of_maps():
    one = apply(None, config({"a": "1", "b": "1"}), ConfigMap, "alice", T1)
    two = apply(one, config({"c": "1"}), ConfigMap, "bob", T2)
    assert two["data"] == {"a": "1", "b": "1", "c": "1"}
    three = apply(two, config({"a": "2"}), ConfigMap, "alice", T3)
    assert three["data"] == {"a": "2", "c": "1"}
    assert owned(three)["alice/Apply"] == (T3, {".data.a"})


def test_an_empty_map_is_a_wish_too():
    obj = apply(None, config({}), ConfigMap, "alice", T1)
    assert (obj["data"], owned(obj)["alice/Apply"][1]) == ({}, {".data"})


def test_null_is_owned_and_clears():
    one = apply(None, config({"a": "1"}), ConfigMap, "alice", T1)
    two = apply(one, config({"a": None}), ConfigMap, "bob", T2, force=True)
    assert two["data"] == {"a": None}
    assert owned(two)["bob/Apply"][1] == {".data.a"}


def test_identity_survives_an_applier_that_leaves_metadata_out():
    one = apply(None, config({"a": "1"}, labels={"x": "y"}), ConfigMap, "alice", T1)
    one["metadata"] |= {"uid": "u", "resourceVersion": "3", "creationTimestamp": T1}
    two = apply(one, {"apiVersion": "v1", "kind": "ConfigMap"}, ConfigMap, "alice", T2)
    assert two == {
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "c", "uid": "u", "resourceVersion": "3", "creationTimestamp": T1},
    }  # fmt: skip


# ---- before the first apply


def test_what_is_there_before_the_first_apply_has_an_owner():
    live = config({"a": "1"})
    new = apply(live, config({"b": "2"}), ConfigMap, "alice", T2)
    assert owned(new) == {
        "alice/Apply": (T2, {".data.b"}),
        "before-first-apply/Update": (T2, {".data", ".data.a"}),
    }
    assert conflict(live, config({"a": "2"}), ConfigMap, "alice", T2)["message"] == (
        'Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.a'
    )


LAST = "kubectl.kubernetes.io/last-applied-configuration"


def applied_by_the_client(data):
    live = config(data, annotations={LAST: json.dumps(config(data))})
    mf.store(live, mf.on_create(live, "kubectl-client-side-apply", T1, schema=ConfigMap))
    return live


def test_kubectl_takes_over_what_it_applied_from_the_client():
    live = applied_by_the_client({"a": "1", "b": "1"})
    new = apply(live, config({"a": "2", "b": "1"}), ConfigMap, "kubectl", T2)
    assert new["data"] == {"a": "2", "b": "1"}
    assert owned(new)["kubectl/Apply"][1] == {".data.a", ".data.b"}
    assert json.loads(new["metadata"]["annotations"][LAST]) == config({"a": "2", "b": "1"})
    assert new["metadata"]["annotations"][LAST].startswith('{"apiVersion":"v1","data":{"a":"2"')


def test_but_not_what_somebody_changed_since():
    live = applied_by_the_client({"a": "1", "b": "1"})

    def edit(obj):
        obj["data"]["a"] = "edited"

    live = updated(live, "kubectl-edit", edit, struct=ConfigMap)
    status = conflict(live, config({"a": "2", "b": "2"}), ConfigMap, "kubectl", T3)
    assert status["message"] == (
        'Apply failed with 1 conflict: conflict with "kubectl-edit" using v1: .data.a'
    )


def test_and_nobody_else_does():
    live = applied_by_the_client({"a": "1"})
    assert conflict(live, config({"a": "2"}), ConfigMap, "flux", T2)["message"] == (
        'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using v1: .data.a'
    )


@pytest.mark.parametrize(
    "last", ["{", "[]", '{"apiVersion": "v2"}', '{"apiVersion": "v1", "x": 1}']
)
def test_a_broken_annotation_allows_nothing(last):
    live = applied_by_the_client({"a": "1"})
    live["metadata"]["annotations"][LAST] = last
    assert "1 conflict" in conflict(live, config({"a": "2"}), ConfigMap, "kubectl", T2)["message"]


def test_an_annotation_that_grows_too_big_is_dropped():
    live = applied_by_the_client({"a": "1"})
    new = apply(live, config({"a": "1", "b": "x" * 300_000}), ConfigMap, "kubectl", T2)
    assert LAST not in new["metadata"]["annotations"]


# ---- what is refused


GVK = "apps/v1, Kind=Deployment"


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        (deployment(bogus=1), f"(default/web; {GVK}): .spec.bogus: field not declared in schema"),
        (deployment(replicas="3"),
         f"(default/web; {GVK}): .spec.replicas: expected numeric (int or float), got string"),
        (deployment(replicas=True),
         f"(default/web; {GVK}): .spec.replicas: expected numeric (int or float), got bool"),
        (deployment(paused="yes"),
         f"(default/web; {GVK}): .spec.paused: expected boolean, got &{{yes}}"),
        (deployment(strategy=[]), f"(default/web; {GVK}): .spec.strategy: expected map, got &{{[]}}"),
        (deployment(**template({"image": "x"})),
         f"(default/web; {GVK}): .spec.template.spec.containers: element 0: associative list with "
         'keys has an element that omits key field "name" (and doesn\'t have default value)'),
        (deployment(**template({"name": "a"}, {"name": "a"})),
         f"(default/web; {GVK}): .spec.template.spec.containers: duplicate entries for key "
         '[name="a"]'),
        (deployment(**template({"name": "a", "args": "x"})),
         f'(default/web; {GVK}): .spec.template.spec.containers[name="a"].args: expected list, '
         "got &{x}"),
        (deployment(**template({"name": "a", "args": [1]})),
         f'(default/web; {GVK}): .spec.template.spec.containers[name="a"].args[0]: expected string, '
         "got &value.valueUnstructured{Value:1}"),
        (deployment(bogus=1, replicas="3") | {"metadata": {"nope": 1, "labels": {"a": 1}}},
         f"(/; {GVK}): errors:\n  .metadata.labels.a: expected string, got "
         "&value.valueUnstructured{Value:1}\n  .metadata.nope: field not declared in schema\n"
         "  .spec.bogus: field not declared in schema"),
    ],
)  # fmt: skip
def test_what_the_schema_does_not_have(tree, text):
    with pytest.raises(errors.ApiError) as caught:
        apply(None, tree, Deployment, "alice", T1)
    assert caught.value.message == f"failed to create typed patch object {text}"
    assert (caught.value.code, caught.value.reason) == (500, "")


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        ({"apiVersion": "v1", "kind": "Deployment"}, "invalid object type: /v1, Kind=Deployment"),
        ({"apiVersion": "apps/v1", "kind": "Pod"}, "invalid object type: apps/v1, Kind=Pod"),
        ({}, "invalid object type: /, Kind="),
        (deployment() | {"metadata": {"managedFields": []}}, "metadata.managedFields must be nil"),
    ],
)
def test_what_is_no_apply_at_all(tree, text):
    with pytest.raises(errors.BadRequest) as caught:
        apply(None, tree, Deployment, "alice", T1)
    assert caught.value.message == text


# ---- status, custom resources


def test_status_is_applied_by_itself():
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"nodeName": "n"}}
    one = apply(None, pod, Pod, "alice", T1, reset=mf.RESET_STATUS)
    wanted = {**pod, "spec": {"nodeName": "other"}, "status": {"phase": "Running"}}
    two = apply(one, wanted, Pod, "kubelet", T2, subresource="status", reset=mf.RESET_SPEC)
    assert owned(two)["kubelet/Apply"][1] == {".status.phase"}
    assert two["metadata"]["managedFields"][1]["subresource"] == "status"


def custom(spec, **meta):
    return {"apiVersion": "e/v1", "kind": "E", "metadata": {"name": "x", **meta}, "spec": spec}


def test_a_custom_resource_without_a_schema():
    expect = ("e/v1", "E")
    one = apply(None, custom({"l": [1], "m": {"a": 1}}), DEDUCED, "alice", T1, expect=expect)
    two = apply(one, custom({"m": {"b": 2}}), DEDUCED, "bob", T2)
    assert two["spec"] == {"l": [1], "m": {"a": 1, "b": 2}}
    assert conflict(two, custom({"l": [2]}), DEDUCED, "bob", T3)["details"]["causes"][0][
        "field"
    ] == (".spec.l")
    with pytest.raises(errors.BadRequest, match="invalid object type: e/v1, Kind=E"):
        apply(None, custom({}), DEDUCED, "alice", T1, expect=("e/v2", "E"))


SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "hosts": {
                    "type": "array", "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name", "proto"],
                    "items": {"type": "object", "properties": {
                        "name": {"type": "string"}, "proto": {"type": "string", "default": "tcp"},
                        "weight": {"type": "integer"}}},
                },
                "tags": {"type": "array", "x-kubernetes-list-type": "set",
                         "items": {"type": "string"}},
                "ref": {"type": "object", "x-kubernetes-map-type": "atomic",
                        "properties": {"a": {"type": "string"}, "b": {"type": "string"}}},
                "any": {"x-kubernetes-preserve-unknown-fields": True},
                "port": {"x-kubernetes-int-or-string": True},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True,
                         "properties": {"known": {"type": "boolean"}}},
                "template": {"type": "object", "x-kubernetes-embedded-resource": True,
                             "properties": {"spec": {"type": "object"}}},
            },
        }
    },
}  # fmt: skip
CUSTOM = from_openapi(SCHEMA, root=object_meta())


def test_a_custom_resource_with_a_schema():
    one = apply(
        None,
        custom({"hosts": [{"name": "a", "weight": 1}], "tags": ["x"], "ref": {"a": "1"}, "port": 1}),
        CUSTOM, "alice", T1,
    )  # fmt: skip
    two = apply(
        one, custom({"hosts": [{"name": "a", "proto": "udp"}], "tags": ["y"], "port": 1}),
        CUSTOM, "bob", T2,
    )  # fmt: skip
    assert two["spec"]["hosts"] == [{"name": "a", "weight": 1}, {"name": "a", "proto": "udp"}]
    assert two["spec"]["tags"] == ["x", "y"]
    status = conflict(two, custom({"ref": {"a": "1", "b": "2"}, "port": "http"}), CUSTOM, "bob", T3)
    assert {c["field"] for c in status["details"]["causes"]} == {".spec.ref", ".spec.port"}


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"unknownField": 1}, ".spec.unknownField: field not declared in schema"),
        ({"template": {"metadata": {"unknownSubMeta": 1}}},
         ".spec.template.metadata.unknownSubMeta: field not declared in schema"),
        ({"open": {"known": 1}}, ".spec.open.known: expected boolean, got &{1}"),
        ({"port": {}}, ".spec.port: expected any scalar, got &{map[]}"),
    ],
)  # fmt: skip
def test_problems_of_custom_resources(spec, text):
    with pytest.raises(errors.ApiError) as caught:
        apply(None, custom(spec), CUSTOM, "alice", T1)
    assert caught.value.message == f"failed to create typed patch object (/x; e/v1, Kind=E): {text}"


def test_what_a_schema_keeps_open_is_free():
    spec = {
        "any": {"x": [{"y": 1}]},
        "open": {"known": True, "other": {"z": 1}},
        "labels": {"a": "b"},
    }
    obj = apply(None, custom(spec), CUSTOM, "alice", T1)
    assert obj["spec"] == spec
    assert owned(obj)["alice/Apply"][1] == {
        ".spec.any.x", ".spec.open.known", ".spec.open.other", ".spec.open.other.z",
        ".spec.labels.a",
    }  # fmt: skip


# ---- properties


def without_nothing(value):
    """A tree without what is empty, and with lists in an order of their own."""
    if isinstance(value, dict):
        found = {k: without_nothing(v) for k, v in value.items() if k != "managedFields"}
        return {k: v for k, v in found.items() if v not in ({}, [], None)}
    if isinstance(value, list):
        items = [without_nothing(each) for each in value]
        return sorted(items, key=lambda each: json.dumps(each, sort_keys=True))
    return value


def wish(kind, seed, share):
    tree = codec.to_tree(Maker(seed, share, depth=4).struct(kind.struct))
    tree["metadata"] = {"name": "x", "labels": {"seed": str(seed)}}
    return tree


def refused(tree, struct):
    try:
        return apply(None, tree, struct, "alice", T1)
    except errors.ApiError:
        return None


KINDS = st.sampled_from([k for k in SCHEME.kinds if k.plural])


@given(KINDS, st.integers(), st.integers(), st.floats(0.1, 0.7))
@settings(max_examples=150, deadline=None)
def test_a_sole_applier_gets_what_it_declares(kind, first, second, share):
    one = refused(wish(kind, first, share), kind.struct)
    wanted = wish(kind, second, share)
    assume(one is not None)
    assume(refused(wanted, kind.struct) is not None)
    two = apply(one, wanted, kind.struct, "alice", T2)
    assert without_nothing(two) == without_nothing(wanted)
    again = apply(two, wanted, kind.struct, "alice", T3)
    # an empty associative list names nothing: it goes, and comes back with the next apply
    assert without_nothing(again) == without_nothing(two)
    assert mf.same_but_times(entries_of(again), entries_of(two))


@given(
    KINDS, st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.booleans()), max_size=6)
)
@settings(max_examples=100, deadline=None)
def test_owners_own_what_is_there(kind, steps):
    live = None
    for turn, (manager, seed, by_apply) in enumerate(steps):
        now = f"2026-01-01T00:00:{turn:02}Z"
        wanted = wish(kind, seed, 0.4)
        assume(refused(wanted, kind.struct) is not None)
        if by_apply or live is None:
            live = apply(live, wanted, kind.struct, manager, now, force=True)
        else:
            new = {**wanted, "metadata": {**wanted["metadata"]}}
            mf.store(new, mf.on_update(live, new, manager, now, schema=kind.struct))
            live = new
        there = fs.union(
            declared_fields(schema_of(kind.struct), live), whole(mf.tracked(kind.struct), live)
        )
        for entry in read(entries_of(live)):
            assert not fs.difference(entry.fields, there), entry.manager
