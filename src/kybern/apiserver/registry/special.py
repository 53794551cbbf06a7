"""What is not generic: strategies, and resources with subresources of their own.

In:   nothing; these are tables.
Out:  STRATEGIES, SPECIAL.
By:   registry.all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.scheme import Kind
    from kybern.apiserver.registry.all import Registry
    from kybern.apiserver.registry.resource import Resource
    from kybern.apiserver.registry.rules import Rules
    from kybern.apiserver.registry.strategy import Strategy

STRATEGIES: dict[tuple[str, str], Callable[[Kind, Rules], Strategy]] = {}
SPECIAL: dict[tuple[str, str, str], Callable[[Kind, Registry], Resource]] = {}
_: Any = None
