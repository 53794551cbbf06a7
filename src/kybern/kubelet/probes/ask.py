"""Asking a container once how it is.

In:   a Probe, the container it belongs to, where its pod is.
Out:  an Answer: healthy or not, and what was said.
By:   probes/act.py.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from kybern.kubelet.pods.restarts import spoken
from kybern.kubelet.probes import http
from kybern.kubelet.probes.plan import patience
from kybern.kubelet.runtime.interface import RuntimeFailure

if TYPE_CHECKING:
    from kybern.api.core.v1 import GRPCAction, HTTPGetAction, Probe
    from kybern.kubelet.pods.specs import AnyContainer
    from kybern.kubelet.runtime.interface import Runtime

USER_AGENT = "kube-probe/1.36"
OUTPUT_MAX = 10 << 10
GRPC_METHOD = "/grpc.health.v1.Health/Check"
GRPC_STATES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
SERVING = 1


class Answer(NamedTuple):
    """What came of asking. `error`: the question itself could not be put."""

    healthy: bool
    said: str = ""
    error: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A container that runs."""

    spec: AnyContainer
    container_id: str
    pod_ip: str


async def ask(probe: Probe, target: Target, runtime: Runtime) -> Answer:
    """Put a probe's question once."""
    seconds = patience(probe)
    if probe.exec is not None:
        return await _by_command(probe.exec.command or [], target, seconds, runtime)
    try:
        if probe.httpGet is not None:
            return await _by_http(probe.httpGet, target, seconds)
        if probe.tcpSocket is not None:
            port = port_number(probe.tcpSocket.port, target.spec)
            return await _by_tcp(probe.tcpSocket.host or target.pod_ip, port, seconds)
    except LookupError as error:
        return Answer(False, str(error.args[0]), error=True)
    if probe.grpc is not None:
        return await _by_grpc(probe.grpc, target.pod_ip, seconds)
    return Answer(False, f"missing probe handler for {target.spec.name}", error=True)


def port_number(port: int | str, container: AnyContainer) -> int:
    """Return a port given as a number, or by its name in the container.

    Raises:
        LookupError: the container has no port of this name.
    """
    if isinstance(port, int) or port.isdigit():
        return int(port)
    for candidate in container.ports or ():
        if candidate.name == port:
            return candidate.containerPort
    raise LookupError(f'couldn\'t find port: "{port}" in container {container.name}')


async def _by_http(action: HTTPGetAction, target: Target, seconds: float) -> Answer:
    address = http.address_of(action, target.pod_ip, port_number(action.port, target.spec))
    try:
        status = await http.get(address, action.httpHeaders or (), USER_AGENT, seconds)
    except http.Unanswered as why:
        return Answer(False, str(why))
    if 200 <= status < 400:
        return Answer(True)
    return Answer(False, f"HTTP probe failed with statuscode: {status}")


async def _by_tcp(host: str, port: int, seconds: float) -> Answer:
    try:
        async with asyncio.timeout(seconds):
            _, writer = await http.connect(host, port)
    except TimeoutError:
        return Answer(False, f"dial tcp {host}:{port}: i/o timeout")
    except http.Unanswered as why:
        return Answer(False, str(why))
    writer.close()
    return Answer(True)


async def _by_command(
    command: list[str], target: Target, seconds: float, runtime: Runtime
) -> Answer:
    try:
        done = await runtime.exec_sync(target.container_id, command, max(1, int(seconds)))
    except RuntimeFailure as failure:
        if failure.code == "DEADLINE_EXCEEDED":
            quoted = " ".join(command).replace('"', '\\"')
            return Answer(False, f'command timed out: "{quoted}" timed out after {spoken(seconds)}')
        return Answer(False, failure.described, error=True)
    if done.exit_code == 0:
        return Answer(True)
    output = (done.stdout + done.stderr)[:OUTPUT_MAX]
    return Answer(False, output.decode(errors="replace"))


async def _by_grpc(action: GRPCAction, host: str, seconds: float) -> Answer:
    import grpc.aio

    where = f"{host}:{action.port}"
    request = _health_request(action.service or "")
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.primary_user_agent", USER_AGENT))
    async with grpc.aio.insecure_channel(where, options=options) as channel:
        call = channel.unary_unary(GRPC_METHOD, None, None)
        try:
            state = _serving_state(await call(request, timeout=seconds, wait_for_ready=True))
        except grpc.aio.AioRpcError as error:
            return Answer(False, _grpc_trouble(error.code().name, error.details(), where, seconds))
    if state == SERVING:
        return Answer(True)
    return Answer(
        False, f'service unhealthy (responded with "{GRPC_STATES.get(state, "UNKNOWN")}")'
    )


def _health_request(service: str) -> bytes:
    """Return a HealthCheckRequest: the service's name as field 1."""
    name = service.encode()
    if not name:
        return b""
    size = (
        bytes((len(name),)) if len(name) < 128 else bytes((len(name) & 127 | 128, len(name) >> 7))
    )
    return b"\x0a" + size + name


def _serving_state(answer: bytes) -> int:
    """Return field 1 of a HealthCheckResponse."""
    return answer[1] if len(answer) >= 2 and answer[0] == 0x08 else 0


def _grpc_trouble(code: str, details: str | None, where: str, seconds: float) -> str:
    if code == "DEADLINE_EXCEEDED":
        return f'timeout: failed to connect service "{where}" within {spoken(seconds)}'
    if code == "UNIMPLEMENTED":
        return (
            f"error: this server does not implement the grpc health protocol "
            f"(grpc.health.v1.Health): {details}"
        )
    if code == "NOT_FOUND":
        return 'service unhealthy (responded with "NOT_FOUND")'
    return f"error: health rpc probe failed: {details}"
