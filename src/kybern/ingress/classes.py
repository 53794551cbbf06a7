"""Which Ingresses are ours.

In:   an Ingress, the IngressClasses.
Out:  yes or no.
By:   sync.py. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.ingress.config import CONTROLLER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.networking.v1 import Ingress, IngressClass

ANNOTATION = "kubernetes.io/ingress.class"


def ours(classes: Iterable[IngressClass]) -> frozenset[str]:
    """Return the names of the classes that name us as their controller."""
    return frozenset(c.metadata.name or "" for c in classes if c.spec.controller == CONTROLLER)


def claims(ingress: Ingress, names: frozenset[str]) -> bool:
    """Whether an Ingress is of one of these classes.

    The field wins over the annotation from before there was a field. One without a class belongs to
    nobody: where a class is the default, admission has written it into the field.
    """
    name = ingress.spec.ingressClassName
    if name is None:
        name = (ingress.metadata.annotations or {}).get(ANNOTATION)
    return name in names
