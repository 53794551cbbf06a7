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

    from kybern.proxy.conntrack import Flow
    from kybern.proxy.family import Family

log = logs.get("proxy")

PACKAGES = {"nft": "nftables", "ip": "iproute2"}
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
        package = PACKAGES.get(name, name)
        raise MissingError(f"{name} is not installed: install the package {package}.")
    return path


async def apply(script: str) -> None:
    """Apply one transaction."""
    if not script:
        return
    code, output = await run([program(), "-f", "-"], script.encode())
    if code:
        # it repeats the line, which may name thousands of elements
        said = "\n".join(line[:LINE] for line in output.strip().splitlines())
        raise NftError(said or f"nft ended with exit code {code}")


async def why_not(family: Family) -> str:
    """Return why nftables cannot be used; "" when it can."""
    try:
        code, said = await run([program(), "list", "tables", family.table])
    except MissingError as error:
        return str(error)
    return said.strip().splitlines()[0] if code and said.strip() else "nft fails" if code else ""


async def table_exists(table: str, family: str) -> bool:
    """Whether our table is in the kernel."""
    return (await run([program(), "list", "table", family, table]))[0] == 0


async def flows(family: Family) -> str:
    """Return the kernel's UDP flows as conntrack lists them; "" where there is no conntrack."""
    try:
        path = program("conntrack")
    except MissingError:
        log.warning("conntrack is not installed: UDP flows keep their endpoint until they end")
        return ""
    return (await run([path, "-L", "-f", family.name.lower(), "-p", "udp"]))[1]


async def forget(gone: Iterable[Flow], family: Family) -> None:
    """Make the kernel forget UDP flows. One that ended by itself meanwhile is fine."""
    for flow in gone:
        ports = ["--sport", str(flow.client_port), "--dport", str(flow.port)]
        where = ["-s", flow.client, "-d", flow.address, *ports]
        await run([program("conntrack"), "-D", "-f", family.name.lower(), "-p", "udp", *where])


async def run(argv: list[str], text: bytes = b"") -> tuple[int, str]:
    """Run a program; return its exit code and what it said."""
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
