"""Paths of files, on nodes and inside volumes.

In:   a path as text.
Out:  problems appended to the list given.
By:   `volumes`, `security`, `environment`.
"""

from __future__ import annotations

from kybern.api.field_path import Path, Problem, invalid


def check_no_backsteps(text: str, path: Path, out: list[Problem]) -> None:
    """Nothing that leads upwards."""
    if ".." in text and ".." in text.split("/"):
        out.append(invalid(path, text, "must not contain '..'"))


def check_descending(text: str, path: Path, out: list[Problem]) -> None:
    """A relative path that only leads downwards."""
    if text.startswith("/"):
        out.append(invalid(path, text, "must be a relative path"))
    check_no_backsteps(text, path, out)


def check_local(text: str, path: Path, out: list[Problem]) -> None:
    """A descending path whose first part does not look like one upwards."""
    check_descending(text, path, out)
    if text.startswith("..") and not text.startswith("../"):
        out.append(invalid(path, text, "must not start with '..'"))
