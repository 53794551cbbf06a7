"""Keeping what pods have been given, so that it is known after the kubelet's end.

In:   an Allotment.
Out:  a file per pod, below the kubelet's own directory.
By:   roster.py and act.py.

A file is exchanged as a whole, so after a `kill -9` it holds what was decided before or what was
decided after; and what is decided is written before it is done.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from kybern.kubelet.pods.allotment import Allotment
from kybern.lib import logs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

log = logs.get("kubelet.pods")


class Allotments:
    """One file per pod, by uid."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._decoder = msgspec.json.Decoder(Allotment)

    def load(self, uid: str) -> Allotment | None:
        """Return what a pod was given; None when nothing is known."""
        try:
            return self._decoder.decode(self._file(uid).read_bytes())
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            log.warning("what a pod was given cannot be read", uid=uid, why=str(error))
            return None

    def save(self, uid: str, allotment: Allotment) -> None:
        """Remember what a pod was given.

        Raises:
            OSError: it cannot be written.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        fresh = self._directory / f".{uid}"
        fresh.write_bytes(msgspec.json.encode(allotment))
        os.replace(fresh, self._file(uid))

    def forget(self, uid: str) -> None:
        """Forget a pod which is gone."""
        self._file(uid).unlink(missing_ok=True)

    def keep_only(self, uids: Iterable[str]) -> None:
        """Forget all pods but these."""
        if self._directory.is_dir():
            known = {f"{uid}.json" for uid in uids}
            for file in self._directory.iterdir():
                if file.name not in known:
                    file.unlink(missing_ok=True)

    def _file(self, uid: str) -> Path:
        return self._directory / f"{uid}.json"
