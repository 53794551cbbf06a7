"""Hand transactions to nftables.

In:   scripts of nft(8).
Out:  applied as a whole, or NftError with what the kernel said and nothing changed.
By:   sync.py, and the clean-up of `kybern down`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from typing import TYPE_CHECKING

from kybern.lib import logs

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logs.get("proxy")

LINE = 200  # characters
SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


class NftError(Exception):
    """nftables refused a transaction; the message is its own."""


class MissingError(NftError):
    """There is no nft program."""


def program(name: str = "nft") -> str:
    """Return the path of a program of the system.

    Raises:
        MissingError: it is not installed; the message names the package.
    """
    path = shutil.which(name) or shutil.which(name, path=SYSTEM_PATH)
    if path is None:
        raise MissingError(f"{name} is not installed: install the package nftables.")
    return path


async def apply(script: str) -> None:
    """Apply one transaction."""
    if not script:
        return
    code, output = await _run([program(), "-f", "-"], script.encode())
    if code:
        # it repeats the line, which may name thousands of elements
        said = "\n".join(line[:LINE] for line in output.strip().splitlines())
        raise NftError(said or f"nft ended with exit code {code}")


async def table_exists(table: str, family: str) -> bool:
    """Whether our table is in the kernel."""
    return (await _run([program(), "list", "table", family, table], b""))[0] == 0


async def forget_connections(flows: Iterable[tuple[str, int]]) -> None:
    """Make the kernel forget UDP flows to (address, port): they would keep their old endpoint.

    conntrack exits with 1 when there was none, which is fine.
    """
    path = shutil.which("conntrack") or shutil.which("conntrack", path=SYSTEM_PATH)
    if path is None:
        log.warning("conntrack is not installed: UDP flows keep their endpoint until they end")
        return
    for address, port in flows:
        await _run([path, "-D", "-p", "udp", "-d", address, "--dport", str(port)], b"")


async def _run(argv: list[str], text: bytes) -> tuple[int, str]:
    # A file in memory: nft opens /dev/stdin anew, which works neither for the sockets that uvloop
    # gives its children nor for a transaction larger than a pipe.
    file = os.memfd_create("nft")
    try:
        os.write(file, text)
        os.lseek(file, 0, os.SEEK_SET)
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=file,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    finally:
        os.close(file)
    try:
        output, _ = await process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    return process.returncode or 0, output.decode("utf-8", "replace")
