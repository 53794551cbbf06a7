"""Whether a value is what its schema asks for, in the words upstream has for what is not.

In:   a Structure and a value, pruned and filled in.
Out:  problems, by place.
By:   `apiserver/custom`. Facts: k8s.io/kube-openapi/pkg/validation.
"""

from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING, Any

from kybern.api.custom.formats import fits
from kybern.api.field_path import (
    Path,
    Problem,
    duplicate,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
    type_invalid,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.custom.structure import Structure


def check(structure: Structure, value: Any) -> list[Problem]:
    """Return what is wrong with an object's content; its metadata are judged elsewhere."""
    out: list[Problem] = []
    _check(structure, value, None, out)
    return out


def _check(structure: Structure, value: Any, path: Path | None, out: list[Problem]) -> None:
    tree = structure.tree
    if value is None and structure.nullable:
        return
    if not _is_of_type(structure, value):
        wanted = "integer,string" if tree.get("x-kubernetes-int-or-string") else structure.type
        found = _type_name(value)
        out.append(type_invalid(path, found, f'{_in_body(path)} must be of type {wanted}: "{found}"'))
        return
    if isinstance(value, dict):
        _check_object(structure, value, path, out)
    elif isinstance(value, list):
        _check_list(structure, value, path, out)
    elif isinstance(value, str):
        _check_text(tree, value, path, out)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        _check_number(tree, value, path, out)
    if (allowed := tree.get("enum")) is not None and not any(_same(value, e) for e in allowed):
        out.append(not_supported(path, value, [e if isinstance(e, str) else _json(e) for e in allowed]))
    if structure.joined:
        _check_joined(structure, value, path, out)


# --- by type ---------------------------------------------------------------------------------


def _check_object(
    structure: Structure, value: dict[str, Any], path: Path | None, out: list[Problem]
) -> None:
    tree = structure.tree
    for name in tree.get("required") or ():
        if name not in value:
            out.append(required(_at(path, name)))
    count = len(value)
    least, most = tree.get("minProperties"), tree.get("maxProperties")
    if least is not None and count < least:
        text = f"{_in_body(path)} should have at least {least} properties"
        out.append(invalid(path, value, text))
    if most is not None and count > most:
        out.append(too_many(path, count, most))
    for name, each in value.items():
        if structure.envelope and name in ("apiVersion", "kind", "metadata"):
            continue
        part = structure.properties.get(name)
        if part is not None:
            _check(part, each, _at(path, name), out)
        elif structure.extra is not None:
            _check(structure.extra, each, _at(path, name), out)


def _check_list(
    structure: Structure, value: list[Any], path: Path | None, out: list[Problem]
) -> None:
    tree = structure.tree
    least, most = tree.get("minItems"), tree.get("maxItems")
    if least is not None and len(value) < least:
        out.append(invalid(path, value, f"{_in_body(path)} should have at least {least} items"))
    if most is not None and len(value) > most:
        out.append(too_many(path, len(value), most))
    if structure.items is not None:
        for index, each in enumerate(value):
            _check(structure.items, each, _item(path, index), out)
    kind = tree.get("x-kubernetes-list-type")
    if kind == "set":
        _check_unique(value, path, out, lambda item: item)
    elif kind == "map":
        keys = tree.get("x-kubernetes-list-map-keys") or ()
        _check_unique(value, path, out, lambda item: _key_of(item, keys))


def _check_unique(
    value: list[Any], path: Path | None, out: list[Problem], key: Callable[[Any], Any]
) -> None:
    seen: set[str] = set()
    for index, item in enumerate(value):
        found = key(item)
        text = _json(found)
        if text in seen:
            out.append(duplicate(_item(path, index), found))
        seen.add(text)


def _key_of(item: Any, keys: Any) -> Any:
    return {name: item[name] for name in keys if name in item} if isinstance(item, dict) else item


def _check_text(tree: Any, value: str, path: Path | None, out: list[Problem]) -> None:
    where = _in_body(path)
    least, most = tree.get("minLength"), tree.get("maxLength")
    if least is not None and len(value) < least:
        out.append(invalid(path, value, f"{where} should be at least {least} chars long"))
    if most is not None and len(value) > most:
        out.append(too_long(path, most))
    pattern = tree.get("pattern")
    if pattern and not compiled(pattern).search(value):
        out.append(invalid(path, value, f"{where} should match '{pattern}'"))
    form = tree.get("format")
    if form and not fits(form, value):
        out.append(invalid(path, value, f"{where} must be of type {form}: {_json(value)}"))


def _check_number(tree: Any, value: float, path: Path | None, out: list[Problem]) -> None:
    where = _in_body(path)
    least, most, step = tree.get("minimum"), tree.get("maximum"), tree.get("multipleOf")
    if most is not None:
        if tree.get("exclusiveMaximum") and value >= most:
            out.append(invalid(path, value, f"{where} should be less than {_go(most)}"))
        elif value > most:
            text = f"{where} should be less than or equal to {_go(most)}"
            out.append(invalid(path, value, text))
    if least is not None:
        if tree.get("exclusiveMinimum") and value <= least:
            out.append(invalid(path, value, f"{where} should be greater than {_go(least)}"))
        elif value < least:
            text = f"{where} should be greater than or equal to {_go(least)}"
            out.append(invalid(path, value, text))
    if step and (value / step) % 1:
        out.append(invalid(path, value, f"{where} should be a multiple of {_go(step)}"))


def _check_joined(
    structure: Structure, value: Any, path: Path | None, out: list[Problem]
) -> None:
    """See to allOf, anyOf, oneOf and not; upstream says of these which value, but not where."""
    named = f'"{path}"' if path is not None else '""'
    found = {
        word: [_problems(each, value, path) for each in choices]
        for word, choices in structure.joined.items()
    }
    if failing := [problems for problems in found.get("allOf", ()) if problems]:
        out += failing[0]
        out.append(_joined(f"{named} must validate all the schemas (allOf)"))
    if (choices := found.get("anyOf")) and all(choices):
        out += choices[0]
        out.append(_joined(f"{named} must validate at least one schema (anyOf)"))
    if choices := found.get("oneOf"):
        good = sum(not problems for problems in choices)
        if good != 1:
            if not good:
                out += choices[0]
            told = f"Found {good} valid alternatives" if good else "Found none valid"
            out.append(_joined(f"{named} must validate one and only one schema (oneOf). {told}"))
    if "not" in found and not found["not"][0]:
        out.append(_joined(f"{named} must not validate the schema (not)"))


def _problems(structure: Structure, value: Any, path: Path | None) -> list[Problem]:
    out: list[Problem] = []
    _check(structure, value, path, out)
    return out


def _joined(text: str) -> Problem:
    return invalid(None, "", text)


# --- words -----------------------------------------------------------------------------------


@functools.lru_cache(1024)
def compiled(pattern: str) -> re.Pattern[str]:
    r"""Return a pattern of Go's syntax, compiled; `\z` and `(?i)` in the middle differ in Python.

    Raises:
        re.error: it is none.
    """
    return re.compile(pattern.replace(r"\z", r"\Z"))


def _is_of_type(structure: Structure, value: Any) -> bool:
    if structure.tree.get("x-kubernetes-int-or-string"):
        return isinstance(value, (int, str)) and not isinstance(value, bool)
    wanted = structure.type
    if not wanted:
        return True
    if wanted == "integer":
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        return whole and not isinstance(value, bool)
    return _type_name(value) == wanted or (wanted == "number" and _type_name(value) == "integer")


def _type_name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return "integer"
    names = {str: "string", float: "number", dict: "object", list: "array"}
    return names[type(value)]


def _same(value: Any, other: Any) -> bool:
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def _at(path: Path | None, name: str) -> Path:
    return Path(name) if path is None else path / name


def _item(path: Path | None, index: int) -> Path:
    return Path(f"[{index}]") if path is None else path[index]


def _in_body(path: Path | None) -> str:
    return f"{path} in body" if path is not None else "in body"


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def _go(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else repr(number)
