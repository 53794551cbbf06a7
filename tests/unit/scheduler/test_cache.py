"""The cache: what is assumed, confirmed, changed and forgotten."""

from __future__ import annotations

from tests.unit.scheduler.objects import a_node, a_pod, cache_of, info

from kybern.api.core.v1 import ContainerStatus, PodCondition, ResourceRequirements
from kybern.scheduler.framework import News


def used(cache, name="n1"):
    return int(cache.nodes.requested[0, cache.nodes.index[name]])


def confirmed(pod, node="n1"):
    return a_pod(pod.key[1], uid=pod.uid, cpu=f"{pod.fit.milli_cpu}m", node=node)


def test_an_assumption_is_confirmed():
    cache = cache_of(a_node())
    pod = info(cpu="1")
    cache.assume(pod, 0)
    assert (used(cache), cache.unconfirmed) == (1000, 1)
    assert cache.put_pod(confirmed(pod)) == News.NOTHING
    assert (used(cache), cache.unconfirmed) == (1000, 0)
    assert not cache.forget(pod.uid)
    assert used(cache) == 1000


def test_an_assumption_is_taken_back():
    cache = cache_of(a_node())
    pod = info(cpu="1")
    cache.assume(pod, 0)
    assert cache.forget(pod.uid)
    assert not cache.forget(pod.uid)
    assert (used(cache), len(cache)) == (0, 0)


def test_an_assumption_expires_only_after_its_binding_was_answered():
    cache = cache_of(a_node())
    pods = [info(cpu="1"), info(cpu="1")]
    for pod in pods:
        cache.assume(pod, 0)
    cache.answered(pods[0].uid, 100.0)
    assert not cache.expire(400)
    assert cache.expire(401)
    assert used(cache) == 1000
    assert not cache.expire(9999)


def test_someone_else_bound_it_elsewhere():
    cache = cache_of(a_node("n1"), a_node("n2"))
    pod = info(cpu="1")
    cache.assume(pod, 0)
    assert cache.put_pod(confirmed(pod, "n2")) == News.POD_ADDED | News.POD_GONE
    assert (used(cache, "n1"), used(cache, "n2")) == (0, 1000)


def test_a_pod_may_be_told_of_before_its_node():
    cache = cache_of(pods=[a_pod(cpu="1", node="n1"), a_pod(cpu="2", node="n1")])
    assert cache.put_node(a_node()) == News.NODE_ADDED
    assert used(cache) == 3000
    cache.remove_node("n1")
    cache.put_node(a_node())
    assert used(cache) == 3000


def test_a_pod_that_is_over_holds_nothing():
    pod = a_pod(cpu="1", node="n1")
    cache = cache_of(a_node(), pods=[pod])
    over = a_pod(pod.metadata.name, uid=pod.metadata.uid, cpu="1", node="n1", phase="Failed")
    assert cache.put_pod(over) == News.POD_GONE
    assert used(cache) == 0
    assert cache.put_pod(over) == News.NOTHING
    assert cache.remove_pod(pod.metadata.uid) == News.NOTHING


def test_a_heartbeat_is_no_news():
    cache = cache_of(a_node(labels={"a": "b"}))
    version = cache.nodes.version
    assert cache.put_node(a_node(labels={"a": "b"})) == News.NOTHING
    assert cache.nodes.version == version
    assert cache.put_node(a_node(labels={"a": "c"})) == News.NODE_LABELS
    assert cache.put_node(a_node(labels={"a": "c"}, cpu="9")) == News.NODE_ALLOCATABLE
    news = cache.put_node(a_node(cpu="9", labels={"a": "c"}, unschedulable=True, taints=[("t",)]))
    assert news == News.NODE_TAINTS | News.NODE_UNSCHEDULABLE


def resized(pod, asked, *, allocated=None, actual=None, pending=None):
    new = a_pod(pod.metadata.name, uid=pod.metadata.uid, cpu=asked, node="n1")
    new.status.containerStatuses = [
        ContainerStatus(
            name="main",
            allocatedResources=allocated and {"cpu": allocated},
            resources=actual and ResourceRequirements(requests={"cpu": actual}),
        )
    ]
    if pending:
        new.status.conditions = [PodCondition(type="PodResizePending", reason=pending)]
    return new


def test_while_a_pod_is_resized_the_larger_size_counts():
    pod = a_pod(cpu="2", node="n1")
    cache = cache_of(a_node(), pods=[pod])
    assert cache.put_pod(resized(pod, "1", allocated="2", actual="2")) == News.NOTHING
    assert used(cache) == 2000
    assert cache.put_pod(resized(pod, "1", allocated="1", actual="2")) == News.NOTHING
    assert used(cache) == 2000
    assert cache.put_pod(resized(pod, "1", allocated="1", actual="1")) == News.POD_GONE
    assert used(cache) == 1000
    assert cache.put_pod(resized(pod, "1", allocated="1", actual="1")) == News.NOTHING
    cache.put_pod(resized(pod, "3", allocated="1", actual="1", pending="Deferred"))
    assert used(cache) == 3000
    cache.put_pod(resized(pod, "3", allocated="1", actual="1", pending="Infeasible"))
    assert used(cache) == 1000
