"""The page about conformance is what its tool writes."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_tool_writes():
    done = subprocess.run(
        [sys.executable, "tools/conformance_table.py", "--check"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_all_of_upstream_is_on_it():
    text = (ROOT / "docs/conformance.md").read_text().split("\n## ", 1)[1]
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    states = ("passes our test", "expected, needs nodes: story", "not yet")
    assert sum(row[1].startswith(states) for row in rows) == 446
