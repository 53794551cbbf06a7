"""A containerd of our own: found out what the machine offers, configured, started, supervised.

In:   the data directory, and what `inspect_machine` found.
Out:  a configuration file with private root, state and socket, and the command line that uses it.
By:   the supervisor runs it as a program, which becomes containerd; others ask where the socket is.

The machine's own containerd, when there is one, is never touched: nothing is shared but the
programs themselves and the kernel.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from kybern.kubelet.volumes import mounts

SANDBOX_IMAGE = "kybern.local/pause:1"
CNI_BIN_DIRS = ("/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni")
CNI_PLUGINS = ("bridge", "host-local", "loopback")
CAP_SYS_RESOURCE = 24
# sun_path holds 108 bytes; the shims' socket is this one's name plus ".ttrpc".
SOCKET_PATH_MAX = 100
DISABLED = (
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.internal.v1.opt",
    "io.containerd.internal.v1.tracing",
    "io.containerd.tracing.processor.v1.otlp",
)


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine offers to containers.

    Attributes:
        root: the user is root.
        cgroup_version: 1 (also for hybrid mounts) or 2.
        systemd: systemd is process 1.
        oom_score_lowerable: CAP_SYS_RESOURCE is there, so that oom_score_adj may go down.
        overlay: an overlay file system can be mounted in the data directory.
        programs: path by name, of containerd, runc and ctr; "" when missing.
        cni_bin_dir: where the CNI plugins are; "" when they are missing.
    """

    root: bool
    cgroup_version: int
    systemd: bool
    oom_score_lowerable: bool
    overlay: bool
    programs: dict[str, str]
    cni_bin_dir: str

    def problems(self) -> list[str]:
        """Return one sentence for each thing without which no container can run."""
        found = []
        if not self.root:
            found.append(
                "Running containers needs root: run the same command with sudo, or add "
                "--control-plane-only for a cluster without a node."
            )
        for name in ("containerd", "runc"):
            if not self.programs.get(name):
                found.append(
                    f"{name} is not installed: run `apt-get install {name}`, or give the socket "
                    "of a running container runtime with --runtime-endpoint."
                )
        if not self.cni_bin_dir:
            found.append(
                f"The CNI plugins ({', '.join(CNI_PLUGINS)}) are not in any of "
                f"{', '.join(CNI_BIN_DIRS)}: run `apt-get install containernetworking-plugins`."
            )
        return found


def inspect_machine(data_dir: Path) -> Machine:
    """Find out what this machine offers. The data directory is created when it is missing."""
    root = os.geteuid() == 0
    if root:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o711)
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
    return Machine(
        root=root,
        cgroup_version=cgroup_version(),
        systemd=Path("/run/systemd/system").is_dir(),
        oom_score_lowerable=_has_capability(CAP_SYS_RESOURCE),
        overlay=root and overlay_works(data_dir),
        programs={n: shutil.which(n, path=path) or "" for n in ("containerd", "runc", "ctr")},
        cni_bin_dir=next((d for d in CNI_BIN_DIRS if _has_plugins(Path(d))), ""),
    )


def cgroup_version(mount_point: Path = Path("/sys/fs/cgroup")) -> int:
    """Return 2 when the unified hierarchy is the one mounted, else 1."""
    return 2 if (mount_point / "cgroup.controllers").exists() else 1


def overlay_works(directory: Path) -> bool:
    """Say whether an overlay can be mounted on this file system, by mounting one."""
    with tempfile.TemporaryDirectory(dir=directory, prefix=".overlay-") as scratch:
        parts = [os.path.join(scratch, n) for n in ("lower1", "lower2", "upper", "work", "merged")]
        for part in parts:
            os.mkdir(part)
        options = f"lowerdir={parts[1]}:{parts[0]},upperdir={parts[2]},workdir={parts[3]}"
        try:
            mounts.mount("overlay", parts[4], "overlay", 0, options)
        except OSError:
            return False
        mounts.unmount(parts[4], lazily=False)
        return True


@dataclass(frozen=True, slots=True)
class Containerd:
    """One containerd: where it lives and how it is set up.

    Attributes:
        directory: everything of it is below, except the socket when the path would be too long.
        program: the containerd binary.
        runc: the OCI runtime binary.
        ctr: the command-line client, used to import archives; "" when missing.
        snapshotter: `overlayfs`, or `native` (copies) where there is no overlay.
        systemd_cgroup: containers' cgroups are made by systemd instead of directly.
        restrict_oom_score_adj: never ask for a lower oom_score_adj than our own.
        cni_bin_dir: where the CNI plugins are.
        cni_conf_dir: where the network configuration is.
        sandbox_image: the image of the process which holds a pod's namespaces.
    """

    directory: Path
    program: str
    runc: str
    ctr: str
    snapshotter: str
    systemd_cgroup: bool
    restrict_oom_score_adj: bool
    cni_bin_dir: str
    cni_conf_dir: Path
    sandbox_image: str = SANDBOX_IMAGE

    @property
    def socket(self) -> Path:
        """The gRPC socket."""
        return socket_of(self.directory.parent)

    @property
    def endpoint(self) -> str:
        """The socket as the kubelet's `--container-runtime-endpoint`."""
        return f"unix://{self.socket}"

    @property
    def config_file(self) -> Path:
        """The generated configuration."""
        return self.directory / "config.toml"

    @property
    def command(self) -> list[str]:
        """The command line which runs it in the foreground."""
        return [self.program, "--config", str(self.config_file)]

    def prepare(self) -> list[str]:
        """Write the configuration, make the directories, and return the command line."""
        for directory in (self.directory, self.socket.parent, self.cni_conf_dir):
            directory.mkdir(parents=True, exist_ok=True, mode=0o711)
        self.config_file.write_text(config_toml(self), encoding="utf-8")
        return self.command


def socket_of(data_dir: Path) -> Path:
    """Return where the gRPC socket of a data directory's containerd is."""
    path = data_dir / "containerd" / "containerd.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_MAX:
        return path
    short = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path("/run/kybern") / f"{short}.sock"


def answers(data_dir: Path) -> bool:
    """Say whether the containerd of a data directory takes connections."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(socket_of(data_dir))) == 0


def main() -> None:
    """Become the containerd of the data directory given."""
    data_dir = Path(sys.argv[1]).absolute()
    machine = inspect_machine(data_dir)
    if problems := machine.problems():
        sys.exit("\n".join(problems))
    command = configure(data_dir, machine).prepare()
    os.execv(command[0], command)


def configure(data_dir: Path, machine: Machine, *, cgroup_driver: str = "cgroupfs") -> Containerd:
    """Return the containerd for this data directory on this machine."""
    return Containerd(
        directory=data_dir / "containerd",
        program=machine.programs["containerd"],
        runc=machine.programs["runc"],
        ctr=machine.programs["ctr"],
        snapshotter="overlayfs" if machine.overlay else "native",
        systemd_cgroup=cgroup_driver == "systemd",
        restrict_oom_score_adj=not machine.oom_score_lowerable,
        cni_bin_dir=machine.cni_bin_dir,
        cni_conf_dir=data_dir / "cni" / "net.d",
    )


def config_toml(c: Containerd) -> str:
    """Return the configuration file; version 2, which containerd 1.5 to 2.x all read."""
    quote = json.dumps  # a JSON string is a TOML basic string
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    lines = [
        "# Written by kybern; changes are overwritten at the next start.",
        "version = 2",
        f"root = {quote(str(c.directory / 'root'))}",
        f"state = {quote(str(c.directory / 'state'))}",
        f"disabled_plugins = {quote(DISABLED)}",
        "[grpc]",
        f"address = {quote(str(c.socket))}",
        "[debug]",
        'level = "warn"',
        f"[{cri}]",
        f"sandbox_image = {quote(c.sandbox_image)}",
        f"restrict_oom_score_adj = {quote(c.restrict_oom_score_adj)}",
        'stream_server_address = "127.0.0.1"',
        'stream_server_port = "0"',
        "enable_unprivileged_ports = true",
        "enable_unprivileged_icmp = true",
        "netns_mounts_under_state_dir = true",
        "tolerate_missing_hugetlb_controller = true",
        f"[{cri}.containerd]",
        f"snapshotter = {quote(c.snapshotter)}",
        'default_runtime_name = "runc"',
        f"[{cri}.containerd.runtimes.runc]",
        'runtime_type = "io.containerd.runc.v2"',
        f"[{cri}.containerd.runtimes.runc.options]",
        f"BinaryName = {quote(c.runc)}",
        f"SystemdCgroup = {quote(c.systemd_cgroup)}",
        f"[{cri}.cni]",
        f"bin_dir = {quote(c.cni_bin_dir)}",
        f"conf_dir = {quote(str(c.cni_conf_dir))}",
        "max_conf_num = 1",
        f"[{cri}.registry]",
        f"config_path = {quote(str(c.directory / 'certs.d'))}",
    ]
    return "\n".join(lines) + "\n"


def _has_plugins(directory: Path) -> bool:
    return all((directory / name).exists() for name in CNI_PLUGINS)


def _has_capability(number: int) -> bool:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False


if __name__ == "__main__":
    main()
