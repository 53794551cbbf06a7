"""Image archives: making small ones, and loading any into containerd.

In:   an archive as `docker save` or an OCI layout writes it; or files to make an image of.
Out:  the images in containerd's `k8s.io` namespace, where the CRI sees them.
By:   `kybern image load`, the node at its first start (the sandbox image), tests and the demo.

It never pulls: that is the runtime's work, asked for in pods/pulling.py.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import os
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kybern.kubelet.pause import pause_program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

NAMESPACE = "k8s.io"
GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class ImageError(Exception):
    """An archive could not be loaded; the text is for the user."""


@dataclass(frozen=True, slots=True)
class File:
    """One entry of a layer: a regular file, or a symlink when `link` is given, or a directory."""

    data: bytes = b""
    mode: int = 0o644
    link: str = ""
    directory: bool = False


@dataclass(frozen=True, slots=True)
class ImageRecipe:
    """What a made image contains and how it starts."""

    name: str
    files: Mapping[str, File]
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    env: Sequence[str] = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)
    working_dir: str = "/"
    user: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def go_architecture() -> str:
    """Return this machine's architecture as images spell it."""
    machine = os.uname().machine
    return GO_ARCHITECTURES.get(machine, machine)


def pause_recipe(name: str) -> ImageRecipe:
    """Return the image whose only process holds a pod's namespaces."""
    program = File(pause_program(os.uname().machine), 0o755)
    return ImageRecipe(name, {"pause": program}, entrypoint=("/pause",), env=())


def archive(recipe: ImageRecipe) -> bytes:
    """Return the image as an archive both Docker and containerd load; equal input, equal bytes."""
    layer = _layer(recipe.files)
    config = _json(_config(recipe, "sha256:" + hashlib.sha256(layer).hexdigest()))
    blobs = {_blob_path(gzip.compress(layer, 6, mtime=0)): gzip.compress(layer, 6, mtime=0)}
    layer_path = next(iter(blobs))
    config_path = _blob_path(config)
    blobs[config_path] = config
    manifest = _json(_manifest(config, blobs[layer_path]))
    blobs[_blob_path(manifest)] = manifest
    index = _json(_index(recipe.name, manifest))
    docker = _json([{"Config": config_path, "RepoTags": [recipe.name], "Layers": [layer_path]}])
    entries = {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": index,
        "manifest.json": docker,
        **blobs,
    }
    return _tar({name: File(data) for name, data in entries.items()})


async def load(path: Path, socket: Path, ctr: str) -> list[str]:
    """Load an archive into containerd and return the names of its images.

    Raises:
        ImageError: there is no such file, it is no archive, or containerd refused it.
    """
    if not await asyncio.to_thread(path.is_file):
        raise ImageError(f"{path} does not exist.")
    if not ctr:
        raise ImageError("ctr is not installed; it comes with the containerd package.")
    return await _import(socket, ctr, str(path), b"")


async def load_bytes(data: bytes, socket: Path, ctr: str) -> list[str]:
    """Load an archive which is in memory.

    Raises:
        ImageError: containerd refused it.
    """
    return await _import(socket, ctr, "-", data)


async def _import(socket: Path, ctr: str, source: str, data: bytes) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        ctr, "--address", str(socket), "--namespace", NAMESPACE, "images", "import",
        "--all-platforms", source,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate(data)
    if process.returncode:
        reason = err.decode(errors="replace").strip().removeprefix("ctr: ")
        raise ImageError(f"The archive {source} was not loaded: {reason}.")
    lines = out.decode(errors="replace").splitlines()
    return [line.split()[1] for line in lines if line.startswith("unpacking ")]


def _layer(files: Mapping[str, File]) -> bytes:
    entries: dict[str, File] = {}
    for name in sorted(files):
        parts = name.strip("/").split("/")
        for depth in range(1, len(parts)):  # parents come first, so that they get sane modes
            entries.setdefault("/".join(parts[:depth]), File(mode=0o755, directory=True))
        entries[name.strip("/")] = files[name]
    return _tar(entries)


def _tar(entries: Mapping[str, File]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, entry in entries.items():
            info = tarfile.TarInfo(name)
            info.mode = entry.mode
            if entry.directory:
                info.type = tarfile.DIRTYPE
            elif entry.link:
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.link, 0o777
            else:
                info.size = len(entry.data)
            tar.addfile(info, io.BytesIO(entry.data) if info.size else None)
    return buffer.getvalue()


def _config(recipe: ImageRecipe, diff_id: str) -> dict[str, Any]:
    inner = {
        "Env": list(recipe.env),
        "Entrypoint": list(recipe.entrypoint) or None,
        "Cmd": list(recipe.command) or None,
        "WorkingDir": recipe.working_dir,
        "User": recipe.user or None,
        "Labels": dict(recipe.labels) or None,
    }
    return {
        "architecture": go_architecture(),
        "os": "linux",
        "config": {key: value for key, value in inner.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created_by": "kybern"}],
    }


def _manifest(config: bytes, layer: bytes) -> dict[str, Any]:
    media = "application/vnd.oci.image."
    return {
        "schemaVersion": 2,
        "mediaType": media + "manifest.v1+json",
        "config": _descriptor(media + "config.v1+json", config),
        "layers": [_descriptor(media + "layer.v1.tar+gzip", layer)],
    }


def _index(name: str, manifest: bytes) -> dict[str, Any]:
    descriptor = _descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
    tag = name.rpartition(":")[2]
    descriptor["annotations"] = {
        "io.containerd.image.name": name,
        "org.opencontainers.image.ref.name": tag,
    }
    return {"schemaVersion": 2, "manifests": [descriptor]}


def _descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _blob_path(data: bytes) -> str:
    return "blobs/sha256/" + hashlib.sha256(data).hexdigest()


def _json(tree: Any) -> bytes:
    return json.dumps(tree, separators=(",", ":"), sort_keys=True).encode()
