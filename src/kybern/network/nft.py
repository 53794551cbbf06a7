"""Hand scripts to nftables.

In:   the text of a transaction for `nft -f`.
Out:  applied as a whole, or FilterError with what nft said and nothing changed.
By:   filter.py, policy/enforcer.py.
"""

from __future__ import annotations

import asyncio
import contextlib


class FilterError(OSError):
    """nft refused a transaction; `str()` is what it said."""


async def apply(program: str, script: str) -> None:
    """Apply one transaction.

    Raises:
        FilterError: it was refused.
    """
    if not script:
        return
    process = await asyncio.create_subprocess_exec(
        program, "-f", "-", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        _, said = await process.communicate(script.encode())
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise FilterError(said.decode(errors="replace").strip())
