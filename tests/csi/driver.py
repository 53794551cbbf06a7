"""The driver: a process that answers on a socket, and registers with the kubelet on another."""

from __future__ import annotations

import asyncio
import json
import signal
import traceback
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import msgspec

from kybern.csi import messages as m
from kybern.lib.protobuf import Codec
from tests.csi import registrar
from tests.csi.controller import Controller
from tests.csi.failing import Fail, Faults
from tests.csi.node import Node
from tests.csi.options import Options, parse
from tests.csi.state import State

if TYPE_CHECKING:
    from collections.abc import Callable

REQUESTS: dict[str, dict[str, type[msgspec.Struct]]] = {
    "Controller": {
        "CreateVolume": m.CreateVolumeRequest,
        "DeleteVolume": m.DeleteVolumeRequest,
        "ControllerPublishVolume": m.ControllerPublishVolumeRequest,
        "ControllerUnpublishVolume": m.ControllerUnpublishVolumeRequest,
        "ValidateVolumeCapabilities": m.ValidateVolumeCapabilitiesRequest,
        "ListVolumes": m.ListVolumesRequest,
        "GetCapacity": m.GetCapacityRequest,
        "ControllerGetCapabilities": m.Empty,
        "CreateSnapshot": m.CreateSnapshotRequest,
        "DeleteSnapshot": m.DeleteSnapshotRequest,
        "ListSnapshots": m.ListSnapshotsRequest,
        "ControllerExpandVolume": m.ControllerExpandVolumeRequest,
        "ControllerModifyVolume": m.ControllerModifyVolumeRequest,
    },
    "Node": {
        "NodeStageVolume": m.NodeStageVolumeRequest,
        "NodeUnstageVolume": m.NodeUnstageVolumeRequest,
        "NodePublishVolume": m.NodePublishVolumeRequest,
        "NodeUnpublishVolume": m.NodeUnpublishVolumeRequest,
        "NodeGetVolumeStats": m.NodeGetVolumeStatsRequest,
        "NodeExpandVolume": m.NodeExpandVolumeRequest,
        "NodeGetCapabilities": m.Empty,
        "NodeGetInfo": m.Empty,
    },
    "Identity": {"GetPluginInfo": m.Empty, "GetPluginCapabilities": m.Empty, "Probe": m.Empty},
}


class Identity:
    """Answers the calls of csi.v1.Identity."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def get_plugin_info(self, _request: m.Empty) -> m.GetPluginInfoResponse:
        """Say who this is."""
        return m.GetPluginInfoResponse(self._options.name, "1.0.0")

    def get_plugin_capabilities(self, _request: m.Empty) -> m.GetPluginCapabilitiesResponse:
        """Say which services there are."""
        services = [m.PluginService.CONTROLLER_SERVICE] if self._options.controller else []
        if self._options.topology:
            services.append(m.PluginService.VOLUME_ACCESSIBILITY_CONSTRAINTS)
        can = [m.PluginCapability(m.ServiceType(service)) for service in services]
        can.append(m.PluginCapability(None, m.ExpansionType(m.Expansion.ONLINE)))
        return m.GetPluginCapabilitiesResponse(can)

    def probe(self, _request: m.Empty) -> m.ProbeResponse:
        """Say that all is well."""
        return m.ProbeResponse(m.BoolValue(value=True))


class Calls(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Leads each call to its method, in a thread; goes wrong as tests want it, and writes down."""

    def __init__(self, options: Options) -> None:
        state = State(options.data)
        self._options = options
        self._faults = Faults(options.faults)
        self._busy: set[str] = set()
        self._services: dict[str, object] = {"Identity": Identity(options)}
        if options.controller:
            self._services["Controller"] = Controller(options, state)
        if options.node:
            self._services["Node"] = Node(options, state)

    def service(self, details: Any) -> grpc.RpcMethodHandler | None:
        """Return what answers a method; None when there is nothing."""
        package, _, name = details.method.strip("/").partition("/")
        service = package.removeprefix("csi.v1.")
        request = REQUESTS.get(service, {}).get(name)
        answer = getattr(self._services.get(service), _snake(name), None)
        if request is None or answer is None:
            return None
        return grpc.unary_unary_rpc_method_handler(self._behaviour(name, request, answer))

    def _behaviour(
        self, name: str, kind: type[msgspec.Struct], answer: Callable[[Any], msgspec.Struct]
    ) -> Callable[[bytes, Any], Any]:
        async def behave(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
            request = Codec(kind).decode(data)
            fault = self._faults.of(name)
            code, what = "", _what(name, request)
            try:
                if what in self._busy:
                    what, text = "nothing", f"an operation with {what} is under way"
                    raise Fail("ABORTED", text)
                self._busy.add(what)
                await asyncio.sleep(float(str(fault.get("delay", 0))))
                failure = Fail(str(fault["code"]), str(fault.get("message", "as told"))) if (
                    "code" in fault
                ) else None  # fmt: skip
                if failure is not None and not fault.get("after"):
                    raise failure
                result = await asyncio.to_thread(answer, request)
                if failure is not None:
                    raise failure
                return Codec(type(result)).encode(result)
            except Fail as fail:
                code = fail.code
                await context.abort(grpc.StatusCode[code], str(fail))
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller has to hear of it
                traceback.print_exc()
                code = "INTERNAL"
                await context.abort(grpc.StatusCode.INTERNAL, repr(error))
            finally:
                self._busy.discard(what)
                self._write_down(name, request, code)
            return b""

        return behave

    def _write_down(self, name: str, request: msgspec.Struct, code: str) -> None:
        entry = {"method": name, "request": msgspec.to_builtins(request), "code": code}
        with self._options.calls.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(entry) + "\n")


def _what(method: str, request: msgspec.Struct) -> str:
    """Return what a call of the controller service works on; as is usual, one call at a time."""
    if method in ("CreateVolume", "CreateSnapshot"):
        return f"{method[6:]} {getattr(request, 'name', '')}"
    if method in ("DeleteVolume", "DeleteSnapshot"):
        handle = getattr(request, "volume_id", "") or getattr(request, "snapshot_id", "")
        return f"{method[6:]} {handle.partition('-')[2]}"
    return f"a call {id(request)}"


async def serve(options: Options) -> None:
    """Answer until told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = grpc.aio.server(handlers=[Calls(options)])
    options.socket.parent.mkdir(parents=True, exist_ok=True)
    options.socket.unlink(missing_ok=True)
    server.add_insecure_port(f"unix:{options.socket}")
    await server.start()
    if options.kubelet is not None and options.node:
        async with registrar.registered(options):
            await stop.wait()
    else:
        await stop.wait()
    await server.stop(grace=1)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


if __name__ == "__main__":
    asyncio.run(serve(parse()))
