"""A machine becomes one more control plane of a cluster whose store can be shared.

In:   on a control plane: its directory and settings. Elsewhere: the token made there.
Out:  a Secret that only the token may read, and only the key in the token can open; and what was
      in it, in the new machine's directory.
By:   `kybern token create --server` and `kybern server --join`.

A server's token is `abcdef.0123456789abcdef.KEY`: a bootstrap token that belongs to no group, and
a key that never leaves the two machines. docs/decisions/0005-joining.md says why it is so.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from kybern.api import errors
from kybern.api.core import bootstrap_tokens as tokens
from kybern.api.core.v1 import Secret
from kybern.api.meta.v1 import ObjectMeta, OwnerReference
from kybern.api.rbac.v1 import PolicyRule, Role, RoleBinding, RoleRef, Subject
from kybern.client.config import ClientConfig
from kybern.client.rest import Client
from kybern.client.tls import TlsTransport
from kybern.client.transport import Unreachable
from kybern.cluster import join_bundle, join_tokens
from kybern.cluster.join_discovery import JoinError, discover
from kybern.lib.clock import SYSTEM

if TYPE_CHECKING:
    from kybern.cluster.directory import Directory
    from kybern.cluster.settings import Settings

NAME = "kybern-control-plane-"
BUNDLE = "bundle"
_RBAC = "rbac.authorization.k8s.io"
_TOKEN = re.compile(r"([a-z0-9]{6}\.[a-z0-9]{16})\.([0-9a-f]{64})")


def needs_shared(settings: Settings) -> str:
    """Return why a cluster can have no second control plane; "" when it can."""
    if join_bundle.is_shared(settings.store):
        return ""
    what = "in memory" if settings.store == "memory" else "in one SQLite file"
    return (
        f"this cluster keeps its data {what}, which one control plane can use: migrate it with "
        "`kybern store migrate` to etcd first."
    )


async def offer(
    client: Client, directory: Directory, settings: Settings, *, ttl: float, description: str = ""
) -> str:
    """Let one who shows the token returned fetch what control planes share.

    Raises:
        JoinError: the cluster's store cannot be shared.
    """
    if problem := needs_shared(settings):
        raise JoinError(problem)
    token = join_tokens.invent()
    about, key = token[:6], join_bundle.new_key()
    owner = await join_tokens.create(client, token, ttl=ttl, description=description, groups=())
    sealed = join_bundle.seal(join_bundle.pack(directory, settings), key, about)
    for obj in _objects(about, owner, sealed):
        await client.create(obj)
    return f"{token}.{key.hex()}"


def _objects(about: str, owner: Secret, sealed: bytes) -> list[Any]:
    """Return what is there for as long as the token is."""
    name = NAME + about
    metadata = ObjectMeta(
        name=name,
        namespace=tokens.NAMESPACE,
        ownerReferences=[
            OwnerReference(
                apiVersion="v1", kind="Secret", name=owner.metadata.name or "",
                uid=owner.metadata.uid or "",
            )
        ],
    )  # fmt: skip
    read = PolicyRule(verbs=["get"], apiGroups=[""], resources=["secrets"], resourceNames=[name])
    user = Subject(kind="User", apiGroup=_RBAC, name=tokens.USER_PREFIX + about)
    return [
        Secret(metadata=metadata, data={BUNDLE: base64.b64encode(sealed).decode()}),
        Role(metadata=metadata, rules=[read]),
        RoleBinding(
            metadata=metadata,
            roleRef=RoleRef(apiGroup=_RBAC, kind="Role", name=name),
            subjects=[user],
        ),
    ]


async def join_server(
    server: str, token: str, ca_hash: str, directory: Directory
) -> dict[str, Any]:
    """Write what control planes share, and return the settings they share.

    Raises:
        JoinError: it cannot be done; the message says why.
    """
    match = _TOKEN.fullmatch(token)
    if match is None:
        what = "is one for nodes" if tokens.split(token) else "is none"
        raise JoinError(
            f"the token {what}: make one for a server with `kybern token create --server` where "
            "a control plane runs."
        )
    shown, key = match[1], bytes.fromhex(match[2])
    authority = await discover(server, shown, ca_hash)
    transport = TlsTransport(ClientConfig(server, ca=authority, token=shown))
    try:
        secret = await Client(transport, SYSTEM).get(Secret, NAME + shown[:6], tokens.NAMESPACE)
    except Unreachable as error:
        raise JoinError(f"the API server at {server} does not answer: {error}.") from None
    except errors.ApiError as error:
        raise JoinError(
            f"the cluster at {server} does not take the token {shown[:6]}.… ({error.message}): it "
            "may have expired. Make a new one with `kybern token create --server`."
        ) from None
    finally:
        await transport.close()
    try:
        sealed = base64.b64decode((secret.data or {}).get(BUNDLE, ""))
        bundle = join_bundle.unseal(sealed, key, shown[:6])
    except join_bundle.SealError:
        raise JoinError("the last part of the token is not the key it was made with.") from None
    if bundle.files.get("ca.crt") != authority:
        raise JoinError(f"what the server at {server} holds is of another cluster.")
    return join_bundle.unpack(bundle, directory)
