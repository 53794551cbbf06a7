"""How a driver tells the kubelet that it is there, as node-driver-registrar does for others."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Annotated, Any

import grpc
import grpc.aio
from msgspec import Struct, field

from kybern.lib.protobuf import Codec
from kybern.lib.protobuf import PbField as N

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.csi.options import Options


class PluginInfo(Struct):
    """What there is to register."""

    type: Annotated[str, N(1)] = ""
    name: Annotated[str, N(2)] = ""
    endpoint: Annotated[str, N(3)] = ""
    supported_versions: Annotated[list[str], N(4)] = field(default_factory=list)


class RegistrationStatus(Struct):
    """What the kubelet made of it."""

    plugin_registered: Annotated[bool, N(1)] = False
    error: Annotated[str, N(2)] = ""


class Registration(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers the calls of pluginregistration.Registration."""

    def __init__(self, info: PluginInfo) -> None:
        self._info = info

    def service(self, details: Any) -> grpc.RpcMethodHandler | None:
        """Return what answers a method; None when there is nothing."""
        methods = {
            "/pluginregistration.Registration/GetInfo": self._get_info,
            "/pluginregistration.Registration/NotifyRegistrationStatus": self._notify,
        }
        answer = methods.get(details.method)
        return grpc.unary_unary_rpc_method_handler(answer) if answer is not None else None

    async def _get_info(self, _data: bytes, _context: Any) -> bytes:
        return Codec(PluginInfo).encode(self._info)

    async def _notify(self, data: bytes, _context: Any) -> bytes:
        status = Codec(RegistrationStatus).decode(data)
        said = "registered" if status.plugin_registered else f"not registered: {status.error}"
        print(f"{self._info.name} {said}", file=sys.stderr, flush=True)  # noqa: T201
        return b""


@contextlib.asynccontextmanager
async def registered(options: Options) -> AsyncIterator[None]:
    """Have a socket among those the kubelet looks at, while in the block."""
    assert options.kubelet is not None
    socket = options.kubelet / "plugins_registry" / f"{options.name}-reg.sock"
    socket.parent.mkdir(parents=True, exist_ok=True)
    socket.unlink(missing_ok=True)
    info = PluginInfo("CSIPlugin", options.name, str(options.socket), ["1.0.0"])
    server = grpc.aio.server(handlers=[Registration(info)])
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    try:
        yield
    finally:
        socket.unlink(missing_ok=True)
        await server.stop(grace=1)
