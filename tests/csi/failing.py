"""Calls that fail or take long because a test says so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Fail(Exception):
    """Ends a call with a gRPC code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Faults:
    """A JSON file that tests write: `{"NodeStageVolume": {"code": "ABORTED", "times": 1}}`.

    `code` and `message` end the call, before anything is done or, with `"after": true`, when all is
    done; `delay` makes it take so many seconds; `times` says how often, which is for ever without.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._used: dict[str, int] = {}
        self._text = ""

    def of(self, method: str) -> dict[str, object]:
        """Return what is to happen to this call, and count it."""
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        if text != self._text:
            self._text, self._used = text, {}
        fault = json.loads(text or "{}").get(method, {})
        used = self._used.get(method, 0)
        if not fault or used >= fault.get("times", used + 1):
            return {}
        self._used[method] = used + 1
        return fault  # type: ignore[no-any-return]
