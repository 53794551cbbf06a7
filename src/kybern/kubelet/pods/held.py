"""A container which cannot be started right now, as an exception.

In:   raised where the obstacle is found (image, configuration, runtime).
Out:  caught by pods/act.py, shown in the container's status, tried again later.
"""

from __future__ import annotations


class Held(Exception):
    """Why a container waits.

    `reason` and `message` are shown in its status; `until` is when to try again.
    """

    def __init__(self, reason: str, message: str, until: float) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.until = until
