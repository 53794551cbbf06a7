"""The Secrets that Ingresses name, each followed by itself.

In:   which are wanted.
Out:  a certificate for each, or why there is none.
By:   sync.py.

One watch for each name, because the node may read no other Secrets (`cmd/ingress_access.py`).
"""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

from kybern.api.core.v1 import Secret
from kybern.ingress.certificates import UNKNOWN, Certificate, certificate

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from kybern.client.informer import Informer, Informers
    from kybern.ingress.backends import Key
    from kybern.lib.tasks import Tasks


class Secrets:
    """Certificates by namespace and name of their Secret."""

    def __init__(self, informers: Informers, tasks: Tasks, changed: Callable[[], None]) -> None:
        self.certificates: dict[Key, Certificate] = {}
        self._informers = informers
        self._tasks = tasks
        self._changed = changed
        self._following: dict[Key, tuple[Informer[Secret], asyncio.Task[None]]] = {}

    def follow(self, wanted: Iterable[Key]) -> None:
        """Follow these and no others; what is not known yet is UNKNOWN."""
        wanted = set(wanted)
        for key in self._following.keys() - wanted:
            informer, first = self._following.pop(key)
            first.cancel()
            self._informers.drop(informer)
            del self.certificates[key]
        for key in wanted - self._following.keys():
            self.certificates[key] = UNKNOWN
            informer = self._informers.of(
                Secret, namespace=key[0], field_selector=f"metadata.name={key[1]}"
            )
            first = self._tasks.spawn(self._begin(key, informer), name="certificate")
            self._following[key] = (informer, first)

    async def _begin(self, key: Key, informer: Informer[Secret]) -> None:
        """Have a look when it is known whether the Secret is there, and on every change."""
        await informer.wait_synced()
        self._look(key, informer)
        informer.on_change(lambda _: self._look(key, informer))

    def _look(self, key: Key, informer: Informer[Secret]) -> None:
        new = certificate(key[1], informer.get(*key))
        if new.pem and (why := refused(new.pem)):
            new = Certificate(problem=f'Secret "{key[1]}" has no usable certificate: {why}')
        if new != self.certificates.get(key):
            self.certificates[key] = new
            self._changed()


def refused(pem: bytes) -> str:
    """Return why OpenSSL would not serve with a certificate; "" when it would.

    haproxy reads all of them or starts not at all: one key that is too short must not harm others.
    """
    descriptor = os.memfd_create("certificate")
    try:
        os.write(descriptor, pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")
    except ssl.SSLError as error:
        return error.reason or str(error)
    finally:
        os.close(descriptor)
    return ""
