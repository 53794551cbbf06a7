"""What differs between two versions of an object."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.api.making import Maker

from kybern.api import codec
from kybern.api.core.v1 import Pod
from kybern.api.patch import field_sets as fs
from kybern.api.patch.compare import Changes, changes
from kybern.api.patch.items import Unkeyed
from kybern.api.patch.managed_fields import tracked
from kybern.api.patch.schema import DEDUCED
from kybern.api.scheme import SCHEME

NODE = tracked(Pod)


def pod(spec=None, status=None, **meta):
    tree = {"metadata": {"name": "p", **meta}, "spec": {"containers": [], **(spec or {})}}
    if status:
        tree["status"] = status
    return codec.decode(json.dumps(tree).encode(), Pod)


def containers(*items):
    return {"containers": list(items)}


A = {"name": "a", "image": "1"}
CONTAINERS = "f:spec", "f:containers"


@pytest.mark.parametrize(
    ("old", "new", "removed", "modified", "added"),
    [
        (pod(), pod(), [], [], []),
        (pod(uid="1", resourceVersion="1"), pod(uid="2", resourceVersion="2"), [], [], []),
        (pod(), pod({"nodeName": "n"}), [], [], [("f:spec", "f:nodeName")]),
        (pod({"nodeName": "n"}), pod({"nodeName": "m"}), [], [("f:spec", "f:nodeName")], []),
        (pod({"nodeName": "n"}), pod(), [("f:spec", "f:nodeName")], [], []),
        (pod(labels={"a": "1", "b": "2"}), pod(labels={"a": "2", "c": "3"}),
         [("f:metadata", "f:labels", "f:b")], [("f:metadata", "f:labels", "f:a")],
         [("f:metadata", "f:labels", "f:c")]),
        (pod(), pod(labels={"a": "1"}), [], [],
         [("f:metadata", "f:labels"), ("f:metadata", "f:labels", "f:a")]),
        (pod(labels={"a": "1"}), pod(labels={}), [("f:metadata", "f:labels", "f:a")], [], []),
        (pod(containers(A)), pod(containers({**A, "image": "2"})), [],
         [(*CONTAINERS, 'k:{"name":"a"}', "f:image")], []),
        (pod(containers(A)), pod(containers(A, {"name": "b"})), [], [],
         [(*CONTAINERS, 'k:{"name":"b"}'), (*CONTAINERS, 'k:{"name":"b"}', "f:name")]),
        (pod(containers(A, {"name": "b"})), pod(containers({"name": "b"}, A)), [], [], []),
        (pod(containers(A)), pod(containers(A, A)),
         [(*CONTAINERS, 'k:{"name":"a"}'), (*CONTAINERS, 'k:{"name":"a"}', "f:image"),
          (*CONTAINERS, 'k:{"name":"a"}', "f:name")], [], [(*CONTAINERS, 'k:{"name":"a"}')]),
        (pod(containers(A, A)), pod(containers(A)),
         [(*CONTAINERS, 'k:{"name":"a"}')], [],
         [(*CONTAINERS, 'k:{"name":"a"}'), (*CONTAINERS, 'k:{"name":"a"}', "f:image"),
          (*CONTAINERS, 'k:{"name":"a"}', "f:name")]),
        (pod(containers(A, A)), pod(containers(A, {"name": "a"})), [],
         [(*CONTAINERS, 'k:{"name":"a"}')], []),
        (pod({"tolerations": [{"key": "a"}]}), pod({"tolerations": [{"key": "b"}]}), [],
         [("f:spec", "f:tolerations")], []),
        (pod({"nodeSelector": {"a": "b"}}), pod({"nodeSelector": {"a": "c"}}), [],
         [("f:spec", "f:nodeSelector")], []),
        (pod(finalizers=["x/a"]), pod(finalizers=["x/b", "x/a"]), [], [],
         [("f:metadata", "f:finalizers", 'v:"x/b"')]),
        (pod({"securityContext": {}}), pod({"securityContext": {"runAsUser": 1}}), [], [],
         [("f:spec", "f:securityContext", "f:runAsUser")]),
        (pod(), pod({"securityContext": {}}), [], [], [("f:spec", "f:securityContext")]),
        (pod(status={"conditions": [{"type": "Ready", "status": "False"}]}),
         pod(status={"conditions": [{"type": "Ready", "status": "True"}]}), [],
         [("f:status", "f:conditions", 'k:{"type":"Ready"}', "f:status")], []),
    ],
)  # fmt: skip
def test_changes(old, new, removed, modified, added):
    expected = [set(removed), set(modified), set(added)]
    assert [set(fs.paths(each)) for each in changes(NODE, old, new)] == expected
    trees = changes(NODE, codec.to_tree(old), codec.to_tree(new))
    assert [set(fs.paths(each)) for each in trees] == expected
    mixed = changes(NODE, codec.to_tree(old), new)
    assert [set(fs.paths(each)) for each in mixed] == expected
    assert bool(trees) == any(expected)


@pytest.mark.parametrize(
    ("old", "new", "removed", "modified", "added"),
    [
        ({"a": 1}, {"a": 2}, [], ["a"], []),
        ({"a": {"b": 1}}, {"a": 2}, ["a.b"], ["a"], []),
        ({"a": 2}, {"a": {"b": 1}}, [], ["a"], ["a.b"]),
        ({"a": [1]}, {"a": {"b": 1}}, [], ["a"], ["a.b"]),
        ({"a": {"b": 1}}, {"a": [1]}, ["a.b"], ["a"], []),
        ({"a": [1]}, {"a": [2]}, [], ["a"], []),
        ({"a": None}, {"a": {"b": 1}}, [], [], ["a.b"]),
        ({"a": {"b": 1}}, {"a": None}, ["a.b"], [], []),
        ({"a": None}, {"a": {}}, [], ["a"], []),
        ({"a": None}, {"a": 1}, [], ["a"], []),
        ({}, {"a": {"b": {"c": 1}}}, [], [], ["a", "a.b", "a.b.c"]),
    ],
)
def test_untyped_trees(old, new, removed, modified, added):
    found = changes(tracked(DEDUCED), {"spec": old}, {"spec": new})

    def names(fields):
        return {".".join(step[2:] for step in path[1:]) for path in fs.paths(fields)}

    assert [names(each) for each in found] == [set(removed), set(modified), set(added)]


@given(st.sampled_from(SCHEME.kinds), st.integers(), st.integers())
@settings(max_examples=150, deadline=None)
def test_there_and_back(kind, seed, other):
    node = tracked(kind.struct)
    one = Maker(seed, 0.4, depth=4).struct(kind.struct)
    two = Maker(other, 0.5, depth=4).struct(kind.struct)
    there, back = changes(node, one, two), changes(node, two, one)
    assert there == Changes(back.added, back.modified, back.removed)
    assert changes(node, codec.to_tree(one), codec.to_tree(two)) == there
    assert not changes(node, one, codec.clone(one))
    overlap = fs.intersection(there.added, there.modified)
    assert not overlap


@pytest.mark.parametrize(
    ("items", "text"),
    [
        ([{}], "associative list with keys has an element that omits key field \"name\" "
               "(and doesn't have default value)"),
        ([None], "associative list with keys may not have a null element"),
        (["x"], "associative list with keys may not have non-map elements"),
    ],
)  # fmt: skip
def test_items_that_cannot_be_told_apart(items, text):
    with pytest.raises(Unkeyed) as caught:
        changes(NODE, {"spec": {"containers": []}}, {"spec": {"containers": items}})
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (None, "associative list without keys has an element that's an explicit null"),
        ({}, "associative list without keys has an element that's a map type"),
        ([], "not supported: associative list with lists as elements"),
    ],
)
def test_items_that_are_no_members_of_sets(item, text):
    with pytest.raises(Unkeyed) as caught:
        changes(NODE, {"metadata": {}}, {"metadata": {"finalizers": [item]}})
    assert str(caught.value) == text
