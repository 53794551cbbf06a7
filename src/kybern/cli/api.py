"""The little that the command line asks the API server itself.

In:   a Directory with the administrator's kubeconfig, and a path.
Out:  an answer, or a stream of watch events. Everything else is kubectl's.
By:   the verbs `up` and `status`. Synchronous: a verb does one thing at a time.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import urllib.parse
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kybern.cluster.directory import Directory
    from kybern.cluster.settings import Settings

PATIENCE = 1.0  # seconds for a server to take a connection, where there are others


class Answer(NamedTuple):
    """Status code and body."""

    status: int
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace").strip()

    def json(self) -> Any:
        """The body as a tree; ValueError when it is not JSON."""
        return json.loads(self.body)


def connect(
    directory: Directory, settings: Settings, timeout: float
) -> http.client.HTTPSConnection:
    """Return a connection as the administrator, or as the node when that is all there is here."""
    who = "kubelet-client" if settings.node_only else "admin"
    context = ssl.create_default_context(cafile=str(directory.pki / "ca.crt"))
    context.load_cert_chain(directory.pki / f"{who}.crt", directory.pki / f"{who}.key")
    server = urllib.parse.urlsplit(_server(directory, settings))
    return http.client.HTTPSConnection(
        server.hostname or "", server.port, timeout=timeout, context=context
    )


def _server(directory: Directory, settings: Settings) -> str:
    """Return the API server: for a node elsewhere, the first it knows that takes connections."""
    if not settings.node_only:
        return settings.server
    from kybern.cluster import known_servers

    for server in known_servers.load(directory, settings.server).urls:
        url = urllib.parse.urlsplit(server)
        try:
            socket.create_connection((url.hostname or "", url.port or 443), PATIENCE).close()
        except OSError:
            continue
        return server
    return settings.server


def listens(settings: Settings) -> bool:
    """Whether anybody takes connections on the port: cheaper to ask than with TLS."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(("127.0.0.1", settings.port)) == 0


def get(directory: Directory, settings: Settings, path: str, timeout: float = 5.0) -> Answer:
    """Ask once; OSError when nobody answers."""
    return ask("GET", directory, settings, path, timeout)


def ask(
    method: str, directory: Directory, settings: Settings, path: str, timeout: float = 5.0
) -> Answer:
    """Do one request without a body; OSError when nobody answers."""
    connection = connect(directory, settings, timeout)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return Answer(response.status, response.read())
    except http.client.HTTPException as error:
        raise OSError(f"broken answer: {error!r}") from None
    finally:
        connection.close()


def watch(
    directory: Directory, settings: Settings, path: str, timeout: float
) -> Iterator[dict[str, Any]]:
    """Yield the events of a watch until the server ends it; OSError after silence."""
    connection = connect(directory, settings, timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        if response.status != 200:
            raise OSError(f"the watch was refused: {response.read(300)!r}")
        while line := response.readline():
            yield json.loads(line)
    finally:
        connection.close()
