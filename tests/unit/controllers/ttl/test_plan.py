"""How long kubelets may keep what they read."""

from __future__ import annotations

import pytest

from kybern.api.core.v1 import Node
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.ttl.plan import ANNOTATION, STEPS, step, wanted


@pytest.mark.parametrize(
    ("nodes", "before", "seconds"),
    [
        (1, 0, 0), (100, 0, 0), (101, 0, 15), (95, 1, 15), (89, 1, 0), (500, 1, 15), (501, 1, 30),
        (460, 2, 30), (5000, 0, 300), (1800, 4, 300), (1799, 4, 60), (3, 4, 0),
    ],
)  # fmt: skip
def test_steps(nodes, before, seconds):
    assert STEPS[step(nodes, before)].seconds == seconds


@pytest.mark.parametrize(
    ("said", "value"), [(None, "15"), ("0", "15"), ("15", None), ("x", "15"), ("-15", "15")]
)
def test_the_annotation(said, value):
    annotations = None if said is None else {ANNOTATION: said}
    assert wanted(Node(metadata=ObjectMeta(annotations=annotations)), 15) == value
