"""The control plane of `kybern up`: API server, controllers and scheduler in one process.

In:   a data directory with settings and certificates.
Out:  HTTPS on the port of the settings; controllers and scheduler, which call the API server
      directly instead of over TLS, each as the user it would be anywhere else.
By:   the supervisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kybern.apiserver.app import ApiServer
from kybern.apiserver.config import Config
from kybern.cluster import settings as settings_file
from kybern.cluster.directory import Directory
from kybern.cmd import belonging, encryption, stores
from kybern.cmd.process import Fatal, run
from kybern.lib import logs
from kybern.lib.clock import SYSTEM
from kybern.lib.http.server import serve
from kybern.lib.tasks import Tasks
from kybern.lib.tls import server_context

if TYPE_CHECKING:
    import ssl

    from kybern.cluster.settings import Settings
    from kybern.lib.http.server import Server

log = logs.get("control-plane")

COPIED = 60.0  # seconds after which the garbage collector does no longer wait for the first copies


def main() -> None:
    """Run the control plane of the cluster in the directory given."""
    directory = Directory(Path(sys.argv[1]))
    try:
        settings = settings_file.load(directory.settings)
    except settings_file.SettingsError as error:
        sys.exit(str(error))
    run(lambda: control_plane(directory, settings), "control-plane")


async def control_plane(directory: Directory, settings: Settings) -> None:
    """Serve the API first, then start what depends on it."""
    rules = encryption.rules(settings.encryption_provider_config)
    store = await stores.open_store(place_of(directory, settings), rules)
    pki = directory.pki
    authority = (pki / "ca.crt").read_bytes()
    try:
        belonging.check(store, authority)
        server = ApiServer(api_config(directory, settings), store, SYSTEM)
        context = server_context(pki / "apiserver.crt", pki / "apiserver.key", authority)
        async with Tasks("control plane", clock=SYSTEM) as tasks:
            tasks.spawn_forever(store.run, "store")
            encryption.follow(settings.encryption_provider_config, store, tasks)
            await encryption.start(server)
            listener = await _listen(server, settings, context)
            tasks.spawn_forever(server.run, "apiserver")
            log.info("serving", port=listener.port)
            try:
                async with Tasks("components", clock=SYSTEM) as running:
                    await _start_components(server, directory, settings, running)
                    await asyncio.get_running_loop().create_future()
            finally:
                await server.leave()
                await listener.close()
                await server.close()
    finally:
        await store.close()


def place_of(directory: Directory, settings: Settings) -> stores.Place:
    """Return where the settings say the data is.

    Raises:
        Fatal: they name an etcd in a way that cannot be.
    """
    if settings.store == "sqlite":
        return directory.store
    try:
        return stores.place(settings.store)
    except ValueError as error:
        raise Fatal(f"{error}.") from None


def api_config(directory: Directory, settings: Settings) -> Config:
    """Return the API server's settings."""
    pki = directory.pki
    return Config(
        port=settings.port,
        advertise_address=settings.node_ip,
        service_cidr=settings.service_cidr,
        cluster_domain=settings.cluster_domain,
        issuer=f"https://kubernetes.default.svc.{settings.cluster_domain}",
        service_account_key=(pki / "sa.key").read_bytes(),
        token=settings.token,
        bootstrap_tokens=True,
        kubelet_certificate=pki / "apiserver-kubelet-client.crt",
        kubelet_key=pki / "apiserver-kubelet-client.key",
        kubelet_ca=pki / "ca.crt",
        client_ca=pki / "ca.crt",
        front_proxy_certificate=pki / "front-proxy-client.crt",
        front_proxy_key=pki / "front-proxy-client.key",
        front_proxy_ca=pki / "front-proxy-ca.crt",
        server_lease=settings.lease_duration,
    )


async def _listen(server: ApiServer, settings: Settings, context: ssl.SSLContext) -> Server:
    try:
        return await serve(server.app, "", settings.port, ssl=context)
    except OSError as error:
        raise Fatal(
            f"cannot listen on port {settings.port}: {error.strerror or error}. Stop the program "
            "that uses it, or choose another port with `kybern up --port`."
        ) from None


async def _start_components(
    server: ApiServer, directory: Directory, settings: Settings, tasks: Tasks
) -> None:
    """Start controllers and scheduler; they are imported while the server serves already.

    Their copies of what there is stay for good, and may be millions of objects without a cycle
    among them: the garbage collector does not look at those, neither meanwhile nor later.
    """
    from kybern.cmd.components import Components

    components = Components(server, directory, settings)
    components.start(tasks)
    gc.disable()
    try:
        with contextlib.suppress(TimeoutError):  # then something does not answer, and others work
            async with asyncio.timeout(COPIED):
                await components.wait_copied()
    finally:
        gc.freeze()
        gc.enable()


if __name__ == "__main__":
    main()
