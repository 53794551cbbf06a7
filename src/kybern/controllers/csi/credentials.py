"""Reads the Secrets that a driver is given with a call.

In:   references, as volumes and classes have them.
Out:  what the Secrets hold, as text.
By:   the controllers of storage drivers.
"""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING

from kybern.api.core.v1 import Secret

if TYPE_CHECKING:
    from kybern.api.core.v1 import SecretReference
    from kybern.client.rest import Client
    from kybern.controllers.csi.secrets import Reference


async def read(client: Client, wanted: Reference | SecretReference | None) -> dict[str, str]:
    """Return what a Secret holds; nothing where none is wanted.

    Raises:
        NotFound: there is no such Secret.
    """
    if wanted is None or not wanted.name:
        return {}
    secret = await client.get(Secret, wanted.name, wanted.namespace or "")
    return {
        key: b64decode(text).decode("utf-8", "replace") for key, text in (secret.data or {}).items()
    }
