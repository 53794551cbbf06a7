"""Who owns whom, and who has to be looked at when that changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kybern.api.scheme import SCHEME
from kybern.client.metadata import Owner, PartialMetadata
from kybern.controllers.garbagecollector.graph import (
    FOREGROUND,
    ORPHAN,
    Graph,
    Verb,
    Work,
    blocking,
)

KIND = SCHEME.by_resource("", "v1", "configmaps")


def meta(uid, *owners, block=None, deleting=False, finalizers=None):
    references = [
        Owner(apiVersion="v1", kind="ConfigMap", name=o, uid=o, blockOwnerDeletion=block)
        for o in owners
    ]
    return PartialMetadata(
        name=uid,
        namespace="ns",
        uid=uid,
        ownerReferences=references or None,
        deletionTimestamp="now" if deleting else None,
        finalizers=finalizers,
    )


def test_an_owner_that_was_not_seen_is_verified():
    graph = Graph()
    assert graph.observe(KIND, meta("child", "owner")) == [Work(Verb.VERIFY, "owner")]
    node = graph.get("owner")
    assert (node.observed, node.reference.name, node.namespace) == (False, "owner", "ns")
    assert graph.observe(KIND, meta("owner")) == []
    assert graph.get("owner").observed
    assert [n.uid for n in graph.dependents(graph.get("owner"))] == ["child"]


def test_dependents_of_what_vanished_are_considered():
    graph = Graph()
    graph.observe(KIND, meta("owner"))
    graph.observe(KIND, meta("a", "owner"))
    graph.observe(KIND, meta("b", "owner"))
    assert graph.vanish("owner") == [Work(Verb.CONSIDER, "a"), Work(Verb.CONSIDER, "b")]
    # A third that comes later and names the same owner has to find out as well.
    assert graph.observe(KIND, meta("c", "owner")) == [Work(Verb.VERIFY, "owner")]
    for uid in "abc":
        graph.vanish(uid)
    assert len(graph) == 0


def test_foreground_deletion_considers_dependents_and_then_the_owner():
    graph = Graph()
    graph.observe(KIND, meta("owner"))
    graph.observe(KIND, meta("a", "owner", block=True))
    graph.observe(KIND, meta("b", "owner"))
    work = graph.observe(KIND, meta("owner", deleting=True, finalizers=[FOREGROUND]))
    assert work == [
        Work(Verb.CONSIDER, "a"), Work(Verb.CONSIDER, "b"), Work(Verb.CONSIDER, "owner"),
    ]  # fmt: skip
    assert graph.observe(KIND, meta("owner", deleting=True, finalizers=[FOREGROUND])) == []
    assert [n.uid for n in blocking(graph.dependents(graph.get("owner")), "owner")] == ["a"]
    assert graph.vanish("a") == [Work(Verb.CONSIDER, "owner")]
    assert graph.observe(KIND, meta("late", "owner")) == [Work(Verb.CONSIDER, "late")]


def test_orphaning():
    graph = Graph()
    graph.observe(KIND, meta("owner"))
    work = graph.observe(KIND, meta("owner", deleting=True, finalizers=[ORPHAN]))
    assert work == [Work(Verb.ORPHAN, "owner")]


def test_a_reference_that_no_longer_blocks_frees_a_waiting_owner():
    graph = Graph()
    graph.observe(KIND, meta("owner", deleting=True, finalizers=[FOREGROUND]))
    graph.observe(KIND, meta("a", "owner", block=True))
    assert graph.observe(KIND, meta("a", "owner", block=False)) == [Work(Verb.CONSIDER, "owner")]
    graph.observe(KIND, meta("a", "owner", block=True))
    assert graph.observe(KIND, meta("a")) == [Work(Verb.CONSIDER, "owner")]
    assert graph.get("owner").dependents == {}


def test_an_owner_only_known_by_name_is_forgotten_with_the_last_who_names_it():
    graph = Graph()
    graph.observe(KIND, meta("child", "ghost"))
    graph.observe(KIND, meta("child"))
    assert graph.get("ghost") is None


uids = st.sampled_from("abcde")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["see", "vanish"]), uids, st.lists(uids, max_size=3, unique=True)
        ),
        max_size=40,
    )
)
def test_links_go_both_ways(steps):
    graph = Graph()
    there: dict[str, list[str]] = {}
    for what, uid, owners in steps:
        if what == "see":
            graph.observe(KIND, meta(uid, *owners))
            there[uid] = owners
        else:
            graph.vanish(uid)
            there.pop(uid, None)
    for uid in "abcde":
        dependents = {child for child, owners in there.items() if uid in owners}
        node = graph.get(uid)
        if uid in there:
            assert node.observed
        if node is None:
            assert not dependents
        else:
            assert node.dependents.keys() == dependents
            assert node.observed == (uid in there)
