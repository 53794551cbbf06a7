"""What a pod counts for while its size changes."""

from __future__ import annotations

from typing import Any

import pytest

from kybern.api import codec
from kybern.api.core import quotas
from kybern.api.core.resizing import held
from kybern.api.core.v1 import Pod


def pod(asked: str, given: str = "", actual: str = "", reason: str = "") -> Pod:
    size: dict[str, Any] = {"requests": {"cpu": asked}, "limits": {"cpu": asked}}
    status: dict[str, Any] = {"name": "c"}
    if given:
        status["allocatedResources"] = {"cpu": given}
    if actual:
        status["resources"] = {"requests": {"cpu": actual}, "limits": {"cpu": actual}}
    conditions = [{"type": "PodResizePending", "status": "True", "reason": reason}]
    tree = {
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "resources": size}]},
        "status": {"containerStatuses": [status], "conditions": conditions if reason else []},
    }
    return codec.from_tree(tree, Pod)


@pytest.mark.parametrize(
    ("found", "requests", "limits"),
    [
        (pod("1"), "1", "1"),
        (pod("2", "1", "1"), "2", "2"),
        (pod("1", "1", "2"), "2", "2"),
        (pod("1", "2", "1"), "2", "1"),
        (pod("5", "1", "1", "Deferred"), "5", "5"),
        (pod("5", "1", "1", "Infeasible"), "1", "1"),
    ],
)
def test_the_larger_size_counts(found: Pod, requests: str, limits: str) -> None:
    used = quotas.meter("", "pods").usage(found, 0.0)
    assert (str(used["requests.cpu"]), str(used["limits.cpu"])) == (requests, limits)


def test_nothing_is_copied_while_nothing_changes() -> None:
    found = pod("1", "1", "1")
    assert held(found) is found.spec
