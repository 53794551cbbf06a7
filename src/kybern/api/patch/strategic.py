"""Strategic merge patch: a partial document that knows which lists are keyed.

In:   the tree of the live object, the tree of the patch and the schema of the object.
Out:  the new tree; the live one and the patch stay as they were.
By:   the patch handler, for `application/strategic-merge-patch+json`: what kubectl sends for
      built-in kinds, and what controllers and the kubelet send for status.

Maps merge, null deletes, lists are replaced unless the schema gives them a merge key (or says that
lists of scalars merge). Directives in the patch say more:

    $patch: delete | replace            in a map: empty it, or take the patch as it is;
                                        in an item: delete the item, or keep only what the patch has
    $retainKeys: [...]                  drop the keys that are not listed (as in `strategy`)
    $deleteFromPrimitiveList/x: [...]   remove scalars from the list `x`
    $setElementOrder/x: [...]           the order in which the items of `x` should stand

The order of the result is upstream's: items that the patch names stand in the order of the patch
(or of `$setElementOrder`), the others keep their places between them where that is possible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Never

from kybern.api import errors
from kybern.api.fields import Shape
from kybern.api.patch import bodies, go_format
from kybern.api.patch.json_patch import REJECTED
from kybern.api.patch.schema import DEDUCED, Node, schema_of

if TYPE_CHECKING:
    import msgspec

PATCH: Final = "$patch"
RETAIN: Final = "$retainKeys"
DELETE_FROM: Final = "$deleteFromPrimitiveList"
ORDER: Final = "$setElementOrder"

REPLACE_LIST: Final = {PATCH: "replace"}
_DIRECTIVES: Final = (PATCH, RETAIN, DELETE_FROM, ORDER)

BAD_RETAIN: Final = "invalid patch format of retainKeys"
BAD_DELETE_FROM: Final = "invalid patch format of primitive list"
BAD_ORDER: Final = "invalid patch format of setElementOrder list"
LISTS_OF_LISTS: Final = "lists of lists are not supported"

Tree = dict[str, Any]


def parse(data: bytes) -> tuple[Tree, list[str]]:
    """Return the patch in a body, and the duplicate fields in it.

    Raises:
        BadRequest: not a JSON object.
    """
    try:
        return bodies.load_object(data)
    except bodies.Malformed as error:
        raise errors.BadRequest(str(error)) from None


def apply(tree: Tree, patch: Tree, schema: type[msgspec.Struct] | Node) -> Tree:
    """Return the tree with the patch merged in.

    Raises:
        BadRequest: a directive is malformed.
        Invalid: the patch has a list of lists where lists merge.
        ApiError: an item lacks its merge key, or a directive is unknown (500, as upstream).
    """
    return _merge_map(tree, patch, schema_of(schema))


def _merge_map(live: Tree | None, patch: Tree, node: Node) -> Tree:
    if PATCH in patch:
        return _whole_map(patch)
    merged = dict(live or {})
    rest = dict(patch)
    _retain(merged, rest)
    _merge_ordered(merged, rest, node)
    for name, value in rest.items():
        deletes = name.startswith(DELETE_FROM)
        key = _listed(name, BAD_DELETE_FROM) if deletes else name
        if value is None:
            merged.pop(key, None)
        elif key not in merged:
            if not deletes and not _marked(value):
                merged[key] = _added(value)
        else:
            merged[key] = _merge_value(merged[key], value, node, key, deletes=deletes)
    return merged


def _merge_value(live: Any, value: Any, node: Node, key: str, *, deletes: bool) -> Any:
    if isinstance(live, dict) and isinstance(value, dict):
        child = _child(node, key)
        return _bare(value) if child.replaces else _merge_map(live, value, child)
    if isinstance(live, list) and isinstance(value, list):
        child = _child(node, key)
        return _merge_list(live, value, child, deletes=deletes) if child.merges else _bare(value)
    return _bare(value)


def _child(node: Node, key: str) -> Node:
    child = node.child(key)
    if child is None and node.shape is Shape.STRUCT:
        _fail(f'unable to find api field in struct {node.name} for the json field "{key}"')
    return child or DEDUCED


def _whole_map(patch: Tree) -> Tree:
    """Return what a patch with a directive for the whole map makes of it."""
    if patch[PATCH] == "replace":
        return {n: _bare(v) for n, v in patch.items() if n != PATCH and v is not None}
    if patch[PATCH] != "delete":
        _fail(_bad_patch_type(patch))
    return {}


def _bad_patch_type(patch: Tree) -> str:
    return f"unknown patch type: {go_format.plain(patch[PATCH])} in map: {go_format.plain(patch)}"


def _retain(merged: Tree, patch: Tree) -> None:
    """Carry out `$retainKeys`, and take it out of the patch."""
    keep = patch.pop(RETAIN, None)
    if keep is None:
        return
    if not isinstance(keep, list):
        raise errors.BadRequest(BAD_RETAIN)
    for name, value in patch.items():
        if value is not None and name not in keep and not name.startswith((DELETE_FROM, ORDER)):
            raise errors.BadRequest(BAD_RETAIN)
    for name in [name for name in merged if name not in keep]:
        del merged[name]


def _merge_ordered(merged: Tree, patch: Tree, node: Node) -> None:
    """Merge the lists that come with `$setElementOrder`, and take them out of the patch."""
    for name in [name for name in patch if name.startswith(ORDER)]:
        order = patch.pop(name)
        key = _listed(name, BAD_ORDER)
        if not isinstance(order, list):
            _fail(f"expected a []interface {{}}, but received a {go_format.type_name(order)}")
        live, value = merged.get(key), patch.get(key)
        if live is None and value is None:
            continue
        for each in (live, value):
            if each is not None and not isinstance(each, list):
                _fail(f"expected a []interface {{}}, but received a {go_format.type_name(each)}")
        child = _child(node, key)
        _check_order(value or [], order, child.merge_key)
        if live is not None and value is not None:
            found = _merge_list(live, value, child) if child.merges else _bare(value)
        else:
            found = list(live) if live is not None else _bare(value)
        merged[key] = _arrange(
            found, order, _live_order(live or [], value or [], child.merge_key), child.merge_key
        )
        patch.pop(key, None)


def _live_order(live: list[Any], patch: list[Any], key: str) -> list[Any]:
    """Return the list whose order holds for what the patch does not order.

    That is the live one; but upstream edits it in place while it merges, so that items which are
    added take the places of items which were deleted.
    """
    if not key:
        return live
    gone = [_identity(each, key) for each in patch if _deletes(each)]
    kept = [each for each in live if each.get(key) not in gone]
    here = {_identity(each, key) for each in kept}
    new = [e for e in patch if not _marked(e) and _identity(e, key) not in here]
    return kept + new[: len(live) - len(kept)]


def _check_order(patch: list[Any], order: list[Any], key: str) -> None:
    """Every item of the patch must be named by the order, and in that order."""
    if not patch or not order:
        return
    items = [each for each in patch if not _deletes(each)] if key else patch
    at = 0
    for each in order:
        while at < len(items) and _marked(items[at]):
            at += 1
        if at < len(items) and _identity(items[at], key) == _identity(each, key):
            at += 1
    if at < len(items):
        _fail(
            f"The order in patch list:\n{go_format.plain(patch)}\n doesn't match "
            f"{ORDER} list:\n{go_format.plain(order)}\n"
        )


def _merge_list(
    live: list[Any], patch: list[Any], node: Node, *, deletes: bool = False
) -> list[Any]:
    if not live and not patch:
        return []
    if not _holds_maps(live, patch):
        if deletes:
            return [each for each in live if each not in patch]
        return _arrange(_deduplicate([*live, *patch]), patch, live, "")
    key = node.merge_key
    if not key:
        _fail("cannot merge lists without merge key for type struct")
    kept, items = _carry_out(live, patch, key)
    if items is None:
        return kept
    return _arrange(_merge_items(kept, items, node, key), items, kept, key)


def _holds_maps(*lists: list[Any]) -> bool:
    kinds = {go_format.type_name(each) for items in lists for each in items}
    if "[]interface {}" in kinds:
        raise errors.Invalid(REJECTED, {}) from ValueError(LISTS_OF_LISTS)
    if len(kinds) > 1:
        _fail(f"list element types are not identical: {go_format.plain(list(lists))}")
    return "map[string]interface {}" in kinds


def _carry_out(live: list[Any], patch: list[Any], key: str) -> tuple[list[Any], list[Any] | None]:
    """Carry out the directives among the items; return what is left of the live list and the patch.

    The latter is None when the patch replaces the list.
    """
    kept, items, replace = list(live), [], False
    for item in patch:
        directive = item.get(PATCH)
        if PATCH not in item:
            items.append(item)
        elif directive == "delete":
            mine = _identity(item, key)
            kept = [each for each in kept if each.get(key) != mine]
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            _fail("merging lists cannot yet be specified in the patch")
        else:
            _fail(_bad_patch_type(item))
    return (_bare(items), None) if replace else (kept, items)


def _merge_items(live: list[Any], items: list[Any], node: Node, key: str) -> list[Any]:
    merged = list(live)
    for item in items:
        mine = _identity(item, key)
        index = next((i for i, each in enumerate(merged) if each.get(key) == mine), None)
        if index is None:
            merged.append(_bare(item))
        else:
            merged[index] = _merge_map(merged[index], item, node.element or DEDUCED)
    return merged


def _arrange(found: list[Any], order: list[Any], live: list[Any], key: str) -> list[Any]:
    """Return the items in order: those that `order` names, and the others where they were live."""
    places = _places(order, key)
    was = _places(live, key)
    named = [each for each in found if _identity(each, key) in places]
    others = [each for each in found if _identity(each, key) not in places]
    named.sort(key=lambda each: places[_identity(each, key)])
    others.sort(key=lambda each: was.get(_identity(each, key), -1))
    out: list[Any] = []
    for item in named:
        place = was.get(_identity(item, key))
        while others and place is not None and was.get(_identity(others[0], key), place) < place:
            out.append(others.pop(0))
        out.append(item)
    return out + others


def _places(items: list[Any], key: str) -> dict[Any, int]:
    return {_identity(each, key): place for place, each in reversed(list(enumerate(items)))}


def _identity(item: Any, key: str) -> Any:
    """Return what tells an item from the others: its merge key, or for scalars itself."""
    if not key:
        return (type(item), item)
    if not isinstance(item, dict):
        _fail(f"expected a map[string]interface {{}}, but received a {go_format.type_name(item)}")
    if key not in item:
        _fail(f"map: {go_format.plain(item)} does not contain declared merge key: {key}")
    return item[key]


def _deduplicate(items: list[Any]) -> list[Any]:
    return list({(type(each), each): each for each in items}.values())


def _listed(name: str, malformed: str) -> str:
    """Return the `x` of `$directive/x`."""
    prefix, slash, key = name.partition("/")
    if not slash or prefix not in (DELETE_FROM, ORDER):
        raise errors.BadRequest(malformed)
    return key


def _added(value: Any) -> Any:
    """Return a value that the live object does not have: what is marked in it is left out."""
    if isinstance(value, dict):
        return {
            name: _added(each)
            for name, each in value.items()
            if not (each is None or _marked(each) or name.startswith(_DIRECTIVES))
        }
    if isinstance(value, list):
        return [_added(each) for each in value if not _marked(each)]
    return value


def _bare(value: Any) -> Any:
    """Return a value that is taken as it stands in the patch, without directives and nulls.

    Upstream leaves directives in there, to be dropped as unknown fields; only that makes an item
    that was to be deleted one that is added, which nobody can want.
    """
    if isinstance(value, dict):
        return {
            name: _bare(each)
            for name, each in value.items()
            if each is not None and not name.startswith(_DIRECTIVES)
        }
    if isinstance(value, list):
        return [_bare(each) for each in value if not _deletes(each) and each != REPLACE_LIST]
    return value


def _deletes(value: Any) -> bool:
    return _marked(value) and value[PATCH] == "delete"


def _marked(value: Any) -> bool:
    return isinstance(value, dict) and PATCH in value


def _fail(text: str) -> Never:
    """Fail as upstream does when a patch makes no sense to it: 500 with the bare text."""
    raise errors.ApiError(text)
