"""How a bad value is printed inside an error message.

In:   a value of an API object: a scalar, a list, a map or a Struct.
Out:  the text an upstream API server would print for it.
By:   `api.field_path`.

Scalars print plainly, strings quoted, everything else as JSON. Upstream encodes its *internal*
types here, which have no JSON names: their fields appear under the names of the Go source, all of
them, also the empty ones. Types of the meta group are shared and do have JSON names.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from kybern.api.fields import FieldInfo

# Go initialisms in field names; every other name only has its first letter raised.
GO_NAMES: Final = {
    "uid": "UID",
    "tty": "TTY",
    "fqdn": "FQDN",
    "csi": "CSI",
    "nfs": "NFS",
    "iscsi": "ISCSI",
    "rbd": "RBD",
    "fc": "FC",
    "cephfs": "CephFS",
    "gcePersistentDisk": "GCEPersistentDisk",
    "awsElasticBlockStore": "AWSElasticBlockStore",
    "externalIPs": "ExternalIPs",
    "httpGet": "HTTPGet",
    "tcpSocket": "TCPSocket",
    "grpc": "GRPC",
    "httpHeaders": "HTTPHeaders",
    "dnsPolicy": "DNSPolicy",
    "dnsConfig": "DNSConfig",
    "fsGroup": "FSGroup",
    "fsType": "FSType",
    "ip": "IP",
    "apiGroup": "APIGroup",
    "apiGroups": "APIGroups",
    "apiVersion": "APIVersion",
    "ipBlock": "IPBlock",
    "cidr": "CIDR",
    "http": "HTTP",
    "tls": "TLS",
    "url": "URL",
    "caBundle": "CABundle",
}

# Fields which are not pointers in the Go source: absent, they show their zero value.
PLAIN_FIELDS: Final = {
    "effect": "", "hostIP": "", "hostPort": 0, "image": "", "key": "", "name": "", "nodePort": 0,
    "operator": "", "protocol": "", "targetPort": 0, "type": "", "value": "",
}  # fmt: skip

# Python's spelling of a few characters which Go's strconv.Quote escapes by name.
ESCAPES: Final = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


class Fields(dict[str, Any]):
    """Fields of an internal type by their Go names, in the order of the Go source."""


class _Nil:
    """The type of `NIL`."""

    def __repr__(self) -> str:
        return "NIL"


NIL: Final = _Nil()
"""An absent list, map or time, which is not a pointer: it prints as null, without quotes."""


def quote(text: str) -> str:
    """`text` in double quotes, escaped as Go's `%q` does."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return f'"{"".join(_escape(char) for char in text)}"'


def _escape(char: str) -> str:
    if char in ESCAPES:
        return ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def go_name(name: str) -> str:
    """The name of a field in the Go source."""
    return GO_NAMES.get(name, name[:1].upper() + name[1:])


def render(value: Any) -> str:
    """The value as it stands after `Invalid value: `."""
    if value is None:
        return '"null"'
    if value is NIL:
        return "null"
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return _json(_plain(value))


def _json(tree: Any) -> str:
    """JSON as Go encodes it: compact, with the characters special to HTML escaped."""
    text = json.dumps(tree, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        shared = type(value).__module__.startswith("kybern.api.meta.")
        return _shared(value) if shared else _internal(value)
    if isinstance(value, dict):
        order = value if isinstance(value, Fields) else sorted(value)
        return {key: _plain(value[key]) for key in order}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _fields(value: msgspec.Struct) -> list[FieldInfo]:
    """The fields in the order of the Go source: that of their numbers, apiVersion first."""
    from kybern.api.fields import fields_of  # only wanted on the way to an error

    def order(field: FieldInfo) -> int:
        return 0 if field.name == "apiVersion" else field.meta.number

    return sorted(fields_of(type(value)).values(), key=order)


def _shared(value: msgspec.Struct) -> dict[str, Any]:
    """The fields that are set, under their wire names."""
    tree = msgspec.to_builtins(value)
    given = [field for field in _fields(value) if field.name in tree]
    return {field.name: _plain(getattr(value, field.attr)) for field in given}


def _internal(value: msgspec.Struct) -> dict[str, Any]:
    """Every field, under its Go name; metadata is embedded, its fields stand among the others."""
    out: dict[str, Any] = {}
    for each in _fields(value):
        shown = _field(value, each.name, each.attr)
        if each.name == "metadata":
            out.update(shown or {})
        else:
            out[go_name(each.name)] = shown
    return out


def _field(value: msgspec.Struct, name: str, attr: str) -> Any:
    found = getattr(value, attr)
    return PLAIN_FIELDS.get(name) if found is None else _plain(found)
