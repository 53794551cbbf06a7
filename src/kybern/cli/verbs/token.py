"""`kybern token`: with what machines show that they may join.

In:   the administrator's kubeconfig in the data directory.
Out:  tokens, as kubeadm makes and prints them; the command to type on the machine that joins.
By:   cli/main.py.
"""

from __future__ import annotations

import asyncio
import re
import sys
from typing import TYPE_CHECKING, TypeVar

import typer

from kybern.api.errors import AlreadyExists, ApiError
from kybern.cli.errors import Failed
from kybern.cli.loading import settings_of
from kybern.client.config import ConfigError, load_kubeconfig
from kybern.client.rest import Client
from kybern.client.tls import TlsTransport
from kybern.client.transport import Unreachable
from kybern.cluster import join_server, join_tokens
from kybern.cluster.join_discovery import JoinError
from kybern.lib import pki
from kybern.lib.clock import SYSTEM, rfc3339

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kybern.cluster.directory import Directory
    from kybern.cluster.settings import Settings

T = TypeVar("T")

HEAD = ("TOKEN", "TTL", "EXPIRES", "USAGES", "DESCRIPTION", "EXTRA GROUPS")
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}


def create(
    directory: Directory, token: str, *, ttl: str, description: str, server: bool, command: bool
) -> None:
    """Make a token and print it, or the command to join with it."""
    chosen, seconds = settings_of(directory), duration(ttl)
    if server and token:
        raise typer.BadParameter("a server's token cannot be chosen: leave TOKEN out.")
    if token and not re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}", token):
        raise typer.BadParameter("TOKEN looks like abcdef.0123456789abcdef.")

    async def make(client: Client) -> str:
        if server:
            return await join_server.offer(
                client, directory, chosen, ttl=seconds, description=description
            )
        secret = await join_tokens.create(client, token, ttl=seconds, description=description)
        return join_tokens.text(secret)

    made = _ask(directory, make)
    sys.stdout.write((_command(directory, chosen, made, server) if command else made) + "\n")


def _command(directory: Directory, chosen: Settings, token: str, server: bool) -> str:
    ca_hash = pki.public_key_hash((directory.pki / "ca.crt").read_bytes())
    verb = "server" if server else "agent"
    where = f"https://{chosen.node_ip}:{chosen.port}"
    return f"kybern {verb} --join {where} --token {token} --ca-hash {ca_hash}"


def listing(directory: Directory) -> None:
    """Print the tokens there are."""
    found = _ask(directory, join_tokens.listing)
    rows = [HEAD, *(_row(token) for token in sorted(found))]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("   ".join(cells).rstrip() + "\n")


def _row(token: join_tokens.Token) -> tuple[str, ...]:
    if token.expires is None:
        left, expires = "<forever>", "<never>"
    else:
        seconds = token.expires - SYSTEM.now()
        left = _ago(seconds) if seconds > 0 else "<invalid>"
        expires = rfc3339(token.expires)
    return (
        token.token, left, expires, ",".join(token.usages) or "<none>",
        token.description or "<none>", ",".join(token.groups) or "<none>",
    )  # fmt: skip


def _ago(seconds: float) -> str:
    for unit, size in (("d", 86400.0), *UNITS.items()):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return "0s"


def delete(directory: Directory, token: str) -> None:
    """Delete a token, given whole or by its id."""
    token_id = token.partition(".")[0]
    if not re.fullmatch(r"[a-z0-9]{6}", token_id):
        raise typer.BadParameter("give the token, or the six characters it begins with.")
    if not _ask(directory, lambda client: join_tokens.delete(client, token_id)):
        raise Failed(f"there is no token {token_id}: `kybern token list` shows those there are.")
    sys.stdout.write(f'bootstrap token "{token_id}" deleted\n')


def duration(text: str) -> float:
    """Read `24h`, `1h30m` or `0`."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([hms])", text)
    if text != "0" and "".join(map("".join, parts)) != text:
        raise typer.BadParameter(f"{text!r} is no time: write it as 24h, 1h30m, or 0 for ever.")
    return float(sum(float(number) * UNITS[unit] for number, unit in parts))


def _ask(directory: Directory, question: Callable[[Client], Awaitable[T]]) -> T:
    """Ask the cluster as its administrator."""

    async def ask() -> T:
        transport = TlsTransport(load_kubeconfig(directory.admin_kubeconfig))
        try:
            return await question(Client(transport, SYSTEM, user_agent="kybern"))
        finally:
            await transport.close()

    try:
        return asyncio.run(ask())
    except AlreadyExists:
        raise Failed("there is a token of this id already: delete it, or choose another.") from None
    except (ApiError, JoinError, ConfigError) as error:
        raise Failed(str(error)) from None
    except Unreachable as error:
        raise Failed(f"the API server does not answer: {error}. See `kybern status`.") from None
