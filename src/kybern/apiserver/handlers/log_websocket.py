"""A log over a WebSocket, for clients that cannot read an endless answer.

In:   a request to upgrade with subprotocol `binary.k8s.io` or `base64.binary.k8s.io`, and a log.
Out:  the log in messages.
By:   handlers.pod_log.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.lib.http import websocket

if TYPE_CHECKING:
    from kybern.lib.http.messages import AnyResponse, Request, StreamResponse
    from kybern.lib.http.websocket import WebSocket

PLAIN, BASE64 = "binary.k8s.io", "base64.binary.k8s.io"


def over_websocket(request: Request, log: StreamResponse) -> AnyResponse:
    """Return the upgrade that sends a log.

    Raises:
        BadRequest: the client asks for another protocol.
    """
    try:
        return websocket.accept(request, Sender(log).run, protocols=(PLAIN, BASE64))
    except websocket.HandshakeError as error:
        raise errors.BadRequest(str(error)) from None


class Sender:
    """Sends the pieces of a log."""

    def __init__(self, log: StreamResponse) -> None:
        self._log = log

    async def run(self, socket: WebSocket) -> None:
        """Send until the log ends or the client leaves."""
        async for piece in self._log.chunks:
            if socket.protocol == BASE64:
                await socket.send(base64.b64encode(piece).decode())
            else:
                await socket.send(piece)
