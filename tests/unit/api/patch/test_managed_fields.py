"""Who owns what after creates and updates."""

import json

import pytest

from kybern.api import codec
from kybern.api.core.v1 import ConfigMap, Pod
from kybern.api.meta.v1 import ManagedFieldsEntry, ObjectMeta
from kybern.api.patch import field_sets as fs
from kybern.api.patch import managed_fields as mf
from kybern.api.patch.entries import Entry, write
from kybern.api.patch.schema import DEDUCED

T1, T2, T3 = "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z", "2026-01-01T00:00:03Z"


def config(data=None, **meta):
    return ConfigMap(metadata=ObjectMeta(name="c", uid="u", **meta), data=data)


def created(obj, manager="alice", now=T1, **more):
    mf.store(obj, mf.on_create(obj, manager, now, **more))
    return obj


def updated(old, new, manager, now=T2, **more):
    mf.store(new, mf.on_update(old, new, manager, now, **more))
    return new


def with_data(obj, data):
    copy = codec.clone(obj)
    copy.data = data
    return copy


def owners(obj):
    """manager/operation/subresource -> (time, paths) of an object."""
    entries = (
        obj["metadata"].get("managedFields")
        if isinstance(obj, dict)
        else (obj.metadata.managedFields)
    )
    found = {}
    for entry in entries or []:
        tree = entry if isinstance(entry, dict) else codec.to_tree(entry)
        name = "/".join(filter(None, (tree["manager"], tree["operation"], tree.get("subresource"))))
        found[name] = (tree.get("time"), {fs.text(path) for path in fs.paths(tree["fieldsV1"])})
    return found


def test_a_create():
    obj = created(config({"a": "1"}))
    assert codec.to_tree(obj)["metadata"]["managedFields"] == [
        {
            "apiVersion": "v1", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {".": {}, "f:a": {}}},
            "manager": "alice", "operation": "Update", "time": T1,
        }
    ]  # fmt: skip


def test_a_create_of_nothing_has_no_owner():
    assert mf.on_create(config(), "alice", T1) is None


def test_a_create_through_a_subresource_and_with_a_reset():
    pod = codec.decode(
        b'{"metadata":{"name":"p"},"spec":{"nodeName":"n"},"status":{"phase":"x"}}', Pod
    )
    entries = mf.on_create(pod, "", T1, subresource="binding", reset=mf.RESET_STATUS)
    assert [(e.manager, e.subresource, e.fieldsV1) for e in entries] == [
        ("unknown", "binding", {"f:spec": {"f:nodeName": {}}})
    ]


def test_who_changes_a_field_owns_it():
    one = created(config({"a": "1", "b": "1"}))
    two = updated(one, with_data(one, {"a": "2", "b": "1", "c": "1"}), "bob")
    assert owners(two) == {
        "alice/Update": (T1, {".data", ".data.b"}),
        "bob/Update": (T2, {".data.a", ".data.c"}),
    }


def test_who_changes_again_has_one_entry_with_the_new_time():
    one = created(config({"a": "1", "b": "1"}))
    two = updated(one, with_data(one, {"a": "2", "b": "1"}), "alice")
    assert owners(two) == {"alice/Update": (T2, {".data", ".data.a", ".data.b"})}


def test_what_is_removed_belongs_to_nobody():
    one = created(config({"a": "1", "b": "1"}))
    two = updated(one, with_data(one, {"b": "1"}), "bob")
    assert owners(two) == {"alice/Update": (T1, {".data", ".data.b"})}
    three = updated(two, with_data(two, None), "bob")
    assert owners(three) == {}
    assert three.metadata.managedFields is None


def test_a_write_that_changes_nothing_leaves_the_entries_as_they_are():
    one = created(config({"a": "1"}))
    new = codec.clone(one)
    new.metadata.resourceVersion = "7"
    entries = mf.on_update(one, new, "bob", T3)
    assert entries == one.metadata.managedFields


def test_an_object_without_owners_stays_without():
    one = config({"a": "1"})
    assert mf.on_update(one, with_data(one, {"a": "2"}), "bob", T2) is None


def test_another_version_or_subresource_is_another_entry():
    one = created(config({"a": "1"}))
    two = updated(one, with_data(one, {"a": "2"}), "alice", subresource="scale")
    assert owners(two) == {
        "alice/Update": (T1, {".data"}),
        "alice/Update/scale": (T2, {".data.a"}),
    }


def test_a_status_write_owns_status_and_leaves_the_rest():
    pod = codec.decode(b'{"metadata":{"name":"p"},"spec":{"nodeName":"n"}}', Pod)
    one = created(pod, "scheduler")
    two = codec.clone(one)
    two.status.phase = "Running"
    two.spec.nodeName = "changed, but the strategy takes that back"
    two = updated(one, two, "kubelet", subresource="status", reset=mf.RESET_SPEC)
    assert owners(two) == {
        "scheduler/Update": (T1, {".spec.nodeName"}),
        "kubelet/Update/status": (T2, {".status.phase"}),
    }


def test_status_in_a_write_to_the_object_is_nobodys():
    one = created(codec.decode(b'{"metadata":{"name":"p"},"spec":{"nodeName":"n"}}', Pod))
    two = codec.clone(one)
    two.status.phase = "Running"
    assert mf.on_update(one, two, "bob", T2, reset=mf.RESET_STATUS) == one.metadata.managedFields


class TestWhatClientsSend:
    """`managedFields` in the body of an update."""

    def test_nothing_keeps_them(self):
        one = created(config({"a": "1"}))
        new = with_data(one, {"a": "2"})
        new.metadata.managedFields = None
        assert owners(updated(one, new, "bob")) == {
            "alice/Update": (T1, {".data"}), "bob/Update": (T2, {".data.a"}),
        }  # fmt: skip

    @pytest.mark.parametrize("sent", [[], [ManagedFieldsEntry()]])
    def test_an_empty_list_or_entry_drops_them(self, sent):
        one = created(config({"a": "1"}))
        new = codec.clone(one)
        new.metadata.managedFields = sent
        assert mf.on_update(one, new, "bob", T2) is None

    @pytest.mark.parametrize(
        "entry",
        [
            ManagedFieldsEntry(manager="x", apiVersion="v1", operation="Explode", fieldsV1={}),
            ManagedFieldsEntry(manager="x", operation="Update", fieldsV1={"f:data": {}}),
            ManagedFieldsEntry(
                manager="x", apiVersion="v1", operation="Update", fieldsV1={"bogus": {}}
            ),
        ],
    )
    def test_nonsense_keeps_them(self, entry):
        one = created(config({"a": "1"}))
        new = codec.clone(one)
        new.metadata.managedFields = [entry]
        assert mf.on_update(one, new, "bob", T2) == one.metadata.managedFields

    def test_owners_can_be_edited(self):
        one = created(config({"a": "1"}))
        new = codec.clone(one)
        new.metadata.managedFields[0].manager = "carol"
        new.metadata.managedFields[0].fieldsV1 = {"f:data": {"f:a": {}, ".": {}}}
        two = updated(one, new, "bob")
        assert owners(two) == {"carol/Update": (T1, {".data", ".data.a"})}
        assert list(two.metadata.managedFields[0].fieldsV1["f:data"]) == [".", "f:a"]

    def test_but_not_through_a_subresource(self):
        one = created(config({"a": "1"}))
        new = codec.clone(one)
        new.metadata.managedFields = []
        assert mf.on_update(one, new, "bob", T2, subresource="status") == (
            one.metadata.managedFields
        )

    def test_a_create_may_bring_owners(self):
        obj = config({"a": "1", "b": "1"})
        obj.metadata.managedFields = [
            ManagedFieldsEntry(manager="old", apiVersion="v1", operation="Apply", time=T1,
                               fieldsType="FieldsV1", fieldsV1={"f:data": {"f:zzz": {}}}),
        ]  # fmt: skip
        assert owners(created(obj, "restore", T2)) == {
            "old/Apply": (T1, {".data.zzz"}),
            "restore/Update": (T2, {".data", ".data.a", ".data.b"}),
        }


def test_an_item_without_its_key_keeps_the_owners():
    old = {"apiVersion": "v1", "metadata": {"managedFields": [
        {"manager": "a", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"f:spec": {}}}
    ]}, "spec": {}}  # fmt: skip
    new = {**old, "spec": {"containers": [{"image": "x"}]}}
    assert mf.on_update(old, new, "bob", T2, schema=Pod) == old["metadata"]["managedFields"]
    assert mf.on_create({"spec": {"containers": [{}]}}, "bob", T2, schema=Pod) is None


def test_trees_get_trees():
    old = {"apiVersion": "e/v1", "kind": "E", "metadata": {"name": "x"}, "spec": {"a": 1}}
    mf.store(old, mf.on_create(old, "alice", T1, schema=DEDUCED))
    new = json.loads(json.dumps(old))
    new["spec"]["a"] = 2
    mf.store(new, mf.on_update(old, new, "bob", T2, schema=DEDUCED))
    assert new["metadata"]["managedFields"] == [
        {"manager": "alice", "operation": "Update", "apiVersion": "e/v1", "time": T1,
         "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}},
        {"manager": "bob", "operation": "Update", "apiVersion": "e/v1", "time": T2,
         "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:a": {}}}},
    ]  # fmt: skip
    mf.store(new, None)
    assert "managedFields" not in new["metadata"]


def test_a_tree_that_replaces_a_struct_and_the_other_way_round():
    one = created(config({"a": "1"}))
    new = codec.to_tree(one) | {"data": {"a": "2"}}
    entries = mf.on_update(one, new, "bob", T2, schema=ConfigMap)
    assert [type(each) for each in entries] == [dict, dict]
    same = mf.on_update(codec.to_tree(one), one, "bob", T2)
    assert [type(each) for each in same] == [ManagedFieldsEntry]


class TestTheCap:
    """No more than ten entries of updates."""

    def entries(self, count, version="v1"):
        return [
            Entry(f"m{i:02}", "Update", version, "", f"2026-01-01T00:00:{i:02}Z", {f"f:f{i}": {}})
            for i in range(count)
        ]

    def test_ten_are_kept(self):
        assert mf.capped(self.entries(10)) == self.entries(10)

    def test_the_oldest_become_one(self):
        capped = {e.manager: e for e in mf.capped(self.entries(12))}
        assert sorted(capped) == ["ancient-changes"] + [f"m{i:02}" for i in range(3, 12)]
        ancient = capped["ancient-changes"]
        assert ancient.fields == {"f:f0": {}, "f:f1": {}, "f:f2": {}}
        assert ancient.time == "2026-01-01T00:00:02Z"

    def test_one_bucket_for_each_version(self):
        entries = self.entries(6, "v1") + [
            e._replace(manager=f"n{i}") for i, e in enumerate(self.entries(6, "v2"))
        ]
        capped = mf.capped(entries)
        assert len(capped) == 10
        assert {e.api_version for e in capped if e.manager == "ancient-changes"} == {"v1", "v2"}

    def test_appliers_do_not_count(self):
        entries = [e._replace(operation="Apply") for e in self.entries(12)]
        assert mf.capped(entries) == entries

    def test_it_works_on_objects(self):
        obj = created(config({"k": "0"}), "m00", "2026-01-01T00:00:00Z")
        for i in range(1, 15):
            new = with_data(obj, {**obj.data, f"k{i}": "x"})
            obj = updated(obj, new, f"m{i:02}", f"2026-01-01T00:00:{i:02}Z")
        assert len(obj.metadata.managedFields) == 10
        assert owners(obj)["ancient-changes/Update"] == (
            "2026-01-01T00:00:05Z",
            {".data", ".data.k"} | {f".data.k{i}" for i in range(1, 6)},
        )


def test_entries_are_sorted_by_operation_time_and_name():
    entries = [
        Entry("b", "Update", "v1", "", T1, {"f:a": {}}),
        Entry("z", "Apply", "v1", "", T3, {"f:a": {}}),
        Entry("a", "Update", "v1", "", T1, {"f:a": {}}),
        Entry("c", "Update", "v1", "", "", {"f:a": {}}),
        Entry("a", "Update", "v1", "status", T1, {"f:a": {}}),
    ]
    written = [(e["manager"], e.get("subresource")) for e in write(entries, {})]
    assert written == [("z", None), ("c", None), ("a", None), ("a", "status"), ("b", None)]


def test_same_but_times():
    one = created(config({"a": "1"})).metadata.managedFields
    other = created(config({"a": "1"}), now=T2).metadata.managedFields
    assert mf.same_but_times(one, other)
    assert mf.same_but_times(None, [])
    assert not mf.same_but_times(one, None)
    assert not mf.same_but_times(one, created(config({"b": "1"})).metadata.managedFields)


@pytest.mark.parametrize(
    ("field_manager", "user_agent", "name"),
    [
        ("mine", "kubectl/v1.33 (linux)", "mine"),
        ("", "kubectl/v1.33 (linux/amd64) kubernetes/abc", "kubectl"),
        ("", "curl", "curl"),
        ("", "a\tb\x00/c", "ab"),
        ("", "x" * 200, "x" * 128),
        ("", "", ""),
    ],
)
def test_names_of_managers(field_manager, user_agent, name):
    assert mf.manager_name(field_manager, user_agent) == name


@pytest.mark.parametrize(
    ("name", "apply", "texts"),
    [
        ("ok", True, []),
        ("", False, []),
        ("", True, ["fieldManager: Required value: is required for apply patch"]),
        ("x" * 129, False, ["fieldManager: Too long: may not be more than 128 bytes"]),
        ("a\tb", False, [
            'fieldManager: Invalid value: "a\\tb": should only contain printable characters']),
    ],
)  # fmt: skip
def test_bad_names(name, apply, texts):
    assert [str(p) for p in mf.name_problems(name, apply=apply)] == texts
