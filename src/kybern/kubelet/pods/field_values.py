"""Values a pod can read about itself: fields, and its containers' resources.

In:   a Pod, what the kubelet knows beyond it (addresses, the node's allocatable resources).
Out:  text.
By:   environment.py and the downward API volume. Pure.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kybern.api import quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kybern.api.core.v1 import Pod, ResourceFieldSelector
    from kybern.kubelet.pods.specs import AnyContainer

SUBSCRIPT = re.compile(r"^metadata\.(labels|annotations)\['(.*)'\]$", re.DOTALL)


class UnknownField(ValueError):
    """There is no such field; validation should have refused it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a pod can ask about that is not in its spec."""

    host_ips: tuple[str, ...] = ()
    pod_ips: tuple[str, ...] = ()
    allocatable: Mapping[str, str] = field(default_factory=dict)


def field_value(pod: Pod, path: str, facts: Facts) -> str:
    """Return the value of a `fieldRef`.

    Raises:
        UnknownField: the path is none that can be read.
    """
    meta, spec = pod.metadata, pod.spec
    if match := SUBSCRIPT.match(path):
        values = meta.labels if match[1] == "labels" else meta.annotations
        return (values or {}).get(match[2], "")
    simple = {
        "metadata.name": meta.name,
        "metadata.namespace": meta.namespace,
        "metadata.uid": meta.uid,
        "spec.nodeName": spec.nodeName,
        "spec.serviceAccountName": spec.serviceAccountName,
        "status.hostIP": facts.host_ips[0] if facts.host_ips else "",
        "status.hostIPs": ",".join(facts.host_ips),
        "status.podIP": facts.pod_ips[0] if facts.pod_ips else "",
        "status.podIPs": ",".join(facts.pod_ips),
    }
    if path in simple:
        return simple[path] or ""
    if path == "metadata.labels":
        return format_map(meta.labels)
    if path == "metadata.annotations":
        return format_map(meta.annotations)
    raise UnknownField(f"unsupported fieldPath: {path}")


def format_map(values: Mapping[str, str] | None) -> str:
    """Return labels or annotations as a file lists them: `key="value"` lines, sorted."""
    return "\n".join(f"{key}={_quoted(value)}" for key, value in sorted((values or {}).items()))


def resource_value(container: AnyContainer, selector: ResourceFieldSelector, facts: Facts) -> str:
    """Return the value of a `resourceFieldRef`, in multiples of its divisor, rounded up.

    Raises:
        UnknownField: the resource is none that can be read.
    """
    which, _, name = selector.resource.partition(".")
    if which not in ("limits", "requests") or not name:
        raise UnknownField(f"unsupported container resource : {selector.resource}")
    resources = container.resources
    limits = (resources.limits if resources else None) or {}
    requests = (resources.requests if resources else None) or {}
    if which == "limits":
        amount = limits.get(name) or facts.allocatable.get(name, "0")
    else:
        amount = requests.get(name) or limits.get(name, "0")
    return _in_multiples(amount, selector.divisor or "1", name)


def _in_multiples(amount: str, divisor: str, resource: str) -> str:
    if not quantity.to_milli(divisor):
        divisor = "1"
    if resource == "cpu":
        return str(-(-quantity.to_milli(amount) // quantity.to_milli(divisor)))
    return str(-(-quantity.to_value(amount) // quantity.to_value(divisor)))


def _quoted(value: str) -> str:
    """Quote as Go's %q does, for what occurs in labels and annotations."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(r"\\u00([0-9a-f]{2})", r"\\x\1", text)
