"""A thousand seeds; and proof that a seed can be had again.

A seed that fails is printed with how to replay it. The length of the long test is for the machine
to choose: `SIMULATION_SEEDS=0:20000` runs more of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.many import Summary, run_many
from tests.simulation.profiles import Profile
from tests.simulation.run import simulate

ROOT = Path(__file__).parents[2]
ROUGH = Profile(
    nodes=2, steps=5, lost=0.02, conflicts=0.05, drops=0.1, stalls=0.02, refused=0.02,
    unavailable=0.02, crashes=4, deaths=1, whole=True, busy=True,
)  # fmt: skip
REAL = Profile(nodes=2, deployments=2, steps=4, real_nodes=True, whole=True)


@pytest.mark.parametrize("seed", [1, 5])
def test_a_seed_replays(seed):
    first, second = simulate(seed, trace=True), simulate(seed)
    assert first.digest == second.digest
    assert first.writes > 50
    assert any("MODIFIED" in line for line in first.lines)
    assert not first.violations


def test_a_seed_replays_in_another_process():
    """Whatever the addresses and the hashes of strings are."""

    def told(hash_seed: str) -> list[str]:
        command = [sys.executable, "-m", "tests.simulation", "--digests", "--seeds", "0:4"]
        return sorted(
            line
            for line in subprocess.run(
                [*command, "--jobs", "1"],
                cwd=ROOT,
                env={**os.environ, "PYTHONHASHSEED": hash_seed},
                check=True,
                capture_output=True,
                text=True,
            ).stdout.splitlines()
            if line.startswith("seed")
        )

    first = told("1")
    assert len(first) == 4
    assert told("2") == first


def test_seeds_differ():
    assert simulate(1).digest != simulate(2).digest


def test_everything_at_once():
    """All controllers, all kinds, everything at its usual pace, and everything goes wrong."""
    assert simulate(1, profile=ROUGH).violations == ()


def test_real_kubelets():
    for seed in range(2):
        assert simulate(seed, profile=REAL).violations == ()


@pytest.mark.slow
def test_a_thousand_hours():
    first, last = map(int, os.environ.get("SIMULATION_SEEDS", "0:1000").split(":"))
    summary = Summary()
    for outcome, seconds in run_many(range(first, last)):
        summary.add(outcome, seconds)
    failures = [
        f"python -m tests.simulation --seed {one.seed} --trace: {'; '.join(one.violations)}"
        for one in summary.failed
    ]
    assert failures == [], summary
    assert summary.seeds == last - first
    # Invariants which nothing puts at stake hold easily.
    names = ("surge of pods", "surge of sets", "availability", "scaling down pods")
    assert all(summary.checked[name] >= summary.seeds // 2 for name in names), summary
