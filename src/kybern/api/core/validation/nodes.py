"""Nodes.

In:   a Node; for updates also the old one.
Out:  problems.
By:   `core.validation.all`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api import names
from kybern.api.addresses import check_cidr, is_dual_stack
from kybern.api.core.validation.placement import EFFECTS
from kybern.api.core.validation.resources import check_amount
from kybern.api.field_path import (
    DUPLICATE,
    Path,
    Problem,
    all_invalid,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)
from kybern.api.meta.validation import (
    METADATA,
    SPEC,
    STATUS,
    check_label_key,
    check_meta,
    check_meta_update,
)

if TYPE_CHECKING:
    from kybern.api.core.v1 import Node, Taint

ONCE: Final = 'node updates may not change {} except from "" to valid'


def validate_node(node: Node) -> list[Problem]:
    """A node about to be registered."""
    out: list[Problem] = []
    check_meta(node.metadata, out, namespaced=False)
    if node.spec.taints:
        # The place is upstream's, although taints stand in the spec.
        check_taints(node.spec.taints, METADATA / "taints", out)
    _check_resources(node, out)
    _check_pod_cidrs(node, out)
    return out


def validate_node_update(new: Node, old: Node) -> list[Problem]:
    """A node that replaces a node."""
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    _check_resources(new, out)
    _check_addresses(new, out)
    if old.spec.podCIDRs and (old.spec.podCIDRs != (new.spec.podCIDRs or [])):
        out.append(forbidden(SPEC / "podCIDRs", ONCE.format("podCIDR")))
    if old.spec.providerID and old.spec.providerID != new.spec.providerID:
        out.append(forbidden(SPEC / "providerID", ONCE.format("providerID")))
    if new.spec.taints:
        check_taints(new.spec.taints, METADATA / "taints", out)
    if (new.spec.externalID or "") != (old.spec.externalID or ""):
        out.append(forbidden(SPEC / "externalID", "may not be updated"))
    return out


def check_taints(taints: list[Taint], path: Path, out: list[Problem]) -> None:
    """What keeps pods away from a node."""
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(taints):
        place = path[index]
        check_label_key(taint.key, place, "key", out)
        value = taint.value or ""
        if messages := names.label_value(value):
            out.append(invalid(place / "value", value, ";".join(messages)))
        if not taint.effect:
            out.append(required(place / "effect"))
        elif taint.effect not in EFFECTS:
            out.append(not_supported(place / "effect", taint.effect, EFFECTS))
        if (taint.key, taint.effect) in seen:
            told = "taints must be unique by key and effect pair"
            out.append(Problem(DUPLICATE, str(place), taint, told))
        seen.add((taint.key, taint.effect))


def _check_resources(node: Node, out: list[Problem]) -> None:
    for field in ("capacity", "allocatable"):
        for name, text in (getattr(node.status, field) or {}).items():
            check_amount(name, text, STATUS / field / name, out)


def _check_pod_cidrs(node: Node, out: list[Problem]) -> None:
    networks = node.spec.podCIDRs or []
    place = SPEC / "podCIDRs"
    for index, text in enumerate(networks):
        check_cidr(text, place[index], out)
    if len(networks) > 1:
        if len(networks) > 2 or not is_dual_stack(networks):
            told = "may specify no more than one CIDR for each IP family"
            out.append(invalid(place, networks, told))
        for index, text in enumerate(networks):
            if text in networks[:index]:
                out.append(duplicate(place[index], text))


def _check_addresses(node: Node, out: list[Problem]) -> None:
    seen: set[tuple[str, str]] = set()
    for index, address in enumerate(node.status.addresses or ()):
        if (address.type, address.address) in seen:
            out.append(duplicate((STATUS / "addresses")[index], address))
        seen.add((address.type, address.address))


def check_node_name(name: str | None, path: Path, out: list[Problem]) -> None:
    """A reference to a node, which may be absent."""
    if name is not None and (messages := names.dns1123_subdomain(name)):
        out += all_invalid(path, name, messages)
