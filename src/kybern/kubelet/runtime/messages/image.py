"""CRI messages about images."""

from typing import Annotated

from msgspec import Struct, field

from kybern.kubelet.runtime.messages.sandbox import Int64Value, UInt64Value
from kybern.lib.protobuf import PbField as N


class ImageSpec(Struct):
    """Which image."""

    image: Annotated[str, N(1)] = ""
    annotations: Annotated[dict[str, str], N(2)] = field(default_factory=dict)
    user_specified_image: Annotated[str, N(18)] = ""
    runtime_handler: Annotated[str, N(19)] = ""


class Image(Struct):
    """An image on this node."""

    id: Annotated[str, N(1)] = ""
    repo_tags: Annotated[list[str], N(2)] = field(default_factory=list)
    repo_digests: Annotated[list[str], N(3)] = field(default_factory=list)
    size: Annotated[int, N(4, "uint64")] = 0
    uid: Annotated[Int64Value | None, N(5)] = None
    username: Annotated[str, N(6)] = ""
    spec: Annotated[ImageSpec | None, N(7)] = None
    pinned: Annotated[bool, N(8)] = False


class AuthConfig(Struct):
    """Credentials for a registry."""

    username: Annotated[str, N(1)] = ""
    password: Annotated[str, N(2)] = ""
    auth: Annotated[str, N(3)] = ""
    server_address: Annotated[str, N(4)] = ""
    identity_token: Annotated[str, N(5)] = ""
    registry_token: Annotated[str, N(6)] = ""


class FilesystemIdentifier(Struct):
    """A file system, by where it is mounted."""

    mountpoint: Annotated[str, N(1)] = ""


class FilesystemUsage(Struct):
    """How full a file system is with images or containers."""

    timestamp: Annotated[int, N(1)] = 0
    fs_id: Annotated[FilesystemIdentifier | None, N(2)] = None
    used_bytes: Annotated[UInt64Value | None, N(3)] = None
    inodes_used: Annotated[UInt64Value | None, N(4)] = None
