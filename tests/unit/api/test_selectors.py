from __future__ import annotations

import pytest

from kybern.api import selectors
from kybern.api.meta.v1 import LabelSelector, LabelSelectorRequirement

LABELS = {"app": "web", "tier": "front", "empty": "", "n": "5"}


@pytest.mark.parametrize(
    ("text", "written", "matches"),
    [
        ("", "", True),
        ("app=web", "app=web", True),
        ("app==web", "app==web", True),
        ("app!=web", "app!=web", False),
        ("other!=web", "other!=web", True),
        ("app", "app", True),
        ("!app", "!app", False),
        ("empty=", "empty=", True),
        ("empty", "empty", True),
        ("app in (db, web)", "app in (db,web)", True),
        ("app notin (db,web)", "app notin (db,web)", False),
        ("other notin (x)", "other notin (x)", True),
        ("app in (,web)", "app in (,web)", True),
        ("tier = front , app in ( web )", "app in (web),tier=front", True),
        ("app=web,app!=db", "app!=db,app=web", True),
        ("app=web,app=db", "app=db,app=web", False),
        ("n>4", "n>4", True),
        ("n<5", "n<5", False),
        ("app>4", "app>4", False),
        ("in in (in)", "in in (in)", False),
    ],
)
def test_label_selectors(text, written, matches):
    selector = selectors.parse(text)
    assert str(selector) == written
    assert selector.matches(LABELS) is matches


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a,", "found '', expected: identifier after ','"),
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ("a in x", "unable to parse requirement: found 'x' expected: '('"),
        (
            "a in ()",
            "unable to parse requirement: values: Invalid value: []: for 'in', 'notin' operators, "
            "values set can't be empty",
        ),
        (
            "a>x",
            "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' "
            "operators, the value must be an integer",
        ),
    ],
)
def test_nonsense_is_refused_in_upstreams_words(text, message):
    with pytest.raises(selectors.SelectorError) as caught:
        selectors.parse(text)
    assert str(caught.value) == message


def expression(operator, *values):
    requirement = LabelSelectorRequirement(key="app", operator=operator, values=list(values))
    return LabelSelector(matchExpressions=[requirement])


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        (None, False),
        (LabelSelector(), True),
        (LabelSelector(matchLabels={"app": "web"}), True),
        (LabelSelector(matchLabels={"app": "db"}), False),
        (expression("In", "web", "db"), True),
        (expression("NotIn", "web"), False),
        (expression("Exists"), True),
        (expression("DoesNotExist"), False),
    ],
)
def test_selectors_of_objects(selector, matches):
    assert selectors.from_struct(selector).matches(LABELS) is matches


def test_an_operator_nobody_knows_is_refused():
    with pytest.raises(selectors.SelectorError) as caught:
        selectors.from_struct(expression("Like", "x"))
    assert str(caught.value) == '"Like" is not a valid label selector operator'


def test_the_selector_of_a_service_without_labels_selects_everything():
    assert selectors.from_map(None).everything
    assert selectors.from_map({"app": "web"}).matches(LABELS)
    assert not selectors.from_map({"app": "web"}).matches(None)


def test_field_selectors():
    found = selectors.parse_fields(r"metadata.name=a\,b,status.phase!=Running,x==\=y")
    assert found == (
        ("metadata.name", "=", "a,b"),
        ("status.phase", "!=", "Running"),
        ("x", "=", "=y"),
    )
    assert selectors.parse_fields("") == ()
    assert selectors.match_fields(found[1:2], {"status.phase": "Pending"}.get)
    assert not selectors.match_fields(found[:1], {"metadata.name": "a"}.get)
    assert str(found[0]) == r"metadata.name=a\,b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "invalid selector: 'a'; can't understand 'a'"),
        ("a=1,b", "invalid selector: 'a=1,b'; can't understand 'b'"),
        (r"a=\x", r"invalid field selector: invalid escape sequence: \x"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
    ],
)
def test_field_selectors_that_make_no_sense(text, message):
    with pytest.raises(selectors.SelectorError) as caught:
        selectors.parse_fields(text)
    assert str(caught.value) == message
