"""InterPodAffinity and PodTopologySpread: tables, and an oracle that counts the slow way."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.scheduler.objects import a_node, a_pod, cache_of, info, scores, verdicts

from kybern.api.core.v1 import (
    Affinity,
    PodAffinity,
    PodAffinityTerm,
    PodAntiAffinity,
    Toleration,
    TopologySpreadConstraint,
    WeightedPodAffinityTerm,
)
from kybern.api.meta.v1 import LabelSelector
from kybern.scheduler.cycle import ALL
from kybern.scheduler.plugins.inter_pod_affinity import InterPodAffinity, PreferredPodAffinity
from kybern.scheduler.plugins.pod_topology_spread import PodTopologySpread, PreferredSpread
from kybern.scheduler.pod_info import PodInfo

NOT_NEAR = ("node(s) didn't match pod affinity rules", False)
TOO_NEAR = ("node(s) didn't match pod anti-affinity rules", True)
UNWANTED = ("node(s) didn't satisfy existing pods anti-affinity rules", True)
UNEVEN = ("node(s) didn't match pod topology spread constraints", True)
NO_LABEL = ("node(s) didn't match pod topology spread constraints (missing required label)", False)


def term(key="zone", *, namespaces=None, chosen=None, **labels):
    return PodAffinityTerm(
        topologyKey=key,
        labelSelector=LabelSelector(matchLabels=labels or None),
        namespaces=namespaces,
        namespaceSelector=None if chosen is None else LabelSelector(matchLabels=chosen or None),
    )


def near(*terms):
    return Affinity(
        podAffinity=PodAffinity(requiredDuringSchedulingIgnoredDuringExecution=list(terms))
    )


def apart(*terms):
    return Affinity(
        podAntiAffinity=PodAntiAffinity(requiredDuringSchedulingIgnoredDuringExecution=list(terms))
    )


def preferring(weight, wanted, *, anti=False):
    terms = [WeightedPodAffinityTerm(weight=abs(weight), podAffinityTerm=wanted)]
    if anti:
        return Affinity(
            podAntiAffinity=PodAntiAffinity(preferredDuringSchedulingIgnoredDuringExecution=terms)
        )
    return Affinity(podAffinity=PodAffinity(preferredDuringSchedulingIgnoredDuringExecution=terms))


NODES = [
    a_node("a", labels={"zone": "z1", "host": "a"}),
    a_node("b", labels={"zone": "z1", "host": "b"}),
    a_node("c", labels={"zone": "z2", "host": "c"}),
    a_node("d", labels={"host": "d"}),
]
DB = {"app": "db"}
WEB = {"app": "web"}


@pytest.mark.parametrize(
    ("pod", "there", "expected"),
    [
        ({}, {}, [True] * 4),
        # near: the zone of the db
        ({"affinity": near(term(**DB))}, {}, [True, True, NOT_NEAR, NOT_NEAR]),
        ({"affinity": near(term("host", **DB))}, {}, [True, NOT_NEAR, NOT_NEAR, NOT_NEAR]),
        ({"affinity": near(term(app="none"))}, {}, [NOT_NEAR] * 4),
        # both terms by one and the same pod
        ({"affinity": near(term(**DB), term(tier="x"))}, {}, [NOT_NEAR] * 4),
        # the first of its kind may begin anywhere that has the label
        (
            {"affinity": near(term(**WEB)), "labels": WEB},
            {},
            [True, True, True, NOT_NEAR],
        ),
        # in other namespaces
        ({"affinity": near(term(**DB)), "namespace": "other"}, {}, [NOT_NEAR] * 4),
        (
            {"affinity": near(term(namespaces=["default"], **DB)), "namespace": "other"},
            {},
            [True, True, NOT_NEAR, NOT_NEAR],
        ),
        (
            {"affinity": near(term(chosen={}, **DB)), "namespace": "other"},
            {},
            [True, True, NOT_NEAR, NOT_NEAR],
        ),
        (
            {"affinity": near(term(chosen={"team": "x"}, **DB)), "namespace": "other"},
            {},
            [True, True, NOT_NEAR, NOT_NEAR],
        ),
        (
            {"affinity": near(term(chosen={"team": "y"}, **DB)), "namespace": "other"},
            {},
            [NOT_NEAR] * 4,
        ),
        # apart
        ({"affinity": apart(term(**DB))}, {}, [TOO_NEAR, TOO_NEAR, True, True]),
        ({"affinity": apart(term("host", **DB))}, {}, [TOO_NEAR, True, True, True]),
        # those who are there have a say
        ({"labels": WEB}, {"affinity": apart(term(**WEB))}, [UNWANTED, UNWANTED, True, True]),
        ({"labels": WEB}, {"affinity": apart(term("host", **WEB))}, [UNWANTED, True, True, True]),
        ({"labels": {}}, {"affinity": apart(term(**WEB))}, [True] * 4),
        ({"labels": WEB, "namespace": "other"}, {"affinity": apart(term(**WEB))}, [True] * 4),
        (
            {"labels": WEB, "namespace": "other"},
            {"affinity": apart(term(chosen={}, **WEB))},
            [UNWANTED, UNWANTED, True, True],
        ),
    ],
)
def test_inter_pod_affinity(pod, there, expected):
    running = a_pod("db", node="a", labels=DB, **there)
    cache = cache_of(*NODES, pods=[running])
    cache.nodes.pods.namespaces["default"] = {"team": "x"}
    pod = info(**pod)
    plugin = InterPodAffinity()
    state = plugin.prepare(pod, cache.nodes)
    found = []
    for row in range(4):
        one = cache.nodes.rows()[row : row + 1]
        if state is None or plugin.fits(state, cache.nodes, one)[0]:
            found.append(True)
        else:
            why = plugin.why(state, cache.nodes, one)
            found.append((*why.reasons, bool(why.resolvable[0])))
    assert found == expected


@pytest.mark.parametrize(
    ("pod", "there", "expected"),
    [
        ({}, {}, None),
        ({"affinity": preferring(5, term(**DB))}, {}, [100, 100, 0, 0]),
        ({"affinity": preferring(5, term(**DB), anti=True)}, {}, [0, 0, 100, 100]),
        ({"affinity": preferring(5, term(app="none"))}, {}, [0, 0, 0, 0]),
        ({"labels": WEB}, {"affinity": preferring(5, term(**WEB))}, [100, 100, 0, 0]),
        ({"labels": WEB}, {"affinity": preferring(5, term(**WEB), anti=True)}, [0, 0, 100, 100]),
        ({"labels": WEB}, {"affinity": near(term("host", **WEB))}, [100, 0, 0, 0]),
    ],
)
def test_preferred_pod_affinity(pod, there, expected):
    running = a_pod("db", node="a", labels=DB, **there)
    assert scores(PreferredPodAffinity(), info(**pod), *NODES, pods=[running]) == expected


def spread(skew=1, key="zone", when="DoNotSchedule", labels=WEB, **more):
    selector = LabelSelector(matchLabels=labels)
    return TopologySpreadConstraint(
        maxSkew=skew, topologyKey=key, whenUnsatisfiable=when, labelSelector=selector, **more
    )


def webs(*nodes, **more):
    return [a_pod(node=node, labels=WEB, **more) for node in nodes]


@pytest.mark.parametrize(
    ("constraint", "there", "expected"),
    [
        (spread(), [], [True, True, True, NO_LABEL]),
        (spread(), webs("a"), [UNEVEN, UNEVEN, True, NO_LABEL]),
        (spread(2), webs("a"), [True, True, True, NO_LABEL]),
        (spread(), webs("a", "c"), [True, True, True, NO_LABEL]),
        (spread(key="host"), webs("a", "b"), [UNEVEN, UNEVEN, True, True]),
        (spread(minDomains=3), webs("a", "c"), [UNEVEN, UNEVEN, UNEVEN, NO_LABEL]),
        (spread(minDomains=2), webs("a", "c"), [True, True, True, NO_LABEL]),
        # pods of other namespaces and those told to go do not count
        (spread(), webs("a", namespace="other"), [True, True, True, NO_LABEL]),
    ],
)
def test_pod_topology_spread(constraint, there, expected):
    pod = info(labels=WEB, topologySpreadConstraints=[constraint])
    assert verdicts(PodTopologySpread(), pod, *NODES, pods=there) == expected


def test_pods_told_to_go_do_not_count():
    (leaving,) = webs("a")
    cache = cache_of(*NODES, pods=[leaving])
    pod = info(labels=WEB, topologySpreadConstraints=[spread()])
    plugin = PodTopologySpread()

    def fits():
        return plugin.fits(plugin.prepare(pod, cache.nodes), cache.nodes, ALL).tolist()

    assert fits() == [False, False, True, False]
    gone = a_pod(leaving.metadata.name, node="a", labels=WEB, uid=leaving.metadata.uid)
    gone.metadata.deletionTimestamp = "2026-01-01T00:00:00Z"
    cache.put_pod(gone)
    assert fits() == [True, True, True, False]
    assert cache.remove_pod(leaving.metadata.uid)
    assert fits() == [True, True, True, False]


def test_nodes_a_pod_may_not_use_do_not_count_unless_told_so():
    nodes = [*NODES[:2], a_node("c", labels={"zone": "z2"}, taints=[("t", "1")])]
    there = webs("a")

    def fits(**more):
        spec = more.pop("spec", {})
        pod = info(labels=WEB, topologySpreadConstraints=[spread(**more)], **spec)
        return [v is True for v in verdicts(PodTopologySpread(), pod, *nodes, pods=there)]

    assert fits() == [False, False, True]
    assert fits(nodeTaintsPolicy="Honor") == [True, True, True]
    tolerant = {"tolerations": [Toleration(operator="Exists")]}
    assert fits(nodeTaintsPolicy="Honor", spec=tolerant) == [False, False, True]
    choosing = {"nodeSelector": {"zone": "z1"}}
    assert fits(spec=choosing) == [True, True, True]
    assert fits(nodeAffinityPolicy="Ignore", spec=choosing) == [False, False, True]


def test_match_label_keys_tell_versions_apart():
    there = webs("a")
    there[0].metadata.labels = {**WEB, "version": "1"}
    constraint = spread(matchLabelKeys=["version", "absent"])
    same = info(labels={**WEB, "version": "1"}, topologySpreadConstraints=[constraint])
    other = info(labels={**WEB, "version": "2"}, topologySpreadConstraints=[constraint])
    assert verdicts(PodTopologySpread(), same, *NODES, pods=there)[0] == UNEVEN
    assert verdicts(PodTopologySpread(), other, *NODES, pods=there)[0] is True


def test_preferred_spread():
    pod = info(labels=WEB, topologySpreadConstraints=[spread(when="ScheduleAnyway")])
    found = scores(PreferredSpread(), pod, *NODES, pods=webs("a", "a", "b"))
    assert found == [0, 0, 100, 0]
    assert scores(PreferredSpread(), pod, *NODES) == [100, 100, 100, 0]
    host = info(labels=WEB, topologySpreadConstraints=[spread(key="host", when="ScheduleAnyway")])
    found = scores(PreferredSpread(), host, *NODES, pods=webs("a", "a", "b"))
    assert found[0] == 0
    assert found[2] == found[3] == 100
    assert 0 < found[1] < 100
    assert scores(PreferredSpread(), info(labels=WEB), *NODES) is None


# --- an oracle that counts the slow way ----------------------------------------------------------

labels = st.sampled_from([{"app": "a"}, {"app": "b"}, {"app": "a", "tier": "x"}])
namespaces = st.sampled_from(["default", "other"])
keys = st.sampled_from(["zone", "host"])
selectors = st.sampled_from([{"app": "a"}, {"app": "b"}, {"tier": "x"}, {}])
terms = st.builds(
    lambda key, labels, names, chosen: term(key, namespaces=names, chosen=chosen, **labels),
    keys,
    selectors,
    st.sampled_from([None, ["other"]]),
    st.sampled_from([None, None, {}, {"team": "x"}]),
)
affinities = st.one_of(
    st.none(),
    st.lists(terms, min_size=1, max_size=2).map(lambda found: near(*found)),
    st.lists(terms, min_size=1, max_size=2).map(lambda found: apart(*found)),
)
pods = st.builds(
    lambda labels, namespace, node, affinity: a_pod(
        labels=labels, namespace=namespace, node=node, affinity=affinity
    ),
    labels,
    namespaces,
    st.sampled_from("abcd"),
    affinities,
)
NAMESPACES = {"default": {"team": "x"}, "other": {}}


def about(wanted, owner, pod):
    """Say the slow way whether a term of `owner` is about `pod`."""
    names = set(wanted.namespaces or ())
    if wanted.namespaceSelector is not None:
        need = wanted.namespaceSelector.matchLabels or {}
        names |= {n for n, have in NAMESPACES.items() if need.items() <= have.items()}
    elif not names:
        names = {owner.metadata.namespace}
    need = wanted.labelSelector.matchLabels or {}
    return pod.metadata.namespace in names and need.items() <= (pod.metadata.labels or {}).items()


def required_terms(pod, which):
    affinity = pod.spec.affinity and getattr(pod.spec.affinity, which)
    return affinity.requiredDuringSchedulingIgnoredDuringExecution or [] if affinity else []


def place(node, key):
    return (node.metadata.labels or {}).get(key)


def oracle(pod, node, there):
    """Say the slow way whether a pod may be on a node."""
    where = {n.metadata.name: n for n in NODES}

    def same_place(other, key):
        value = place(node, key)
        return value is not None and place(where[other.spec.nodeName], key) == value

    musts = required_terms(pod, "podAffinity")
    friends = [o for o in there if all(about(t, pod, o) for t in musts)]
    counted = [o for o in friends for t in musts if place(where[o.spec.nodeName], t.topologyKey)]
    if any(place(node, t.topologyKey) is None for t in musts):
        return False
    together = all(any(same_place(o, t.topologyKey) for o in friends) for t in musts)
    first = not counted and all(about(t, pod, pod) for t in musts)
    if not (together or first):
        return False
    for t in required_terms(pod, "podAntiAffinity"):
        if any(about(t, pod, o) and same_place(o, t.topologyKey) for o in there):
            return False
    return not any(
        about(t, o, pod) and same_place(o, t.topologyKey)
        for o in there
        for t in required_terms(o, "podAntiAffinity")
    )


@settings(max_examples=400, deadline=None)
@given(pods, st.lists(pods, max_size=6), st.lists(pods, max_size=3))
def test_affinity_is_what_counting_one_by_one_finds(pod, there, passing):
    pod.spec.nodeName = None
    cache = cache_of(*NODES, pods=[*there[:2], *passing])
    cache.nodes.pods.namespaces.update(NAMESPACES)
    plugin = InterPodAffinity()
    wanted = PodInfo(pod)
    plugin.prepare(wanted, cache.nodes)  # from here on counts are kept, not counted anew
    for each in there[2:]:
        cache.put_pod(each)
    for each in passing:
        cache.remove_pod(each.metadata.uid)
    state = plugin.prepare(wanted, cache.nodes)
    found = [True] * 4
    if state is not None:
        found = plugin.fits(state, cache.nodes, ALL).tolist()
    assert found == [oracle(pod, node, there) for node in NODES]
