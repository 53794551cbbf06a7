"""What a component that runs alone shows of itself: health and metrics.

In:   GET on /healthz, /livez, /readyz and /metrics.
Out:  200 `ok` or 500; metrics in Prometheus' text format.
By:   the entry points of scheduler, controller manager, proxy and DNS.

Health is for everybody. Where metrics are served over TLS, the API server is asked who the caller
is and whether they may read them, as upstream's components do.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from kybern.cmd.process import Fatal
from kybern.lib import logs, pki
from kybern.lib.clock import SYSTEM
from kybern.lib.http.messages import Response
from kybern.lib.http.server import serve
from kybern.lib.metrics import REGISTRY, watch_process
from kybern.lib.tls import server_context

if TYPE_CHECKING:
    import ssl
    from argparse import Namespace
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from kybern.client.rest import Client
    from kybern.lib.http.messages import Request
    from kybern.lib.http.server import Server

log = logs.get("serving")

HEALTH = ("/healthz", "/livez", "/readyz")
METRICS = "/metrics"
TEXT = "text/plain; charset=utf-8"


class Window:
    """Answers about one component.

    Args:
        ready: whether it does its work by now.
        reviewer: the API server, which judges callers of /metrics; everybody may when None.
    """

    def __init__(self, ready: Callable[[], bool], reviewer: Client | None = None) -> None:
        self._ready = ready
        self._reviewer = reviewer
        watch_process()

    async def app(self, request: Request) -> Response:
        """Answer one request."""
        path = request.path.rstrip("/")
        if path in HEALTH:
            well = path != "/readyz" or self._ready()
            return _text(200, "ok") if well else _text(500, "not ready yet")
        if path != METRICS:
            return _text(404, "404 page not found\n")
        if self._reviewer is not None and (refusal := await self._judge(request, self._reviewer)):
            return refusal
        return Response(200, REGISTRY.expose(), "text/plain; version=0.0.4; charset=utf-8")

    async def _judge(self, request: Request, reviewer: Client) -> Response | None:
        """Return why the caller gets nothing; None when they may read."""
        from kybern.api.authentication.v1 import TokenReview, TokenReviewSpec
        from kybern.api.authorization.v1 import (
            NonResourceAttributes,
            SubjectAccessReview,
            SubjectAccessReviewSpec,
        )
        from kybern.api.errors import ApiError
        from kybern.client.transport import Unreachable

        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return _text(401, "Unauthorized\n")
        try:
            who = await reviewer.create(TokenReview(spec=TokenReviewSpec(token=token.strip())))
            user = who.status.user
            if not who.status.authenticated or user is None:
                return _text(401, "Unauthorized\n")
            spec = SubjectAccessReviewSpec(
                user=user.username, uid=user.uid, groups=user.groups, extra=user.extra,
                nonResourceAttributes=NonResourceAttributes(path=METRICS, verb="get"),
            )  # fmt: skip
            verdict = await reviewer.create(SubjectAccessReview(spec=spec))
        except (ApiError, Unreachable) as error:
            log.warning("callers cannot be judged", reason=str(error))
            return _text(500, "the API server could not be asked who may read this\n")
        if not verdict.status.allowed:
            return _text(403, f"Forbidden: User {user.username!r} cannot get path {METRICS!r}\n")
        return None


async def open_window(
    window: Window, host: str, port: int, flag: str, context: ssl.SSLContext | None = None
) -> Server:
    """Serve a window.

    Raises:
        Fatal: the port cannot be had; `flag` is the one that chooses another.
    """
    try:
        return await serve(window.app, host, port, ssl=context)
    except OSError as error:
        raise Fatal(cannot_listen(host, port, error, flag)) from None


@contextlib.asynccontextmanager
async def open_tls_window(args: Namespace, window: Window, name: str) -> AsyncIterator[None]:
    """Serve a window for the length of a block, as the flags of `flags.add_window` say."""
    if not args.secure_port:
        yield
        return
    host = args.bind_address or ""
    addresses = {"127.0.0.1", "::1", host} - {""}
    context = server_tls(
        args.tls_cert_file, args.tls_private_key_file, (name, "localhost"), tuple(sorted(addresses))
    )
    server = await open_window(window, host, args.secure_port, "--secure-port", context)
    try:
        yield
    finally:
        await server.close(grace=0.1)


def cannot_listen(host: str, port: int, error: OSError, flag: str) -> str:
    """Say that a port cannot be had, and what to do."""
    where = f"{host or 'all addresses'}, port {port}"
    return (
        f"cannot listen on {where}: {error.strerror or error}. Stop the program that uses it, or "
        f"choose another with {flag}."
    )


def server_tls(
    certificate: Path | None,
    key: Path | None,
    names: tuple[str, ...],
    addresses: tuple[str, ...] = ("127.0.0.1", "::1"),
    *,
    client_ca: bytes | None = None,
    directory: Path | None = None,
    base: str = "",
) -> ssl.SSLContext:
    """Return the TLS side of a server.

    Args:
        certificate: its certificate; without one, it signs one for itself.
        key: its key.
        names: names for a certificate of its own.
        addresses: addresses for it.
        client_ca: who may sign clients' certificates; none are asked for without it.
        directory: where a certificate of its own is kept from one run to the next.
        base: name of the files in it.

    Raises:
        Fatal: the files cannot be used, or not be written.
    """
    try:
        if certificate is not None and key is not None:
            return server_context(certificate, key, client_ca)
        pair = _own(names, addresses, directory, base)
        return server_context(pair.certificate, pair.key, client_ca)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        files = f"{certificate} and {key}" if certificate else str(directory)
        raise Fatal(f"the certificate and key in {files} cannot be used: {error}.") from None


def keep_own(
    names: tuple[str, ...], addresses: tuple[str, ...], directory: Path, base: str
) -> tuple[Path, Path]:
    """Return the files of a certificate signed by itself, made at the first time.

    Raises:
        Fatal: they cannot be written.
    """
    try:
        _own(names, addresses, directory, base)
    except OSError as error:
        raise Fatal(f"cannot write to {directory}: {error.strerror}.") from None
    return directory / f"{base}.crt", directory / f"{base}.key"


def _own(
    names: tuple[str, ...], addresses: tuple[str, ...], directory: Path | None, base: str
) -> pki.KeyPair:
    """Return a certificate signed by itself: the one that was kept, or a new one."""
    paths = (directory / f"{base}.crt", directory / f"{base}.key") if directory else None
    if paths and all(path.exists() for path in paths):
        return pki.KeyPair.load(*paths)
    now = SYSTEM.now()
    authority = pki.make_ca(f"{names[0]}-ca", now=now)
    subject = pki.Subject(names[0], (), names, addresses)
    pair = pki.issue(authority, subject, now=now, server=True)
    # clients who are given this file can trust it: it holds the authority as well
    pair = pki.KeyPair(pair.certificate + authority.certificate, pair.key)
    if paths and directory:
        directory.mkdir(parents=True, exist_ok=True)
        pair.save(*paths)
        log.info("made a certificate of our own", certificate=str(paths[0]))
    return pair


def _text(status: int, text: str) -> Response:
    return Response(status, text.encode(), TEXT)
