"""A log over a WebSocket, for clients that cannot read an endless answer.

In:   a request to upgrade with subprotocol `binary.k8s.io` or `base64.binary.k8s.io`, and a log.
Out:  the log in messages.
By:   handlers.pod_log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.lib.http import websocket

if TYPE_CHECKING:
    from kybern.lib.http.messages import AnyResponse, Request, StreamResponse
    from kybern.lib.http.websocket import WebSocket

PLAIN, BASE64 = "binary.k8s.io", "base64.binary.k8s.io"


def over_websocket(request: Request, log: StreamResponse) -> AnyResponse:
    """Return the upgrade that sends a log."""
    return websocket.accept(request, Sender(log).run, subprotocols=("", PLAIN, BASE64))


class Sender:
    """Sends the pieces of a log."""

    def __init__(self, log: StreamResponse) -> None:
        self._log = log

    async def run(self, socket: WebSocket) -> None:
        """Send until the log ends or the client leaves."""
        async for piece in self._log.chunks:
            if socket.subprotocol == BASE64:
                import base64

                await socket.send(base64.b64encode(piece).decode())
            else:
                await socket.send(piece)
