"""Documents name what exists."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_path_in_the_contributors_guide_exists():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    paths = re.findall(r"`(src/[^`*]+)`", text)
    assert len(paths) > 10
    assert [p for p in paths if not (ROOT / p).exists()] == []


def test_every_dependency_has_its_line():
    project = (ROOT / "pyproject.toml").read_text()
    listed = (ROOT / "docs/dependencies.md").read_text()
    block = project.split("dependencies = [", 1)[1].split("]", 1)[0]
    names = re.findall(r'"([A-Za-z0-9_-]+)', block)
    assert len(names) > 8
    assert [n for n in names if n not in listed] == []


def test_the_generated_types_are_what_the_generator_writes():
    done = subprocess.run(
        [sys.executable, "tools/generate_types.py", "--check"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_command_line_starts_without_the_components():
    code = (
        "import sys, kybern.cli.main; "
        "print([m for m in ('grpc', 'numpy', 'cryptography', 'kybern.apiserver', 'kybern.kubelet',"
        " 'kybern.scheduler', 'rich.console') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_import_contracts_hold():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_every_link_in_the_documents_leads_somewhere():
    broken = []
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text()):
            if not (document.parent / target).exists():
                broken.append(f"{document.name}: {target}")
    assert broken == []


def test_every_change_has_a_kind():
    names = {p.name for p in (ROOT / "changes").glob("*.md")} - {"README.md"}
    assert names
    assert [
        n for n in names if not re.fullmatch(r"\d+\.(added|changed|fixed|removed)\.md", n)
    ] == []
