"""How ages, selectors, ports and containers read in a cell.

In:   values of objects.
Out:  text, as upstream prints it (apimachinery `util/duration`, `labels`, `pkg/printers`).
By:   the modules beside this one. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.lib.clock import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kybern.api.core.v1 import PodTemplateSpec

NONE = "<none>"
UNKNOWN = "<unknown>"
UNSET = "<unset>"


def duration(seconds: float) -> str:
    """Return a duration in at most two units.

    >>> [duration(s) for s in (-5, 119, 125, 600, 7 * 3600, 50 * 3600, 800 * 86400)]
    ['<invalid>', '119s', '2m5s', '10m', '7h', '2d2h', '2y70d']
    """
    if seconds < -1:
        return "<invalid>"
    whole = max(0, int(seconds))
    minutes, hours = whole // 60, whole // 3600
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _two(hours // 24, "d", hours % 24, "h")
    if hours < 24 * 365 * 2:
        return f"{hours // 24}d"
    if hours < 24 * 365 * 8:
        return _two(hours // 24 // 365, "y", hours // 24 % 365, "d")
    return f"{hours // 24 // 365}y"


def _two(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large}{unit}{small}{small_unit}" if small else f"{large}{unit}"


def since(moment: str | None, now: float) -> str:
    """Return how long ago a time was; `<unknown>` without one."""
    return duration(now - parse_rfc3339(moment)) if moment else UNKNOWN


def until(moment: str | None, other: str | None, now: float) -> str:
    """Return the time between two moments, or between the first and now; "" without a first."""
    if not moment:
        return ""
    end = parse_rfc3339(other) if other else now
    return duration(end - parse_rfc3339(moment))


def labels(pairs: Mapping[str, str] | None) -> str:
    """Return `a=b,c=d`, sorted, or `<none>`."""
    return ",".join(f"{k}={v}" for k, v in sorted(pairs.items())) if pairs else NONE


def selector(value: Any) -> str:
    """Return a LabelSelector in the syntax of the command line, or `<none>`."""
    if value is None:
        return NONE
    parts = [f"{k}={v}" for k, v in sorted((value.matchLabels or {}).items())]
    for rule in value.matchExpressions or ():
        values = ",".join(sorted(rule.values or ()))
        text = {
            "In": f"{rule.key} in ({values})", "NotIn": f"{rule.key} notin ({values})",
            "Exists": rule.key, "DoesNotExist": f"!{rule.key}",
        }.get(rule.operator, rule.key)  # fmt: skip
        parts.append(text)
    return ",".join(sorted(parts)) or NONE


def containers(template: PodTemplateSpec | None) -> list[str]:
    """Return the cells Containers and Images of a pod template."""
    found = template.spec.containers if template else []
    return [",".join(c.name for c in found), ",".join(c.image or "" for c in found)]


def joined(values: Iterable[Any] | None, empty: str = NONE) -> str:
    """Return the values with commas, or what stands for nothing."""
    return ",".join(str(v) for v in values or ()) or empty


def modes(values: Iterable[str] | None) -> str:
    """Return access modes in short: `RWO,ROX`."""
    short = {
        "ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX",
        "ReadWriteOncePod": "RWOP",
    }  # fmt: skip
    present = set(values or ())
    return ",".join(text for mode, text in short.items() if mode in present)


def first_line(text: str | None) -> str:
    """Return a message without the line breaks around it."""
    return (text or "").strip()
