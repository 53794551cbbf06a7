"""`kybern store migrate`: the same objects on another medium."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.cli.output.progress import counted, say

if TYPE_CHECKING:
    from kybern.cli.deeds import Deeds


def migrate(source: str, target: str, deeds: Deeds) -> None:
    """Copy; say what was copied."""
    with counted(f"Copying {source}", f"Copied {source} to {target}") as report:
        objects, resumed = deeds.migrate_store(source, target, report)
    before = f", {resumed:,} of them by a migration that was interrupted" if resumed else ""
    say(f"{objects:,} objects{before}; count and checksum are those of the original.")
