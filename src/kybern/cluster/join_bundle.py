"""What control planes of one cluster share, and how it travels.

In:   the directory and settings of a control plane.
Out:  one sealed text; and on another machine, the same files and settings.
By:   `join_server.py`.

The seal is AES-256-GCM with a key that is in the token the user carries, and nowhere in the
cluster: neither its store nor a backup of it tells the keys of the cluster's authority.
"""

# msgspec resolves the annotations of Structs: they are not postponed in this file.

import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

from kybern.cluster.directory import Directory
from kybern.cluster.settings import Settings
from kybern.lib import pki

SETTINGS = (
    "store", "token", "service_cidr", "cluster_cidr", "cluster_domain", "dns_ip",
    "node_monitor_grace", "autoscaler_period", "lease_duration",
)  # fmt: skip
FILES = ("ca.crt", "ca.key", "sa.key", "front-proxy-ca.crt", "front-proxy-ca.key")
"""What was made once, in `pki/`; everything else follows from it."""
ENCRYPTION = "encryption.yaml"
"""What the servers encrypt in the store, and with which keys: each has to know."""
STORE_FILES = ("cafile", "certfile", "keyfile")
"""What a store's URL may name."""
KEY_BYTES, NONCE_BYTES = 32, 12


class Bundle(msgspec.Struct, frozen=True):
    """Settings and files."""

    settings: dict[str, Any]
    files: dict[str, bytes]


class SealError(ValueError):
    """The bundle was sealed with another key, or it was changed."""


def is_shared(store: str) -> bool:
    """Whether several servers can use the store at a time."""
    return urlsplit(store).scheme == "etcd"


def pack(directory: Directory, settings: Settings) -> Bundle:
    """Gather what another control plane needs."""
    files = {name: (directory.pki / name).read_bytes() for name in FILES}
    for option, path in parse_qsl(urlsplit(settings.store).query):
        if option in STORE_FILES:
            files[f"etcd/{option}"] = Path(path).read_bytes()
    if settings.encryption_provider_config:
        files[ENCRYPTION] = Path(settings.encryption_provider_config).read_bytes()
    return Bundle({name: getattr(settings, name) for name in SETTINGS}, files)


def unpack(bundle: Bundle, directory: Directory) -> dict[str, Any]:
    """Write the files and return the settings, which name them where they are now."""
    for name, data in bundle.files.items():
        if name not in (*FILES, ENCRYPTION) and name.removeprefix("etcd/") not in STORE_FILES:
            continue  # of a later version; a name is never a path of its own
        pki.save(directory.pki / name, data, 0o644 if name.endswith(".crt") else 0o600)
    store = urlsplit(bundle.settings.get("store", ""))
    options = [
        (name, str(directory.pki / "etcd" / name) if name in STORE_FILES else value)
        for name, value in parse_qsl(store.query)
    ]
    known = {name: value for name, value in bundle.settings.items() if name in SETTINGS}
    known["store"] = urlunsplit(store._replace(query=urlencode(options, safe="/")))
    if ENCRYPTION in bundle.files:
        known["encryption_provider_config"] = str(directory.pki / ENCRYPTION)
    return known


def new_key() -> bytes:
    """Return a key to seal with."""
    return secrets.token_bytes(KEY_BYTES)


def seal(bundle: Bundle, key: bytes, about: str) -> bytes:
    """Encrypt a bundle; it opens only with the key, and only as what it is `about`."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, msgspec.json.encode(bundle), about.encode())


def unseal(data: bytes, key: bytes, about: str) -> Bundle:
    """Decrypt a bundle.

    Raises:
        SealError: it cannot be.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        plain = AESGCM(key).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], about.encode())
        return msgspec.json.decode(plain, type=Bundle)
    except (InvalidTag, ValueError) as error:  # a DecodeError is a ValueError
        raise SealError(str(error) or "the key is another one") from None
