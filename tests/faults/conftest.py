"""A seed for each test: printed when it fails, and FAULTS_SEED repeats it."""

from __future__ import annotations

import os
import random

import pytest


@pytest.fixture
def seed() -> int:
    found = int(os.environ.get("FAULTS_SEED") or random.randrange(1 << 32))
    print(f"FAULTS_SEED={found}")  # noqa: T201
    return found
