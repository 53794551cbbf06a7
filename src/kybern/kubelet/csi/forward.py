"""Calls of controllers to drivers on this node.

In:   the name of a driver and of a method, an encoded request.
Out:  the encoded answer, or gRPC's code and what the driver said.
By:   server/app.py: `POST /csi/DRIVER/csi.v1.SERVICE/METHOD`. The controllers of kybern reach it
      through the API server; on the other side is controllers/csi/reach.py.

The node service is not for others: what happens on a node is its kubelet's business.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kybern.csi.client import LONG, CsiError
from kybern.lib.http.messages import Response

if TYPE_CHECKING:
    from kybern.csi.transport import Transport
    from kybern.kubelet.csi.drivers import Drivers
    from kybern.kubelet.csi.places import Places
    from kybern.lib.http.messages import Request

SERVICES: Final = ("csi.v1.Identity", "csi.v1.Controller")
PROTOBUF: Final = "application/x-protobuf"
TEXT: Final = "text/plain; charset=utf-8"
LIMIT: Final = 4 << 20
LONGEST: Final = 3600.0
NAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]{0,61}[a-zA-Z0-9])?").fullmatch
METHOD = re.compile(r"[A-Za-z]{1,64}").fullmatch
SECONDS = re.compile(r"([0-9]+(?:\.[0-9]+)?)s").fullmatch


class Forwarding:
    """Passes calls on."""

    def __init__(self, drivers: Drivers, places: Places) -> None:
        self._drivers = drivers
        self._places = places

    async def answer(self, request: Request, driver: str, service: str, method: str) -> Response:
        """Pass one call on; a failure is an answer too, with the header `grpc-status`."""
        if request.method != "POST":
            return Response(405, b"Method Not Allowed", TEXT)
        if not NAME(driver) or service not in SERVICES or not METHOD(method):
            return _failure("UNIMPLEMENTED", f"unknown service {service} or method {method}")
        asked = SECONDS(request.param("timeout") or "")
        seconds = min(float(asked[1]), LONGEST) if asked else LONG
        body = await request.body(LIMIT)
        transport, ours = self._transport(driver)
        if transport is None:
            return _failure("UNAVAILABLE", f"driver name {driver} not found on this node")
        try:
            answer = await transport.call(f"/{service}/{method}", body, seconds)
        except CsiError as error:
            return _failure(error.code, error.message)
        finally:
            if ours:
                await transport.close()
        return Response(200, answer, PROTOBUF)

    def _transport(self, name: str) -> tuple[Transport | None, bool]:
        """Return what carries calls to a driver, and whether it is for this call only.

        A driver whose controller service is a process of its own has another socket for it.
        """
        own, shared = self._places.sockets(name)
        driver = self._drivers.find(name)
        if own.is_socket():
            return self._drivers.connect(str(own)), True
        if driver is not None:
            return driver.csi.transport, False
        return (self._drivers.connect(str(shared)), True) if shared.is_socket() else (None, False)


def _failure(code: str, message: str) -> Response:
    return Response(200, message.encode(), TEXT, (("grpc-status", code),))
