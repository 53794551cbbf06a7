"""The kubelet's HTTPS server: who may ask, and where each path leads.

In:   requests of the API server, which shows a client certificate of the cluster's authority.
Out:  logs, streams, the list of pods, statistics, health.
By:   the agent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from kybern.api import codec, errors
from kybern.api.core.v1 import PodList
from kybern.kubelet.pods.names import log_directory_name
from kybern.kubelet.pods.status import status_of
from kybern.kubelet.pods.view import State
from kybern.kubelet.runtime.interface import RuntimeFailure
from kybern.kubelet.runtime.messages import service as v
from kybern.kubelet.server import exec as streaming
from kybern.kubelet.server import local_volumes, ports, stats, volume_metrics
from kybern.kubelet.server.log_lines import BadLogOptions, parse_options
from kybern.kubelet.server.logs import LogReader
from kybern.lib import logs
from kybern.lib.http.messages import Response, StreamResponse
from kybern.lib.http.server import serve
from kybern.lib.metrics import REGISTRY
from kybern.lib.pki import PkiError, parse_identity
from kybern.lib.tls import server_context

if TYPE_CHECKING:
    import ssl

    from kybern.kubelet.config import KubeletConfig
    from kybern.kubelet.csi.side import CsiSide
    from kybern.kubelet.pods.roster import Roster
    from kybern.kubelet.pods.view import ContainerView
    from kybern.kubelet.pods.worker import PodWorker
    from kybern.kubelet.runtime.interface import Runtime
    from kybern.kubelet.volumes.local_images import LocalVolumes
    from kybern.lib.clock import Clock
    from kybern.lib.http.messages import AnyResponse, Request
    from kybern.lib.http.server import Server

log = logs.get("kubelet.server")
MASTERS = "system:masters"
TEXT = "text/plain; charset=utf-8"
METRICS = "text/plain; version=0.0.4; charset=utf-8"


class Refused(Exception):
    """A request which is answered with an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class KubeletServer:
    """Answers requests about this node's pods."""

    def __init__(
        self,
        config: KubeletConfig,
        roster: Roster,
        runtime: Runtime,
        clock: Clock,
        local_volumes: LocalVolumes,
        csi: CsiSide,
    ) -> None:
        self._config = config
        self._local_volumes = local_volumes
        self._csi = csi
        self._roster = roster
        self._runtime = runtime
        self._clock = clock
        self._server: Server | None = None
        self._allowed: dict[bytes, bool] = {}

    async def start(self) -> int:
        """Listen, and return the port.

        Raises:
            OSError: the port is taken.
        """
        config = self._config
        self._server = await serve(
            self.answer, config.bind_address, config.port, ssl=self._tls(), head_limit=64 << 10
        )
        return self._server.port

    async def close(self) -> None:
        """Stop listening; streams are broken off."""
        if self._server is not None:
            await self._server.close(grace=0.5)

    async def answer(self, request: Request) -> AnyResponse:
        """Answer one request."""
        try:
            if request.path in ("/healthz", "/livez", "/readyz"):
                return Response(200, b"ok", TEXT)
            self._check_caller(request)
            return await self._route(request)
        except Refused as refused:
            return Response(refused.status, f"{refused}".encode(), TEXT)
        except RuntimeFailure as failure:
            return Response(500, failure.described.encode(), TEXT)

    def _tls(self) -> ssl.SSLContext | None:
        config = self._config
        if config.tls_cert is None or config.tls_key is None:
            return None
        authority = config.client_ca.read_bytes() if config.client_ca is not None else None
        return server_context(config.tls_cert, config.tls_key, authority)

    def _check_caller(self, request: Request) -> None:
        if self._config.client_ca is None:
            raise Refused(401, "Unauthorized: this kubelet knows no authority for its clients")
        certificate = request.peer_certificate
        if certificate is None:
            raise Refused(401, "Unauthorized")
        allowed = self._allowed.get(certificate)
        if allowed is None:
            if len(self._allowed) > 100:
                self._allowed.clear()
            allowed = self._allowed[certificate] = self._may_ask(certificate)
        if not allowed:
            raise Refused(403, "Forbidden")

    def _may_ask(self, certificate: bytes) -> bool:
        try:
            name, groups = parse_identity(certificate)
        except PkiError:
            return False
        return MASTERS in groups or name in self._config.allowed_clients

    async def _route(self, request: Request) -> AnyResponse:
        parts = [unquote(part) for part in request.path.strip("/").split("/")]
        match parts:
            case ["containerLogs", namespace, pod, container]:
                return self._logs(request, namespace, pod, container)
            case ["exec", namespace, pod, container]:
                return await self._exec(request, namespace, pod, container)
            case ["exec", namespace, pod, _, container]:
                return await self._exec(request, namespace, pod, container)
            case ["attach", namespace, pod, container]:
                return await self._attach(request, namespace, pod, container)
            case ["attach", namespace, pod, _, container]:
                return await self._attach(request, namespace, pod, container)
            case ["portForward", namespace, pod] | ["portForward", namespace, pod, _]:
                return await self._port_forward(request, namespace, pod)
            case ["pods"] | ["runningpods"]:
                return Response(200, codec.encode(PodList(items=self._roster.pods())))
            case ["stats", "summary"]:
                return Response(200, await self._stats())
            case ["metrics"]:
                return Response(200, await self._metrics(), METRICS)
            case ["localVolumes", name]:
                return await local_volumes.answer(request, self._local_volumes, name)
            case ["csi", driver, service, method]:
                return await self._csi.forwarding.answer(request, driver, service, method)
        raise Refused(404, "404 page not found")

    async def _stats(self) -> bytes:
        volumes = self._csi.volumes.usage
        return await stats.summary(self._config, self._roster, self._runtime, volumes)

    async def _metrics(self) -> bytes:
        uids = [worker.record.uid for worker in self._roster.workers()]
        await volume_metrics.update(self._csi.volumes, uids)
        return REGISTRY.expose()

    # --- logs

    def _logs(self, request: Request, namespace: str, pod: str, container: str) -> AnyResponse:
        worker = self._pod(namespace, pod)
        try:
            options = parse_options(request.params, self._clock.now())
        except BadLogOptions as bad:
            raise Refused(400, str(bad)) from None
        view = self._container(worker, container, previous=options.previous)
        record = worker.record
        directory = self._config.logs_dir / log_directory_name(namespace, pod, record.uid)
        path = directory / container / f"{view.restarts}.log"
        if not path.exists():
            raise Refused(404, f"the log of container {container!r} in pod {pod!r} is gone")
        reader = LogReader(path, options)

        def still_runs() -> bool:
            found = next((c for c in worker.record.view.containers if c.id == view.id), None)
            return found is not None and found.state in (State.RUNNING, State.CREATED)

        return StreamResponse(200, reader.chunks(still_runs, worker.watch), TEXT)

    def _container(self, worker: PodWorker, name: str, *, previous: bool) -> ContainerView:
        record = worker.record
        current = record.view.latest(name)
        if previous:
            last = record.view.previous(current) if current is not None else None
            held = record.held.get(name)
            if last is None and current is not None and held is not None:
                last = current if current.state is State.EXITED else None
            if last is None:
                raise Refused(
                    400,
                    f'previous terminated container "{name}" in pod "{record.name}" not found',
                )
            return last
        if current is None:
            raise Refused(400, _why_waiting(worker, name))
        return current

    # --- streams

    async def _exec(
        self, request: Request, namespace: str, pod: str, container: str
    ) -> AnyResponse:
        container_id = self._running(namespace, pod, container)
        streams = _streams(request)
        command = request.params.get("command", [])
        if not command:
            raise Refused(400, "you must specify at least 1 command for the container")
        url = await self._runtime.exec_url(
            v.ExecRequest(
                container_id, command, streams.tty, streams.stdin, streams.stdout,
                streams.stderr and not streams.tty,
            )
        )  # fmt: skip
        return await streaming.into_container(request, url, streams)

    async def _attach(
        self, request: Request, namespace: str, pod: str, container: str
    ) -> AnyResponse:
        view = self._view(namespace, pod, container)
        if view is None:
            raise Refused(404, f"container {container} not found in pod {pod}_{namespace}")
        streams = _streams(request)
        url = await self._runtime.attach_url(
            v.AttachRequest(
                view.id, streams.stdin, streams.tty, streams.stdout,
                streams.stderr and not streams.tty,
            )
        )  # fmt: skip
        return await streaming.into_container(request, url, streams)

    async def _port_forward(self, request: Request, namespace: str, pod: str) -> AnyResponse:
        sandbox = self._pod(namespace, pod).record.view.sandbox
        if sandbox is None or not sandbox.ready:
            raise Refused(404, f'pod "{pod}" has no network')
        url = await self._runtime.port_forward_url(sandbox.id)
        return await ports.forward_ports(request, url)

    # --- finding

    def _pod(self, namespace: str, name: str) -> PodWorker:
        worker = self._roster.find(namespace, name)
        if worker is None:
            raise Refused(404, f'pod "{name}" not found')
        return worker

    def _running(self, namespace: str, pod: str, container: str) -> str:
        view = self._view(namespace, pod, container)
        if view is None:
            raise Refused(404, f'container not found ("{container}")')
        return view.id

    def _view(self, namespace: str, pod: str, container: str) -> ContainerView | None:
        """Return a container if it runs."""
        view = self._pod(namespace, pod).record.view.latest(container)
        return view if view is not None and view.state is State.RUNNING else None


def _why_waiting(worker: PodWorker, name: str) -> str:
    record = worker.record
    status = status_of(worker.status, name) if worker.status is not None else None
    waiting = status.state.waiting if status is not None and status.state is not None else None
    reason = (waiting.reason if waiting is not None else None) or "ContainerCreating"
    if reason in ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"):
        reason = "trying and failing to pull image"
    return f'container "{name}" in pod "{record.name}" is waiting to start: {reason}'


def _status(error: errors.ApiError) -> Response:
    return Response(error.code, codec.encode(error.status()))


def _streams(request: Request) -> streaming.Streams:
    def asked(*names: str) -> bool:
        return any(request.param(name).lower() in ("1", "true") for name in names)

    streams = streaming.Streams(
        asked("input", "stdin"), asked("output", "stdout"), asked("error", "stderr"), asked("tty")
    )
    if not (streams.stdin or streams.stdout or streams.stderr):
        raise Refused(400, "you must specify at least 1 of stdin, stdout, stderr")
    return streams
