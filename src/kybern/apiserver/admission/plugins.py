"""The admission plugins, in the order they run; the order is upstream's."""

from __future__ import annotations

from typing import Any

PLUGINS: tuple[Any, ...] = ()
