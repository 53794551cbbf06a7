"""ConfigMaps and Secrets.

In:   a ConfigMap or Secret; for updates also the old one.
Out:  problems appended to the list given.
By:   `core.validation.all`.
"""

from __future__ import annotations

import binascii
import json
from typing import TYPE_CHECKING, Final

from kybern.api import names
from kybern.api.field_path import Path, Problem, all_invalid, forbidden, invalid, required, too_long
from kybern.api.likeness import same
from kybern.api.meta.validation import METADATA, check_immutable

if TYPE_CHECKING:
    from kybern.api.core.v1 import ConfigMap, Secret

LIMIT: Final = 1024 * 1024
DATA: Final = Path("data")
SEALED: Final = "field is immutable when `immutable` is set"
REDACTED: Final = "<secret contents redacted>"
ACCOUNT_NAME: Final = "kubernetes.io/service-account.name"


def check_config_map(obj: ConfigMap, out: list[Problem]) -> None:
    """Keys that do as file names, and not too much in all."""
    data, binary = obj.data or {}, obj.binaryData or {}
    total = 0
    for key, text in data.items():
        if messages := names.config_key(key):
            out += all_invalid(DATA[key], key, messages)
        if key in binary:
            out.append(invalid(DATA[key], key, "duplicate of key present in binaryData"))
        total += names.size(text)
    for key, text in binary.items():
        if messages := names.config_key(key):
            out += all_invalid(Path("binaryData")[key], key, messages)
        total += _decoded_size(text)
    if total > LIMIT:
        out.append(too_long(Path(""), LIMIT))


def check_config_map_change(new: ConfigMap, old: ConfigMap, out: list[Problem]) -> None:
    """An immutable ConfigMap stays as it is."""
    if old.immutable:
        _check_sealed(new, old, ("data", "binaryData"), out)


def _check_sealed(
    new: ConfigMap | Secret, old: ConfigMap | Secret, fields: tuple[str, ...], out: list[Problem]
) -> None:
    if not new.immutable:
        out.append(forbidden(Path("immutable"), SEALED))
    changed = [each for each in fields if not same(getattr(new, each), getattr(old, each))]
    out += [forbidden(Path(field), SEALED) for field in changed]


def _decoded_size(base64: str) -> int:
    return len(base64) * 3 // 4 - base64[-2:].count("=")


def check_secret(obj: Secret, out: list[Problem]) -> None:
    """Keys that do as file names, not too much in all, and what its type calls for."""
    data = obj.data or {}
    total = 0
    for key, text in data.items():
        if messages := names.config_key(key):
            out += all_invalid(DATA[key], key, messages)
        total += _decoded_size(text)
    if total > LIMIT:
        out.append(too_long(DATA, LIMIT))
    _check_type(obj, data, out)


def _check_type(obj: Secret, data: dict[str, str], out: list[Problem]) -> None:
    match obj.type:
        case "kubernetes.io/service-account-token":
            if not (obj.metadata.annotations or {}).get(ACCOUNT_NAME):
                out.append(required((METADATA / "annotations")[ACCOUNT_NAME]))
        case "kubernetes.io/dockercfg":
            _check_json(data, ".dockercfg", out)
        case "kubernetes.io/dockerconfigjson":
            _check_json(data, ".dockerconfigjson", out)
        case "kubernetes.io/basic-auth":
            if "username" not in data and "password" not in data:
                out += [required(DATA["username"]), required(DATA["password"])]
        case "kubernetes.io/ssh-auth":
            if not data.get("ssh-privatekey"):
                out.append(required(DATA["ssh-privatekey"]))
        case "kubernetes.io/tls":
            out += [required(DATA[key]) for key in ("tls.crt", "tls.key") if key not in data]
        case _:
            pass


def _check_json(data: dict[str, str], key: str, out: list[Problem]) -> None:
    if key not in data:
        out.append(required(DATA[key]))
        return
    try:
        parsed = json.loads(binascii.a2b_base64(data[key]))
    except ValueError as error:
        out.append(invalid(DATA[key], REDACTED, str(error)))
        return
    if not isinstance(parsed, dict):
        told = "json: cannot unmarshal into Go value of type map[string]interface {}"
        out.append(invalid(DATA[key], REDACTED, told))


def check_secret_change(new: Secret, old: Secret, out: list[Problem]) -> None:
    """The type stays; an immutable Secret stays as it is."""
    check_immutable(new.type or "", old.type or "", Path("type"), out)
    if old.immutable:
        _check_sealed(new, old, ("data",), out)
