"""Write docs/conformance.md: every upstream conformance test, and which test of ours stands for it.

In:   tests/conformance/upstream.csv, the 446 names of v1.36; the marks `@conforms("…")` in tests/.
Out:  docs/conformance.md; with `--check` nothing, and exit code 1 if it is not what would be
      written.
By:   whoever changes a mark; tests/architecture/test_conformance.py checks.

The marks are read from the source: nothing is run. A mark on a test that is skipped or expected to
fail does not count. What it says is true as far as the tests pass, which CI sees to.
"""

from __future__ import annotations

import ast
import csv
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).parents[1]
NAMES = ROOT / "tests/conformance/upstream.csv"
DOCUMENT = ROOT / "docs/conformance.md"

ALONE = "passes our test"
STORY = "expected, needs nodes"
PLAYED = "passes our test, nodes played"
NOT_YET = "not yet"
STATES = (ALONE, STORY, PLAYED, NOT_YET)

HEAD = """# Conformance

The conformance suite of Kubernetes v1.36 has {total} tests. **{done} of {total}** are covered by a
test of ours that makes the same demands: {alone} without any node, {story} with real containers,
{played} with nodes whose kubelets are played. The other {left} are not covered yet.

| State | Means |
|---|---|
| {ALONE} | our test in `tests/conformance` makes the demands of API server and controllers |
| {STORY} | our story in `tests/stories` makes them of a node with real containers and packets |
| {PLAYED} | pods only seem to run: it is controllers and scheduler that are tested |
| {NOT_YET} | no test of ours: mostly because what it is about does not exist yet |

Our tests are not upstream's. They are written from what upstream says its tests demand, and look
closer in places (exact answers, the order of events) and less close in others (timing, agnhost).
This page is written by `tools/conformance_table.py` from the marks in the tests.
"""


@dataclass(frozen=True)
class Ours:
    """A test of ours that stands for some of upstream's."""

    path: str
    line: int
    name: str
    nodes: bool
    names: tuple[str, ...]

    @property
    def state(self) -> str:
        """What an upstream test is called that this one stands for."""
        if self.path.startswith("tests/stories/"):
            return STORY
        return PLAYED if self.nodes else ALONE

    @property
    def link(self) -> str:
        """A link to it."""
        return f"[{self.name.removeprefix('test_')}](../{self.path})"


def main() -> int:
    """Write or check; return the exit code."""
    text = document(upstream(), list(marked(ROOT / "tests")))
    if "--check" in sys.argv[1:]:
        if not DOCUMENT.exists() or DOCUMENT.read_text() != text:
            print(
                "docs/conformance.md is out of date: run tools/conformance_table.py",
                file=sys.stderr,
            )
            return 1
        return 0
    DOCUMENT.write_text(text)
    return 0


def upstream() -> list[dict[str, str]]:
    """Return the tests there are."""
    with NAMES.open(newline="") as file:
        return list(csv.DictReader(file))


def marked(folder: Path) -> Iterator[Ours]:
    """Yield the tests that carry a mark."""
    for path in sorted(folder.rglob("test_*.py")):
        text = path.read_text()
        if "conforms" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found = _ours(path, node)
                if found is not None:
                    yield found


def _ours(path: Path, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Ours | None:
    names: list[str] = []
    nodes = False
    for decorator in node.decorator_list:
        called = ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)
        if called.endswith(("mark.skip", "mark.xfail")):
            return None
        if isinstance(decorator, ast.Call) and called == "conforms":
            names += [ast.literal_eval(argument) for argument in decorator.args]
        if isinstance(decorator, ast.Call) and called == "world":
            nodes = any(keyword.arg == "nodes" for keyword in decorator.keywords)
    if not names:
        return None
    where = path.relative_to(ROOT).as_posix()
    return Ours(where, node.lineno, node.name, nodes, tuple(names))


def document(tests: list[dict[str, str]], ours: Iterable[Ours]) -> str:
    """Return the text of the page.

    Raises:
        ValueError: a mark names a test that upstream does not have.
    """
    covered: dict[str, list[Ours]] = defaultdict(list)
    known = {test["test"] for test in tests}
    for one in ours:
        for name in one.names:
            if name not in known:
                raise ValueError(f"{one.path}:{one.line}: upstream has no test {name!r}")
            covered[name].append(one)
    states = {test["test"]: _state(covered[test["test"]]) for test in tests}
    counts = Counter(states.values())
    values: dict[str, Any] = {
        "total": len(tests), "done": len(tests) - counts[NOT_YET], "alone": counts[ALONE],
        "story": counts[STORY], "played": counts[PLAYED], "left": counts[NOT_YET],
        "ALONE": ALONE, "STORY": STORY, "PLAYED": PLAYED, "NOT_YET": NOT_YET,
    }  # fmt: skip
    lines = [HEAD.format(**values), *_summary(tests, states)]
    for sig, group in _by(tests, "sig"):
        lines += ["", f"## {sig}"]
        for area, rows in _by(group, "area"):
            lines += ["", f"### {area}", "", "| Test | State | Ours |", "|---|---|---|"]
            lines += [_row(row["test"], states, covered) for row in rows]
    return "\n".join(lines) + "\n"


def _state(ours: list[Ours]) -> str:
    found = {one.state for one in ours}
    return next((state for state in STATES if state in found), NOT_YET)


def _summary(tests: list[dict[str, str]], states: dict[str, str]) -> list[str]:
    lines = [f"| Group | {' | '.join(STATES)} | all |", "|---" * (len(STATES) + 2) + "|"]
    for sig, group in _by(tests, "sig"):
        counts = Counter(states[test["test"]] for test in group)
        numbers = " | ".join(str(counts[state]) for state in STATES)
        lines.append(f"| [{sig}](#{sig}) | {numbers} | {len(group)} |")
    return lines


def _by(tests: list[dict[str, str]], column: str) -> list[tuple[str, list[dict[str, str]]]]:
    groups: dict[str, list[dict[str, str]]] = defaultdict(list)
    for test in tests:
        groups[test[column]].append(test)
    return sorted(groups.items())


def _row(name: str, states: dict[str, str], covered: dict[str, list[Ours]]) -> str:
    state = states[name]
    shown = name.split("] ", 1)[1].removesuffix(" [Conformance]")
    shown = shown.replace("|", "\\|").replace("*", "\\*").replace("<", "\\<")
    links = ", ".join(one.link for one in covered[name])
    if state == STORY:
        stories = ", ".join(one.link for one in covered[name] if one.state == STORY)
        others = ", ".join(one.link for one in covered[name] if one.state != STORY)
        return f"| {shown} | {STORY}: story {stories} | {others} |"
    return f"| {shown} | {state} | {links} |"


if __name__ == "__main__":
    sys.exit(main())
