"""Whom to trust: the authority of a cluster of which one knows an address and a token.

In:   the address, a bootstrap token, and what is known of the authority's key beforehand.
Out:  the authority's certificate.
By:   `join.py` and `join_server.py`. The protocol is kubeadm's.

The server tells its authority to anybody, in `kube-public/cluster-info`, and nothing it says is
believed until it is proved: by a hash of the authority's key that the user brought along, or else
by a signature which only those can make who know the token.
"""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.api.core import bootstrap_tokens as tokens
from kybern.api.core.v1 import ConfigMap
from kybern.client.config import ClientConfig
from kybern.client.rest import Client
from kybern.client.tls import TlsTransport
from kybern.client.transport import Unreachable
from kybern.lib import pki
from kybern.lib.clock import SYSTEM

if TYPE_CHECKING:
    from kybern.lib.clock import Clock

PATIENCE = 10.0  # seconds for which the signature of a token just made may be missing
LOOK_AGAIN = 0.2


class JoinError(Exception):
    """This machine cannot join; the message says why and what to do."""


async def discover(server: str, token: str, ca_hash: str, clock: Clock = SYSTEM) -> bytes:
    """Return the certificate (PEM) of the authority behind `server`.

    Args:
        server: `https://HOST:PORT`.
        token: a bootstrap token, `abcdef.0123456789abcdef`.
        ca_hash: `sha256:…` of the authority's public key; "" to rely on the token alone.
        clock: the time.

    Raises:
        JoinError: there is no such cluster, or it is another one than it should be.
    """
    parts = tokens.split(token)
    if parts is None:
        raise JoinError(
            "the token is not one: it looks like abcdef.0123456789abcdef. Make one with "
            "`kybern token create` where the control plane runs."
        )
    transport = TlsTransport(ClientConfig(server, insecure=True))
    try:
        client = Client(transport, clock)
        info = await _info(client, server)
        if not ca_hash:
            info = await _signed(client, server, info, parts, clock)
    finally:
        await transport.close()
    authority = authority_in(info)
    if ca_hash and pki.public_key_hash(authority) != ca_hash.lower():
        raise JoinError(
            f"the server at {server} is not the one whose --ca-hash was given: its authority has "
            f"{pki.public_key_hash(authority)}. Check the address, and who told you the hash."
        )
    return authority


async def _info(client: Client, server: str) -> dict[str, str]:
    try:
        found = await client.get(ConfigMap, tokens.INFO, tokens.INFO_NAMESPACE)
    except Unreachable as error:
        raise JoinError(
            f"no API server answers at {server}: {error}. Check the address, and that a firewall "
            "lets this machine reach it."
        ) from None
    except errors.ApiError as error:
        raise JoinError(
            f"the cluster at {server} does not let machines join ({error.message}): run "
            "`kybern token create` where its control plane runs."
        ) from None
    return found.data or {}


async def _signed(
    client: Client, server: str, info: dict[str, str], token: tuple[str, str], clock: Clock
) -> dict[str, str]:
    """Return what the server says, once it proved that it knows the token."""
    name = tokens.SIGNATURE + token[0]
    deadline = clock.monotonic() + PATIENCE
    while name not in info:
        if clock.monotonic() > deadline:
            raise JoinError(
                f"the cluster at {server} does not know the token {token[0]}.…: it may have "
                "expired. Make a new one with `kybern token create` where the control plane runs."
            )
        await clock.sleep(LOOK_AGAIN)
        info = await _info(client, server)
    wanted = tokens.signature(info.get(tokens.KUBECONFIG, ""), *token)
    if not hmac.compare_digest(info[name].encode(), wanted.encode()):
        raise JoinError(
            f"the server at {server} does not prove that it knows the token: it is not the "
            "cluster that made it. Check the address and the token."
        )
    return info


def authority_in(info: dict[str, str]) -> bytes:
    """Return the certificate in what `cluster-info` holds: a kubeconfig without user and context.

    Raises:
        JoinError: there is none.
    """
    import msgspec

    try:
        tree = msgspec.yaml.decode(info.get(tokens.KUBECONFIG, ""))
        data = tree["clusters"][0]["cluster"]["certificate-authority-data"]
        found = base64.b64decode(data, validate=True)
        pki.parse_certificate(found)
    except (msgspec.DecodeError, LookupError, TypeError, ValueError) as error:
        raise JoinError(f"the cluster's cluster-info cannot be used: {error}") from None
    return found
