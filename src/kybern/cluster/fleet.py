"""The further nodes on this machine: each with a directory, a network and processes of its own.

In:   the cluster's directory and settings.
Out:  directories below `nodes/`, written so that each could as well be on another machine;
      supervisors that run in the nodes' network namespaces.
By:   the verbs `up`, `down`, `status` and `image`.

The first node is the cluster's own directory and is not counted here.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

from kybern.cluster import (
    certificates,
    kubeconfigs,
    mounts,
    prerequisites,
    processes,
    programs,
    wires,
)
from kybern.cluster import settings as settings_file
from kybern.cluster.directory import Directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from kybern.cluster.settings import Settings

NAME_MAX = 63


def directory_of(cluster: Directory, index: int) -> Directory:
    """Return the directory of a further node."""
    return Directory(cluster.nodes / str(index))


def indexes(cluster: Directory) -> list[int]:
    """Return the numbers of the further nodes that have a directory."""
    try:
        return sorted(
            int(place.name) for place in cluster.nodes.iterdir() if place.name.isdecimal()
        )
    except FileNotFoundError:
        return []


def members(cluster: Directory) -> list[Directory]:
    """Return the directories of the further nodes."""
    return [directory_of(cluster, index) for index in indexes(cluster)]


def surplus(cluster: Directory, chosen: Settings) -> list[int]:
    """Return the numbers of the nodes that have a directory and should not."""
    return [index for index in indexes(cluster) if index > chosen.nodes]


def names(cluster: Directory, chosen: Settings) -> list[str]:
    """Return the names of all nodes on this machine, the first one's included."""
    further = range(2, chosen.nodes + 1)
    return [
        chosen.node_name, *(node_settings(cluster, chosen, i).node_name for i in further),
    ]  # fmt: skip


def logs_of(cluster: Directory, chosen: Settings, name: str) -> Path:
    """Return where the programs of a node log."""
    for index in indexes(cluster):
        if node_settings(cluster, chosen, index).node_name == name:
            return directory_of(cluster, index).logs
    return cluster.logs


def node_settings(cluster: Directory, chosen: Settings, index: int) -> Settings:
    """Return the settings of a further node."""
    suffix = f"-{index}"
    return msgspec.structs.replace(
        chosen,
        data_dir=str(directory_of(cluster, index).root),
        index=index,
        token="",
        node_name=chosen.node_name[: NAME_MAX - len(suffix)].rstrip("-.") + suffix,
        node_ip=wires.addresses(chosen, index)[0],
        node_ip6="".join(wires.addresses(chosen, index)[1:]),
        netns=wires.namespace(chosen, index),
        api_server=f"https://{chosen.gateway}:{chosen.port}",
        dns_port=10053,
        kubelet_port=10250,
    )


def prepare(cluster: Directory, chosen: Settings) -> None:
    """Write what the further nodes need, and lay their cables.

    Raises:
        OSError, certificates.DamagedError: it cannot be.
    """
    further = range(2, chosen.nodes + 1)
    if not further:
        return
    for index in further:
        directory, settings = directory_of(cluster, index), node_settings(cluster, chosen, index)
        directory.make()
        settings_file.save(settings, directory.settings)
        certificates.ensure_node(directory, settings, cluster)
        kubeconfigs.write(directory, settings)
    wires.lay(chosen, list(further))


def start(cluster: Directory, chosen: Settings) -> list[str]:
    """Start the further nodes that do not run; return their names.

    Raises:
        processes.StartError: one did not start.
    """
    started = []
    for index in range(2, chosen.nodes + 1):
        directory = directory_of(cluster, index)
        if processes.find(directory) is None:
            settings = settings_file.load(directory.settings)
            processes.start(directory, *programs.of(directory, settings), within(settings))
            started.append(settings.node_name)
    return started


def within(settings: Settings) -> tuple[str, ...]:
    """Return the words that run a command in a node's network, under the node's name."""
    if not settings.netns:
        return ()
    script = 'echo "$0" > /proc/sys/kernel/hostname && exec "$@"'
    return (
        prerequisites.find("nsenter") or "nsenter", f"--net=/run/netns/{settings.netns}",
        prerequisites.find("unshare") or "unshare", "--uts", "sh", "-c", script, settings.node_name,
    )  # fmt: skip


def stop(directories: Iterable[Directory]) -> bool:
    """Stop nodes and clusters, all at the same time, with what is left of killed ones.

    Returns:
        Whether there was anything to stop.

    Raises:
        processes.StartError, processes.StopTimeoutError: one did not.
    """
    return any(_each(_stop, directories))


def stop_all(cluster: Directory, chosen: Settings) -> tuple[bool, list[str]]:
    """Stop a cluster with all its nodes here, and take down what joined them.

    Returns:
        Whether there was anything to stop, and a sentence for each thing that stays.

    Raises:
        processes.StartError, processes.StopTimeoutError: one did not stop.
    """
    stopped = stop([*members(cluster), cluster])
    return stopped, cut(cluster, chosen)


def remove(cluster: Directory, chosen: Settings, gone: list[int]) -> list[str]:
    """Stop further nodes and remove everything of them but their Node objects.

    Returns:
        A sentence for each thing that stays.
    """
    directories = [directory_of(cluster, index) for index in gone]
    stop(directories)
    problems = []
    for index, directory in zip(gone, directories, strict=True):
        problems += wires.cut(chosen, index)
        mounts.unmount_below(directory.root)
        if left := mounts.below(directory.root):
            problems.append(f"{left[0]} is still mounted.")
        else:
            shutil.rmtree(directory.root)
    return problems


def cut(cluster: Directory, chosen: Settings) -> list[str]:
    """Take down what joined the nodes; return a sentence for each thing that stays."""
    if not cluster.nodes.is_dir():
        return []
    problems = [p for index in indexes(cluster) for p in wires.cut(chosen, index)]
    return problems + wires.remove(chosen)


def _stop(directory: Directory) -> bool:
    if processes.find(directory) is not None:
        return processes.stop(directory)
    if not (directory.state.exists() and directory.settings.exists()):
        return False
    settings = settings_file.load(directory.settings)
    if settings.control_plane_only:
        return False
    # It was killed, which leaves containers, network and packet filter as they were.
    if settings.netns:
        wires.lay(settings, [settings.index])  # a reboot leaves no namespace
    processes.clean_up(directory, *programs.to_clean_up(directory, settings), within(settings))
    return True


def _each(act: Callable[[Directory], bool], directories: Iterable[Directory]) -> list[bool]:
    wanted = list(directories)
    with ThreadPoolExecutor(len(wanted) or 1) as threads:
        return list(threads.map(act, wanted))
