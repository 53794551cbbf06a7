"""Documents that nest too deeply or grow too large are refused before they are made."""

from __future__ import annotations

import pytest

from kybern.api import bounds, json_text, yaml_text

DEEP = bounds.DEEPEST


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_json_may_nest_as_deep_as_the_limit(opening: str, closing: str) -> None:
    def nested(depth: int) -> bytes:
        return (opening * depth + "1" + closing * depth).encode()

    assert not bounds.too_deep(nested(DEEP))
    assert bounds.too_deep(nested(DEEP + 1))
    assert bounds.too_deep(nested(100_000))


def test_brackets_in_strings_and_side_by_side_are_not_deep() -> None:
    assert not bounds.too_deep(b'{"a":"' + b"[" * 5000 + b'\\"' + b"{" * 5000 + b'"}')
    assert not bounds.too_deep(b"[" + b"[]," * 5000 + b"[]]")


def test_what_is_not_closed_counts() -> None:
    assert bounds.too_deep(b"[" * 100_000)
    assert not bounds.too_deep(b"]" * 100_000)


@pytest.mark.parametrize("text", ["[" * 200_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000])
def test_yaml_of_any_depth_is_refused_and_not_a_crash(text: str) -> None:
    # PyYAML composes nodes by recursion in C: this ended the process.
    with pytest.raises(yaml_text.YamlError, match="exceeded max depth"):
        yaml_text.load(text)


def test_yaml_may_nest_as_deep_as_the_limit() -> None:
    assert yaml_text.load("{a: " * DEEP + "1" + "}" * DEEP)[0]["a"]
    with pytest.raises(yaml_text.YamlError):
        yaml_text.load("[" * (DEEP + 1) + "]" * (DEEP + 1))


def test_a_billion_laughs() -> None:
    lines = ["a: &a [" + ",".join("x" * 9) + "]"]
    lines += [
        f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    with pytest.raises(yaml_text.YamlError, match="yaml: document contains excessive aliasing"):
        yaml_text.load("\n".join(lines))


def test_ordinary_aliases() -> None:
    assert yaml_text.load("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}") == (
        {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}},
        [],
    )


def test_an_alias_of_what_it_is_in() -> None:
    with pytest.raises(yaml_text.YamlError, match="anchor 'a' value contains itself"):
        yaml_text.load("a: &a [1, *a]")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (rb'{"a":"\ud800"}', "\ufffd"),
        (rb'{"a":"\udc00x"}', "\ufffdx"),
        (rb'{"a":"\uD83D\uDE00"}', "\U0001f600"),
        (rb'{"a":"\\ud800"}', r"\ud800"),
        (rb'{"a":"\ud800\ud83d\ude00"}', "\ufffd\U0001f600"),
        (b'{"a":"\xff"}', "\ufffd"),
    ],
)
def test_json_text_is_made_well_formed(text: bytes, read: str) -> None:
    assert json_text.load(text, dict) == {"a": read}


@pytest.mark.parametrize("text", [b"NaN", b'{"a":Infinity}', b'{"a":-Infinity}', b"[" * 5000])
def test_json_that_python_would_read_and_go_would_not(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"invalid character|exceeded max depth"):
        json_text.load(text, dict)
