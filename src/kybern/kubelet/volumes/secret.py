"""The files of a secret volume. Pure."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from kybern.kubelet.volumes.content import DEFAULT_MODE, Payload, VolumeProblem, pick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kybern.api.core.v1 import KeyToPath, Secret

MISSING_KEY = "references non-existent secret key: {}"


def secret_files(
    name: str,
    items: Sequence[KeyToPath] | None,
    found: Secret | None,
    mode: int = DEFAULT_MODE,
    *,
    optional: bool = False,
) -> Payload:
    """Return the files of a Secret.

    Raises:
        VolumeProblem: it, or one of its keys, is missing and not optional.
    """
    if found is None:
        if optional:
            return {}
        raise VolumeProblem(f'secret "{name}" not found')
    available = {key: base64.b64decode(value) for key, value in (found.data or {}).items()}
    missing = next((i.key for i in items or () if i.key not in available), "")
    return pick(available, items, mode, optional=optional, missing=MISSING_KEY.format(missing))
