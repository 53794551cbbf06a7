"""For whom we speak, when we pass a request on to another API server.

In:   a user; the files of the front proxy's certificate.
Out:  the headers X-Remote-*, and the ConfigMap which tells the other server whom to believe them.
By:   aggregator.backend, bootstrap.start.

The other server believes these headers to whoever shows a certificate of the front proxy's
authority, which is not the cluster's: nobody can get one by a certificate request.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

from kybern.api.core.v1 import ConfigMap
from kybern.api.meta.v1 import ObjectMeta

if TYPE_CHECKING:
    from kybern.apiserver.bootstrap.loopback import Loopback
    from kybern.apiserver.config import Config
    from kybern.apiserver.context import User

CLIENT = "front-proxy-client"
USER, UID, GROUP, EXTRA = "X-Remote-User", "X-Remote-Uid", "X-Remote-Group", "X-Remote-Extra-"
REMOTE = "x-remote-"
NAMESPACE, NAME = "kube-system", "extension-apiserver-authentication"


def headers_for(user: User) -> dict[str, tuple[str, ...]]:
    """Return the headers that say who asks, each with its values.

    >>> from kybern.apiserver.context import User
    >>> headers_for(User("ann", ("dev", "ops"), extra={"example.com/a": ["1"]}))
    {'X-Remote-User': ('ann',), 'X-Remote-Group': ('dev', 'ops'), \
'X-Remote-Extra-example.com%2Fa': ('1',)}
    """
    found: dict[str, tuple[str, ...]] = {USER: (user.name,)}
    if user.uid:
        found[UID] = (user.uid,)
    found[GROUP] = user.groups
    return found | {EXTRA + quote(key, safe=""): tuple(v) for key, v in user.extra.items()}


async def publish(loopback: Loopback, config: Config) -> None:
    """Tell other API servers which authorities to believe; they read it when they start."""
    wanted: dict[str, str] = {}
    if config.client_ca is not None:
        wanted["client-ca-file"] = config.client_ca.read_text()
    if config.front_proxy_ca is not None:
        wanted |= {
            "requestheader-client-ca-file": config.front_proxy_ca.read_text(),
            "requestheader-allowed-names": json.dumps(list(config.front_proxy_names)),
            "requestheader-username-headers": json.dumps([USER]),
            "requestheader-uid-headers": json.dumps([UID]),
            "requestheader-group-headers": json.dumps([GROUP]),
            "requestheader-extra-headers-prefix": json.dumps([EXTRA]),
        }
    found = loopback.get(ConfigMap, NAME, NAMESPACE)
    if found is None:
        metadata = ObjectMeta(name=NAME, namespace=NAMESPACE)
        await loopback.create(ConfigMap(metadata=metadata, data=wanted))
    elif any((found.data or {}).get(key) != value for key, value in wanted.items()):
        found.data = {**(found.data or {}), **wanted}
        await loopback.complete(found)
