"""What is accepted of every built-in kind, but unwise.

In:   an object with its defaults, and for updates the old one.
Out:  sentences for the user, in upstream's words; mostly none.
By:   the strategies of the API server, which put them into `Warning` headers.

`WARNINGS[group, kind]` is the function of one kind; most kinds are not in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api.by_group import ByGroup

if TYPE_CHECKING:
    from collections.abc import Callable

WARNINGS: Final[ByGroup[Callable[[Any, Any | None], list[str]]]] = ByGroup("warnings", "WARNINGS")
