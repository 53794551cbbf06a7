"""What verbs have done for them by components, which the command line does not know.

In:   a data directory, and what the user named.
Out:  what was done, or `Failed` with one sentence.
By:   main.py of `kybern.cmd` makes it; the verbs get it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kybern.cluster.directory import Directory

    Report = Callable[[int, int], None]


class Restored(Protocol):
    """What a restore did."""

    @property
    def objects(self) -> int:
        """How many there are."""

    @property
    def taken(self) -> str:
        """When the snapshot was taken."""

    @property
    def aside(self) -> Path | None:
        """Where what was there before is now."""

    @property
    def missing(self) -> str:
        """The file with the keys of what is encrypted, when it is not here."""


@dataclass(frozen=True, slots=True)
class Deeds:
    """Functions, imported when they are called.

    Attributes:
        load_image: put an image archive into a cluster's nodes; the images' names.
        save_snapshot: save a cluster in a file; how many objects, and the revision.
        restore_snapshot: bring a cluster back from a file, with its data somewhere ("": as before).
        migrate_store: copy a store to another medium; how many objects, and how many were there.
    """

    load_image: Callable[[Directory, Path], list[str]]
    save_snapshot: Callable[[Directory, Path, Report], tuple[int, int]]
    restore_snapshot: Callable[[Directory, Path, str, Report], Restored]
    migrate_store: Callable[[str, str, Report], tuple[int, int]]
