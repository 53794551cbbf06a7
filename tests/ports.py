"""Ports that nobody uses, for servers that a test starts a moment later.

Asking the kernel (bind to port 0) is not enough: it hands out ports of the range from which every
outgoing connection takes its own, and one of those may have it by the time the server starts. So
these come from below that range, and are tried on every address first.
"""

import random
import socket

_random = random.SystemRandom()  # not the seeded one, which may give others the same

FIRST, LAST = 10_000, 29_999  # below Linux's outgoing ports (32768) and the node ports (30000)


def free_port(*kinds: socket.SocketKind) -> int:
    """Return a port that is free now for these kinds of socket, and if none is named for TCP."""
    while True:
        port = _random.randint(FIRST, LAST)
        if all(_can_bind(port, kind) for kind in kinds or (socket.SOCK_STREAM,)):
            return port


def _can_bind(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
