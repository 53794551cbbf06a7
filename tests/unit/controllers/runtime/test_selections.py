"""Services and the pods they select, kept in step with a plain scan."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kybern.api.core.v1 import Pod, Service, ServiceSpec
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.runtime.reconcile import Key, key_of
from kybern.controllers.runtime.selections import Selections

labels = st.dictionaries(st.sampled_from("ab"), st.sampled_from("12"), max_size=2)
steps = st.lists(
    st.tuples(
        st.sampled_from(["pod", "service", "no pod", "no service"]),
        st.sampled_from("xyz"),
        st.sampled_from(["n1", "n2"]),
        labels,
    ),
    max_size=30,
)


@given(steps)
def test_agrees_with_a_scan(steps):
    relation = Selections()
    pods: dict[Key, Pod] = {}
    services: dict[Key, Service] = {}
    for what, name, namespace, some in steps:
        key = Key(namespace, name)
        metadata = ObjectMeta(name=name, namespace=namespace, labels=some)
        if what == "pod":
            pods[key] = Pod(metadata=metadata)
            relation.put_pod(pods[key])
        elif what == "service":
            services[key] = Service(metadata=metadata, spec=ServiceSpec(selector=some or None))
            near = [p for p in pods.values() if p.metadata.namespace == namespace]
            relation.put_service(services[key], near)
        elif what == "no pod":
            pods.pop(key, None)
            relation.drop_pod(key)
        else:
            services.pop(key, None)
            relation.drop_service(key)
    for key, service in services.items():
        wanted = service.spec.selector
        members = {
            key_of(p)
            for p in pods.values()
            if wanted
            and p.metadata.namespace == key.namespace
            and wanted.items() <= (p.metadata.labels or {}).items()
        }
        assert set(relation.pods_of(key)) == members
        for pod in pods:
            assert (key in relation.services_of(pod)) == (pod in members)


def test_says_which_services_a_change_of_labels_concerns():
    relation = Selections()
    for name in "12":
        relation.put_service(
            Service(
                metadata=ObjectMeta(name=name, namespace="n"),
                spec=ServiceSpec(selector={"a": name}),
            ),
            [],
        )
    pod = Pod(metadata=ObjectMeta(name="p", namespace="n", labels={"a": "1"}))
    assert relation.put_pod(pod) == {Key("n", "1")}
    assert relation.put_pod(pod) == set()
    pod = Pod(metadata=ObjectMeta(name="p", namespace="n", labels={"a": "2"}))
    assert relation.put_pod(pod) == {Key("n", "1"), Key("n", "2")}
    assert relation.drop_pod(key_of(pod)) == (Key("n", "2"),)
