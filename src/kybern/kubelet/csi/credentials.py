"""What a driver is told of the pod, and the secrets and tokens it is given.

In:   a pod, a CsiVolume, the CSIDriver object.
Out:  entries of a volume's context; secrets.
By:   mounting.py, growing.py.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from kybern.api.core.v1 import Secret
from kybern.api.errors import ApiError
from kybern.client.transport import Unreachable
from kybern.kubelet.volumes.content import VolumeProblem

if TYPE_CHECKING:
    from kybern.api.core.v1 import Pod, SecretReference
    from kybern.api.storage.v1 import CSIDriver
    from kybern.client.rest import Client
    from kybern.kubelet.tokens import Tokens

PREFIX = "csi.storage.k8s.io/"
TOKENS = PREFIX + "serviceAccount.tokens"
HOUR = 3600


def pod_attributes(pod: Pod, driver: CSIDriver | None, *, ephemeral: bool) -> dict[str, str]:
    """Return what the driver is told of the pod, if it asks for that."""
    if driver is None or not driver.spec.podInfoOnMount:
        return {}
    return {
        PREFIX + "pod.name": pod.metadata.name or "",
        PREFIX + "pod.namespace": pod.metadata.namespace or "",
        PREFIX + "pod.uid": pod.metadata.uid or "",
        PREFIX + "serviceAccount.name": pod.spec.serviceAccountName or "",
        PREFIX + "ephemeral": str(ephemeral).lower(),
    }


async def tokens(pod: Pod, driver: CSIDriver | None, source: Tokens) -> dict[str, str]:
    """Return the tokens of the pod's account that the driver asks for.

    Raises:
        VolumeProblem: there are none to be had.
    """
    asked = (driver.spec.tokenRequests if driver is not None else None) or ()
    found = {}
    try:
        for each in asked:
            seconds = HOUR if each.expirationSeconds is None else each.expirationSeconds
            token = await source.get(pod, each.audience, seconds)
            found[each.audience] = {"token": token.text, "expirationTimestamp": token.expires}
    except (ApiError, Unreachable) as error:
        raise VolumeProblem(f"failed to get service account token attributes: {error}") from None
    return {TOKENS: json.dumps(found, separators=(",", ":"))} if found else {}


async def secrets(client: Client, reference: SecretReference | None, what: str) -> dict[str, str]:
    """Return the content of a secret; nothing when none is named.

    Raises:
        VolumeProblem: it cannot be had, or is no text.
    """
    if reference is None or not reference.name:
        return {}
    where = f"{reference.namespace}/{reference.name}"
    try:
        found = await client.get(Secret, reference.name, reference.namespace or "")
        data = found.data or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}
    except (ApiError, Unreachable) as error:
        raise VolumeProblem(f"fetching {what} {where} failed: {error}") from None
    except UnicodeDecodeError:
        raise VolumeProblem(f"fetching {what} {where} failed: a value is no text") from None
