"""Make the addresses of load balancers this machine's own.

In:   the pool they come from.
Out:  one route: to the kernel the whole pool is local.
By:   sync.py, and the clean-up of `kybern down`.

Our rules lead an address to its endpoints before anything else looks at it. The route is for
whoever asks first where the address is: this machine, also without a default route, and neighbours,
whom it answers. What no Service serves is then refused here, and not sent on to the Internet.
"""

from __future__ import annotations

from kybern.proxy import nft
from kybern.proxy.family import IPV6, family_of


async def announce(network: str) -> None:
    """Make the route.

    Raises:
        NftError: the kernel refuses; the message is ip's.
    """
    await _route("replace", network)


async def withdraw(network: str) -> None:
    """Take the route away, if there is one."""
    try:
        await _route("delete", network)
    except nft.NftError as error:
        if "No such process" not in str(error):
            raise


async def _route(verb: str, network: str) -> None:
    ip, version = nft.program("ip"), "-6" if family_of(network) is IPV6 else "-4"
    code, said = await nft.run([ip, version, "route", verb, "local", network, "dev", "lo"])
    if code:
        raise nft.NftError(said.strip())
