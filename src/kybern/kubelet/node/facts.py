"""What this machine is.

In:   /proc, /sys, /etc, the kernel's routing.
Out:  Machine, plain values.
By:   registration.py, the agent. Read once; what changes is read again for each report.
"""

from __future__ import annotations

import os
import platform
import socket
from dataclasses import dataclass
from pathlib import Path

PROC, SYS = Path("/proc"), Path("/sys")
GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le", "s390x": "s390x"}
# Nobody has to be there: connecting a datagram socket only asks the kernel for its route.
SOMEWHERE = ("192.0.2.1", 9)


@dataclass(frozen=True, slots=True)
class Machine:
    """This machine.

    Attributes:
        host_name: as the kernel has it.
        address: the address on the way out; "" when there is none.
        cpus: how many processors may be used.
        memory: bytes.
        disk: bytes of the file system with the pods' files.
        inodes: of the same.
        huge_pages: bytes set aside, by page size as resources spell it (`2Mi`).
        swap: bytes.
        architecture: as Go spells it.
        kernel: version.
        os_image: the distribution's name for itself.
        machine_id: from /etc/machine-id.
        system_uuid: of the hardware, or the machine id.
        boot_id: new with every boot.
    """

    host_name: str
    address: str
    cpus: int
    memory: int
    disk: int
    inodes: int
    huge_pages: dict[str, int]
    swap: int
    architecture: str
    kernel: str
    os_image: str
    machine_id: str
    system_uuid: str
    boot_id: str


def read_machine(data_dir: Path) -> Machine:
    """Find out what this machine is."""
    meminfo = _meminfo()
    machine_id = _text(Path("/etc/machine-id"))
    disk = os.statvfs(_existing(data_dir))
    return Machine(
        host_name=socket.gethostname().lower(),
        address=own_address(),
        cpus=len(os.sched_getaffinity(0)),
        memory=meminfo.get("MemTotal", 0),
        disk=disk.f_blocks * disk.f_frsize,
        inodes=disk.f_files,
        huge_pages=_huge_pages(),
        swap=meminfo.get("SwapTotal", 0),
        architecture=GO_ARCHITECTURES.get(platform.machine(), platform.machine()),
        kernel=platform.release(),
        os_image=_os_image(),
        machine_id=machine_id,
        system_uuid=_text(SYS / "class/dmi/id/product_uuid") or machine_id,
        boot_id=_text(PROC / "sys/kernel/random/boot_id"),
    )


def own_address() -> str:
    """Return the address this machine uses towards others; "" when it has no way out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(SOMEWHERE)
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def memory_available() -> int:
    """Return the bytes of memory that could be had without swapping."""
    return _meminfo().get("MemAvailable", 0)


def processes() -> tuple[int, int]:
    """Return how many processes and threads there are, and how many there can be."""
    now = int(_text(PROC / "loadavg").split()[3].split("/")[1])
    limit = int(_text(PROC / "sys/kernel/pid_max") or "0")
    return now, limit


def disk_available(directory: Path) -> tuple[int, int, int, int]:
    """Return bytes free and in all, inodes free and in all, of the file system of a directory."""
    disk = os.statvfs(_existing(directory))
    return (
        disk.f_bavail * disk.f_frsize,
        disk.f_blocks * disk.f_frsize,
        disk.f_favail,
        disk.f_files,
    )


def _existing(directory: Path) -> Path:
    while not directory.exists():
        directory = directory.parent
    return directory


def _meminfo() -> dict[str, int]:
    found = {}
    for line in (PROC / "meminfo").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words:
            found[name] = int(words[0]) * (1024 if len(words) > 1 else 1)
    return found


def _huge_pages() -> dict[str, int]:
    found = {}
    top = SYS / "kernel/mm/hugepages"
    for directory in sorted(top.glob("hugepages-*kB")) if top.is_dir() else ():
        kilobytes = int(directory.name.removeprefix("hugepages-").removesuffix("kB"))
        count = int(_text(directory / "nr_hugepages") or "0")
        size = f"{kilobytes >> 20}Gi" if kilobytes >= 1 << 20 else f"{kilobytes >> 10}Mi"
        found[size] = count * kilobytes * 1024
    return found


def _os_image() -> str:
    for line in _text(Path("/etc/os-release")).splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip().strip('"')
    return platform.system()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
