"""TLS contexts for both sides of a connection.

In:   certificates and keys, as PEM bytes or as paths of files.
Out:  `ssl.SSLContext`s that speak HTTP/1.1 over TLS 1.2 and later.
By:   whoever calls `http.server.serve` or makes an `http.client.HttpClient`.

Making the certificates is the business of `pki`.
"""

from __future__ import annotations

import contextlib
import os
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Pem = bytes | str | os.PathLike[str]


def server_context(certificate: Pem, key: Pem, client_ca: bytes | None = None) -> ssl.SSLContext:
    """Return a context for a server.

    Args:
        certificate: the server's certificate, followed by intermediate ones if there are any.
        key: its private key.
        client_ca: the authorities (PEM) for client certificates. With it clients may show one,
            and a bad one ends the handshake; without it none is asked for.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Resumption would save little with P-256 keys, and every handshake would pay for its tickets.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    load_pair(context, certificate, key)
    if client_ca:
        context.load_verify_locations(cadata=client_ca.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context


def client_context(
    ca: bytes | None = None,
    certificate: Pem | None = None,
    key: Pem | None = None,
    *,
    verify: bool = True,
) -> ssl.SSLContext:
    """Return a context for a client.

    Args:
        ca: the authorities (PEM) the server's certificate may come from; else the system's.
        certificate: what to show to a server which asks who we are.
        key: its private key.
        verify: False accepts whatever certificate the server has.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca:
        context.load_verify_locations(cadata=ca.decode())
    else:
        context.load_default_certs()
    if certificate is not None and key is not None:
        load_pair(context, certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    return context


def load_pair(context: ssl.SSLContext, certificate: Pem, key: Pem) -> None:
    """Give a context another certificate; connections made from now on use it."""
    with _as_file(certificate) as certificate_path, _as_file(key) as key_path:
        context.load_cert_chain(certificate_path, key_path)


@contextlib.contextmanager
def _as_file(pem: Pem) -> Iterator[str]:
    """Give OpenSSL, which reads only files, a path; bytes never touch the disk."""
    if not isinstance(pem, bytes):
        yield os.fspath(pem)
        return
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(pem)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
