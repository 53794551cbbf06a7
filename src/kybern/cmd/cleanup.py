"""What `kybern down` takes away while containerd still runs.

In:   a data directory.
Out:  no pod, no pod network, no packet filter table of ours, no mount of a volume.
By:   the supervisor, after control plane and node have stopped. Problems are printed, one a line;
      what can be removed is removed all the same.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kybern.cluster import mounts, prerequisites, shims
from kybern.cluster import settings as settings_file
from kybern.cluster.directory import Directory
from kybern.cmd.containerd import cgroup_version, socket_of
from kybern.cmd.node import endpoint, kubelet_config, network_config
from kybern.ingress import leftovers
from kybern.kubelet.cgroups import Cgroups
from kybern.kubelet.runtime.cri import CriRuntime
from kybern.kubelet.runtime.interface import RuntimeFailure
from kybern.lib.clock import SYSTEM
from kybern.network.cleanup import cleanup
from kybern.proxy import nft, sync

if TYPE_CHECKING:
    from kybern.cluster.settings import Settings

AT_ONCE = 16  # sandboxes stopped at a time


def main() -> None:
    """Clean up after the cluster in the directory given."""
    directory = Directory(Path(sys.argv[1]))
    try:
        settings = settings_file.load(directory.settings)
    except settings_file.SettingsError as error:
        sys.exit(str(error))
    problems = asyncio.run(clean(directory, settings))
    for problem in problems:
        sys.stderr.write(problem + "\n")
    raise SystemExit(1 if problems else 0)


async def clean(directory: Directory, settings: Settings) -> list[str]:
    """Remove everything; return what could not be removed, one sentence each."""
    runtime = endpoint(directory, settings)
    if settings.runtime_endpoint and not prerequisites.listens(runtime):
        problems = [f"no container runtime listens at {runtime}, so its pods stay."]
    else:
        problems = await stop_pods(CriRuntime(runtime, SYSTEM))
        if not settings.runtime_endpoint and not problems:
            shims.end(socket_of(directory.root))
    leftovers.remove(directory.run / "ingress")
    problems += cleanup(network_config(directory, settings))
    try:
        networks = (*settings.balancer_cidrs, *settings.service_cidrs)
        await sync.clean_up(settings.nft_table, *networks)
    except nft.NftError as error:
        problems.append(f"the packet filter table {settings.nft_table} stays: {error}")
    Cgroups(kubelet_config(directory, settings).pods_cgroup, cgroup_version()).remove_all()
    mounts.unmount_below(directory.kubelet)
    return problems + [f"{left} is still mounted." for left in mounts.below(directory.kubelet)]


async def stop_pods(runtime: CriRuntime) -> list[str]:
    """Stop and remove every sandbox with its containers."""
    problems: list[str] = []
    gate = asyncio.Semaphore(AT_ONCE)

    async def remove(sandbox: str) -> None:
        async with gate:
            try:
                await runtime.stop_sandbox(sandbox)
                await runtime.remove_sandbox(sandbox)
            except RuntimeFailure as error:
                problems.append(f"the pod sandbox {sandbox} could not be removed: {error}")

    try:
        await runtime.version()  # after a kill, containerd was started only for us
        async with asyncio.TaskGroup() as group:
            for sandbox in await runtime.sandboxes():
                group.create_task(remove(sandbox.id), name=f"remove {sandbox.id}")
    except RuntimeFailure as error:
        problems.append(f"the container runtime does not answer, so its pods stay: {error}")
    finally:
        await runtime.close()
    return problems


if __name__ == "__main__":
    main()
