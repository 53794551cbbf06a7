"""Which revision a template is."""

from __future__ import annotations

from kybern.api.apps.v1 import StatefulSet, StatefulSetSpec
from kybern.api.core.v1 import Container, PodSpec, PodTemplateSpec
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.history.plan import arrange, holds, idle, make, template_of

LABEL = "controller.kubernetes.io/hash"


def template(image):
    metadata = ObjectMeta(labels={"app": "db"})
    return PodTemplateSpec(
        metadata=metadata, spec=PodSpec(containers=[Container(name="c", image=image)])
    )


def owner(image="db:1", name="db"):
    metadata = ObjectMeta(name=name, namespace="default", uid="u", annotations={"note": "why"})
    return StatefulSet(metadata=metadata, spec=StatefulSetSpec(template=template(image)))


def revision(image, number, collisions=0):
    return make(owner(image), template(image), number, collisions, LABEL)


def test_a_revision_brings_its_template_back():
    one = revision("db:1", 3)
    assert one.metadata.name == f"db-{one.metadata.labels[LABEL]}"
    assert one.metadata.labels["app"] == "db"
    assert one.metadata.annotations == {"note": "why"}
    assert one.metadata.ownerReferences[0].uid == "u"
    assert one.data["spec"]["template"]["$patch"] == "replace"
    assert template_of(one) == template("db:1")
    assert holds(one, template("db:1"))
    assert not holds(one, template("db:2"))


def test_one_that_upstream_wrote_is_read_too():
    one = revision("db:1", 1)
    one.data["spec"]["template"]["metadata"]["creationTimestamp"] = None
    assert holds(one, template("db:1"))


def test_names_differ_with_collisions_and_are_never_too_long():
    first, second = revision("db:1", 1), revision("db:1", 1, collisions=1)
    assert first.metadata.name != second.metadata.name
    assert first.metadata.name == revision("db:1", 9).metadata.name
    assert len(make(owner(name="x" * 250), template("a"), 1, 0, LABEL).metadata.name) <= 253


def test_a_new_template_gets_the_next_number():
    found = arrange(template("db:3"), [revision("db:2", 2), revision("db:1", 1)])
    assert (found.current, found.number) == (None, 3)
    assert [one.revision for one in found.old] == [1, 2]


def test_a_template_of_old_moves_up():
    one, two = revision("db:1", 1), revision("db:2", 2)
    found = arrange(template("db:1"), [one, two])
    assert (found.current, found.number, found.old) == (one, 3, (two,))
    two_again = arrange(template("db:2"), [one, two])
    assert (two_again.current, two_again.number) == (two, 2)


def test_of_twins_the_newest_counts():
    one, twin = revision("db:1", 1), revision("db:1", 2, collisions=1)
    found = arrange(template("db:1"), [twin, one])
    assert (found.current, found.number, found.duplicates, found.old) == (twin, 2, (one,), ())


def test_what_pods_were_made_from_is_not_idle():
    one, two = revision("db:1", 1), revision("db:2", 2)
    assert idle((one, two), {one.metadata.name}) == [two]


def test_a_revision_of_something_else_holds_no_template():
    one = revision("db:1", 1)
    one.data = {"some": "thing"}
    assert template_of(one) is None
    assert not holds(one, template("db:1"))
