"""Facts of cel-spec's `tests/simple`: every line of specification.txt is true."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.lib.cel.speaking import value

FACTS = Path(__file__).with_name("specification.txt").read_text().splitlines()


@pytest.mark.parametrize("text", FACTS)
def test_is_true(text: str) -> None:
    assert value(text) is True
