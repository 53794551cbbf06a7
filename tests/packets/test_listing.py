"""What the kernel understood is what was meant: its own listing sends every packet the same way."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from tests.packets.kernel import Kernel
from tests.packets.node import node
from tests.packets.test_mutations import ENDS, WORLD

from kybern.lib.clock import run_virtual

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("nft"), reason="needs root and nft"
)


def listing(script: str) -> str:
    """Return what the kernel shows of a script, in a network namespace that ends at once."""
    words = ["unshare", "--net", "sh", "-c", "nft -f - && nft list ruleset"]
    done = subprocess.run(words, input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("over_ipv6", [False, True], ids=["ipv4", "ipv6"])
def test_the_kernel_understood_what_was_meant(over_ipv6: bool) -> None:
    async def story() -> None:
        async with node(WORLD, over_ipv6=over_ipv6) as machinery:
            shown, machinery.kernel = listing("".join(machinery.kernel.scripts)), Kernel()
            machinery.kernel.apply(shown)
            assert {p: machinery.fates(p) for p in ENDS} == ENDS

    run_virtual(story())
