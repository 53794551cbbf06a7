"""Make an image from this machine's static busybox: `busybox_image.py OUT NAME:TAG [NAME:TAG …]`.

`--add=PROGRAM` puts another program of this machine into it, with the libraries it needs.

In:   /bin/busybox from Debian's busybox-static.
Out:  an archive as `docker save` writes it, the same bytes every time.
By:   `make up` for the demo, the end-to-end tests. Nothing is pulled from anywhere.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import shutil
import subprocess
import sys
import tarfile

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}


def main() -> None:
    flag = "--add="
    programs = [word.removeprefix(flag) for word in sys.argv[1:] if word.startswith(flag)]
    out, *names = [word for word in sys.argv[1:] if not word.startswith(flag)] or [""]
    if not names:
        sys.exit(__doc__.splitlines()[0])
    with open(out, "wb") as file:
        file.write(archive(names, programs))


def archive(names: list[str], programs: list[str]) -> bytes:
    """Return a docker-save archive with one image under all the names."""
    layer = root_file_system(programs)
    digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps(
        {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Cmd": ["sh"], "Env": ["PATH=/bin:/sbin:/usr/bin:/usr/sbin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            "history": [{"created_by": " ".join(["busybox-static", *programs])}],
        },
        sort_keys=True,
    ).encode()
    name = hashlib.sha256(config).hexdigest()
    manifest = [{"Config": f"{name}.json", "RepoTags": names, "Layers": [f"{digest}/layer.tar"]}]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        add(tar, f"{name}.json", config)
        add(tar, f"{digest}/layer.tar", layer)
        add(tar, "manifest.json", json.dumps(manifest).encode())
    return out.getvalue()


def root_file_system(programs: list[str]) -> bytes:
    busybox = shutil.which("busybox")
    if busybox is None:
        sys.exit("busybox is missing: install Debian's busybox-static (or run `make setup`).")
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in (
            "bin",
            "etc",
            "root",
            "tmp",
            "var",
            "usr",
            "usr/bin",
            "home",
            "proc",
            "sys",
            "dev",
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(entry)
        with open(busybox, "rb") as file:
            add(tar, "bin/busybox", file.read(), 0o755)
        for applet in sorted(set(applets.stdout.split()) - {"busybox"}):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "/bin/busybox"
            tar.addfile(link)
        for name, text in FILES.items():
            add(tar, name, text.encode())
        for path in sorted({path for name in programs for path in needed(name)}):
            with open(path, "rb") as file:
                add(tar, path.lstrip("/"), file.read(), 0o755)
    return out.getvalue()


def needed(program: str) -> list[str]:
    """Return the paths of a program and of all libraries it is linked to."""
    path = shutil.which(program)
    if path is None:
        sys.exit(f"{program} is missing: run `make setup-dev`.")
    told = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
    return [path, *(word for word in told.split() if word.startswith("/"))]


def add(tar: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))


if __name__ == "__main__":
    main()
