"""A containerd of its own for tests: private directories, and nothing left afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kybern.cmd import containerd
from kybern.kubelet import images
from kybern.kubelet.cgroups import Cgroups
from kybern.kubelet.config import KubeletConfig
from kybern.kubelet.volumes import mounts
from kybern.network import cleanup, cni
from kybern.network.config import NetworkConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSYBOX = Path("/usr/bin/busybox")
BUSYBOX_IMAGE = "docker.io/library/busybox:test"


def why_not() -> str:
    """Return why no containerd can run here; "" when one can."""
    problems = containerd.inspect_machine(Path("/tmp")).problems()
    if problems:
        return problems[0]
    return "" if BUSYBOX.exists() else "busybox-static is not installed"


def busybox_recipe(name: str = BUSYBOX_IMAGE, user: str = "") -> images.ImageRecipe:
    """Return a small image with a shell."""
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True)
    files = {"bin/busybox": images.File(BUSYBOX.read_bytes(), 0o755)}
    for applet in applets.stdout.split():
        files.setdefault(f"bin/{applet}", images.File(link="busybox"))
    files["etc/passwd"] = images.File(
        b"root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"
    )
    files["etc/group"] = images.File(b"root:x:0:\nnogroup:x:65534:\n")
    files["tmp"] = images.File(directory=True, mode=0o1777)
    return images.ImageRecipe(name, files, command=("sh",), user=user)


@contextlib.contextmanager
def running(number: int) -> Iterator[tuple[Path, containerd.Containerd, NetworkConfig]]:
    """Run a containerd; `number` keeps networks of tests which run at the same time apart."""
    directory = Path(tempfile.mkdtemp(prefix="kybern-test-"))
    machine = containerd.inspect_machine(directory)
    network = NetworkConfig(
        directory,
        bridge=f"kbtest{number}",
        pod_cidr=f"10.199.{number}.0/24",
        cluster_cidr="10.199.0.0/16",
        cni_bin_dir=Path(machine.cni_bin_dir),
    )
    cni.prepare(network)
    cni.configure(network)
    made = containerd.configure(directory, machine)
    log = (directory / "containerd.log").open("wb")
    process = subprocess.Popen(made.prepare(), stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 20
        while not containerd.answers(directory):
            assert process.poll() is None, (directory / "containerd.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield directory, made, network
    finally:
        _kill_shims(made)
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        log.close()
        cleanup.cleanup(network)
        for group in ("/kybern-contract", KubeletConfig("one", directory, "").pods_cgroup):
            Cgroups(group, containerd.cgroup_version()).remove_all()
        mounts.unmount_below(str(directory))
        shutil.rmtree(directory, ignore_errors=True)


def _kill_shims(made: containerd.Containerd) -> None:
    """End every container by ending its shim's processes; ours are those with our socket."""
    needle = os.fsencode(made.socket)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes()
            if b"containerd-shim" in command and needle in command:
                children = (entry / "task" / entry.name / "children").read_text().split()
                for child in children:
                    os.kill(int(child), signal.SIGKILL)
                os.kill(int(entry.name), signal.SIGKILL)
