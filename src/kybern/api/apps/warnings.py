"""What is accepted of workloads, but unwise.

In:   a new object, and the old one when it is an update.
Out:  sentences in upstream's words; the table `WARNINGS`.
By:   `api.warnings`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api.core.pod_warnings import name_warnings, template_warnings

if TYPE_CHECKING:
    from collections.abc import Callable

USE: Final = "Pod names and hostnames"


def warn_of_workload(new: Any, old: Any | None) -> list[str]:
    """A Deployment, ReplicaSet or StatefulSet: its name becomes part of its pods'."""
    if old is not None:
        return warn_of_template(new, old)
    return name_warnings(new.metadata.name or "", USE) + warn_of_template(new, old)


def warn_of_template(new: Any, old: Any | None) -> list[str]:
    """Anything with a template which is new."""
    if old is not None and new.metadata.generation == old.metadata.generation:
        return []
    return template_warnings(new.spec.template, "spec.template.")


WARNINGS: Final[dict[str, Callable[[Any, Any | None], list[str]]]] = {
    "DaemonSet": warn_of_template,
    "Deployment": warn_of_workload,
    "ReplicaSet": warn_of_workload,
    "StatefulSet": warn_of_workload,
}
