"""What is accepted of Ingresses, but unwise.

In:   a new object, and the old one when it is an update.
Out:  sentences in upstream's words; the table `WARNINGS`.
By:   `api.warnings`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.networking.v1 import Ingress

CLASS: Final = "kubernetes.io/ingress.class"


def warn_of_ingress(new: Ingress, old: Ingress | None) -> list[str]:
    """An Ingress which names its class as was usual before there was a field."""
    if old is None and CLASS in (new.metadata.annotations or ()):
        return [f"annotation \"{CLASS}\" is deprecated, please use 'spec.ingressClassName' instead"]
    return []


WARNINGS: Final[dict[str, Callable[[Any, Any | None], list[str]]]] = {"Ingress": warn_of_ingress}
