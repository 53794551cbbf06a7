"""Objects from trees, and what validation says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import codec
from kybern.api.defaults import apply
from kybern.api.scheme import SCHEME
from kybern.api.validation import rules_of

if TYPE_CHECKING:
    from kybern.api.scheme import Kind

Tree = dict[str, Any]


def kind_of(name: str) -> Kind:
    """`v1/Pod`, `apps/v1/Deployment`."""
    api_version, _, kind = name.rpartition("/")
    found = SCHEME.by_kind(api_version, kind)
    assert found is not None, name
    return found


def make(name: str, tree: Tree, *, defaults: bool = True) -> Any:
    """An object, named and placed unless the tree says otherwise, with its defaults."""
    kind = kind_of(name)
    metadata = {"name": "x"} | ({"namespace": "default"} if kind.namespaced else {})
    whole = {**tree, "metadata": metadata | tree.get("metadata", {})}
    obj = codec.from_tree(whole, kind.struct)
    if defaults:
        apply(obj)
    return obj


def created(name: str, tree: Tree) -> list[str]:
    """The problems of creating it, as text."""
    return [str(each) for each in rules_of(kind_of(name)).create(make(name, tree))]


def updated(name: str, old: Tree, new: Tree, *, part: str = "update") -> list[str]:
    """The problems of replacing one with the other, as text."""
    version = {"resourceVersion": "1", "uid": "u"}
    before = make(name, {**old, "metadata": version | old.get("metadata", {})})
    after = make(name, {**new, "metadata": version | new.get("metadata", {})})
    return [str(each) for each in getattr(rules_of(kind_of(name)), part)(after, before)]


def pod(**spec: Any) -> Tree:
    """A pod of one container, with these fields of the spec on top."""
    return {"spec": {"containers": [{"name": "c", "image": "i:1"}], **spec}}


def container(**fields: Any) -> Tree:
    """A pod whose one container has these fields."""
    return pod(containers=[{"name": "c", "image": "i:1", **fields}])
