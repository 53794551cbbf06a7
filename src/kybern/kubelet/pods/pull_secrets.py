"""Credentials for registries, from the Secrets a pod names.

In:   an image's name; Secrets of the types dockerconfigjson and dockercfg.
Out:  the credentials that fit its registry, the most specific first.
By:   pulling.py. Pure.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

import msgspec

from kybern.kubelet.pods.image_names import DEFAULT_REGISTRY, registry
from kybern.kubelet.runtime.messages.image import AuthConfig

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.core.v1 import Secret

KEYS = (".dockerconfigjson", ".dockercfg")
HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io")


def credentials_for(image: str, secrets: Iterable[Secret]) -> list[AuthConfig]:
    """Return the credentials to try for an image, in order."""
    host = registry(image)
    full = image if image.startswith(f"{host}/") else f"{host}/{image}"
    fitting: list[tuple[int, AuthConfig]] = []
    for secret in secrets:
        for place, entry in _entries(secret).items():
            where = _place(place)
            if full == where or full.startswith(where + "/") or _is_hub(where, host):
                fitting.append((len(where), _auth(entry, where)))
    return [auth for _, auth in sorted(fitting, key=lambda pair: -pair[0])]


def _entries(secret: Secret) -> dict[str, Any]:
    for key in KEYS:
        encoded = (secret.data or {}).get(key)
        if encoded is None:
            continue
        try:
            tree = msgspec.json.decode(base64.b64decode(encoded))
        except (msgspec.DecodeError, binascii.Error):
            return {}
        found = tree.get("auths", {}) if key == KEYS[0] else tree
        return {k: v for k, v in found.items() if isinstance(v, dict)}
    return {}


def _place(text: str) -> str:
    without_scheme = text.removeprefix("https://").removeprefix("http://").rstrip("/")
    return without_scheme.removesuffix("/v1").removesuffix("/v2")


def _is_hub(where: str, host: str) -> bool:
    return host == DEFAULT_REGISTRY and where.split("/")[0] in HUB_NAMES


def _auth(entry: dict[str, Any], where: str) -> AuthConfig:
    username, password = str(entry.get("username", "")), str(entry.get("password", ""))
    if "auth" in entry and not username:
        try:
            pair = base64.b64decode(entry["auth"]).decode()
        except (ValueError, binascii.Error):
            pair = ""
        username, _, password = pair.partition(":")
    return AuthConfig(
        username=username,
        password=password,
        server_address=where,
        identity_token=str(entry.get("identitytoken", "")),
    )
