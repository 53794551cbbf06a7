"""A thousand changes a second, for a few seconds; bench/network_faults.py goes on for a minute."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.e2e
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("nft"), reason="needs root and nft")
def test_after_all_changes_the_rules_are_those_of_a_fresh_start():
    words = [sys.executable, "-m", "tests.faults.services", "2"]
    root = Path(__file__).parents[2]
    done = subprocess.run(words, capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout.splitlines()[-1])
    sys.stdout.write(done.stdout)
    assert verdict["changes"] >= 2000
    assert verdict["transactions"] > 3
    assert verdict["refused"] == 0
    assert verdict["differences"] == []
