"""Objects are found by key, namespace and index, also after they changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kybern.api.core.v1 import Pod, PodSpec
from kybern.api.meta.v1 import ObjectMeta
from kybern.client.indexer import Indexer, key_of


def pod(name: str, namespace: str = "default", node: str = "", labels: str = "") -> Pod:
    metadata = ObjectMeta(name=name, namespace=namespace, labels={"l": labels} if labels else None)
    return Pod(metadata=metadata, spec=PodSpec(nodeName=node or None))


def by_node(obj: Pod) -> list[str]:
    return [obj.spec.nodeName] if obj.spec.nodeName else []


def test_put_get_list_remove():
    index = Indexer[Pod]()
    one, two = pod("a"), pod("b", "kube-system")
    assert index.put(one) is None
    index.put(two)
    assert len(index) == 2
    assert index.get(("default", "a")) is one
    assert index.list("kube-system") == [two]
    assert index.list("nowhere") == []
    newer = pod("a", node="n1")
    assert index.put(newer) is one
    assert index.remove(("default", "a")) is newer
    assert index.remove(("default", "a")) is None
    assert index.list() == [two]


def test_an_index_follows_changes():
    index = Indexer[Pod]({"node": by_node})
    index.put(pod("a", node="n1"))
    index.put(pod("b", node="n1"))
    moved = pod("a", node="n2")
    index.put(moved)
    assert [p.metadata.name for p in index.by_index("node", "n1")] == ["b"]
    assert index.by_index("node", "n2") == [moved]
    index.put(pod("b"))
    assert index.by_index("node", "n1") == []
    assert list(index.index_values("node")) == ["n2"]
    with pytest.raises(KeyError):
        index.by_index("unknown", "x")


def test_an_index_added_later_knows_what_is_there():
    index = Indexer[Pod]()
    index.put(pod("a", node="n1"))
    index.add_index("node", by_node)
    assert len(index.by_index("node", "n1")) == 1


operations = st.lists(
    st.tuples(
        st.sampled_from(["put", "remove"]),
        st.sampled_from("abc"),
        st.sampled_from(["x", "y"]),
        st.sampled_from(["", "n1", "n2"]),
    )
)


@given(operations)
def test_indexes_agree_with_a_scan(steps):
    index = Indexer[Pod]({"node": by_node})
    model: dict[tuple[str, str], Pod] = {}
    for verb, name, namespace, node in steps:
        obj = pod(name, namespace, node)
        if verb == "put":
            index.put(obj)
            model[key_of(obj)] = obj
        else:
            index.remove(key_of(obj))
            model.pop(key_of(obj), None)
    assert {key_of(o) for o in index.list()} == set(model)
    for namespace in ("x", "y"):
        want = {k for k in model if k[0] == namespace}
        assert {key_of(o) for o in index.list(namespace)} == want
    for node in ("n1", "n2"):
        want = {k for k, o in model.items() if o.spec.nodeName == node}
        assert {key_of(o) for o in index.by_index("node", node)} == want
