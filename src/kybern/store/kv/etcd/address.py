"""Where etcd is, and how to speak to it.

In:   `etcd://host:port,host:port?cafile=...&certfile=...&keyfile=...&prefix=...`, or upstream's
      flags.
Out:  `Address`, checked as far as that is possible without asking anybody.
By:   cmd, for `--store` and `--etcd-servers`; the engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

PREFIX = "/registry"
_FILES = ("cafile", "certfile", "keyfile")


class AddressError(ValueError):
    """This is no address of an etcd; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Address:
    """An etcd.

    Attributes:
        members: `host:port` of each member that may be asked, in the order they are tried.
        tls: whether to speak TLS.
        cafile: who signed the servers' certificates; the system's authorities if None.
        certfile: the certificate to show.
        keyfile: its key.
        prefix: what all our keys begin with.
    """

    members: tuple[str, ...]
    tls: bool = False
    cafile: Path | None = None
    certfile: Path | None = None
    keyfile: Path | None = None
    prefix: str = PREFIX

    def __post_init__(self) -> None:
        """Check what does not fit together."""
        if not self.members:
            raise AddressError("no member of etcd is named: give at least one host:port")
        if (self.certfile is None) != (self.keyfile is None):
            raise AddressError("certfile and keyfile go together")
        if self.prefix == "/" or self.prefix != f"/{self.prefix.strip('/')}":
            raise AddressError(f"the prefix {self.prefix!r} must begin with / and not end with it")

    def __str__(self) -> str:
        return ",".join(self.members)


def parse(url: str) -> Address:
    """Read an URL of ours; it is TLS when it names a file of certificates, or `tls=true`.

    Raises:
        AddressError: it is none.
    """
    parts = urlsplit(url)
    if parts.scheme != "etcd" or parts.path.strip("/"):
        raise AddressError(f"{url!r} is not of the form etcd://host:port,host:port")
    query = parse_qsl(parts.query, keep_blank_values=True)
    options = dict(query)
    unknown = sorted(options.keys() - {*_FILES, "prefix", "tls"})
    if unknown or len(options) != len(query):
        what = f"{unknown[0]} is not an option" if unknown else "an option is given twice"
        raise AddressError(f"{url!r}: {what}; there are {', '.join(_FILES)}, prefix and tls")
    files = {name: Path(options[name]) for name in _FILES if options.get(name)}
    for name, path in files.items():
        if not path.is_absolute():
            raise AddressError(f"{name}={path} in {url!r} is not an absolute path")
    tls = bool(files)
    if "tls" in options:
        tls = _boolean(options["tls"])
    members = tuple(_member(text, url) for text in parts.netloc.split(",") if text)
    return Address(members, tls, prefix=options.get("prefix", PREFIX), **files)


def of_servers(
    servers: list[str],
    *,
    cafile: Path | None = None,
    certfile: Path | None = None,
    keyfile: Path | None = None,
    prefix: str = PREFIX,
) -> Address:
    """Read upstream's `--etcd-servers`: `http://host:port` or `https://host:port`, each.

    Raises:
        AddressError: one is neither, or they do not fit together.
    """
    schemes, members = set(), []
    for server in servers:
        parts = urlsplit(server if "://" in server else f"http://{server}")
        if parts.scheme not in ("http", "https") or parts.path.strip("/") or parts.query:
            raise AddressError(f"{server!r} is not of the form https://host:port")
        schemes.add(parts.scheme)
        members.append(_member(parts.netloc, server))
    if len(schemes) > 1:
        raise AddressError("either all members of etcd speak https, or none")
    if "https" not in schemes and (cafile or certfile):
        raise AddressError("the certificates are of no use without https:// in --etcd-servers")
    return Address(tuple(members), "https" in schemes, cafile, certfile, keyfile, prefix)


def _member(text: str, of: str) -> str:
    host, colon, port = text.rpartition(":")
    if not host or not colon or "@" in text or not port.isdigit() or not 0 < int(port) < 65536:
        raise AddressError(f"{text!r} in {of!r} is not of the form host:port")
    return text


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise AddressError(f"tls={text} is neither true nor false")
    return text == "true"
