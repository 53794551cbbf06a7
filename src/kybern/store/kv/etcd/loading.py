"""Everything that is current, read at one revision.

In:   a connection.
Out:  entries, ready to be sent, with when they expire.
By:   `engine`, when it opens and when it has lost track.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.lib import logs
from kybern.store.interface import PROTOBUF, Entry, not_json
from kybern.store.kv.etcd import pages
from kybern.store.kv.etcd.failures import Refused
from kybern.store.kv.etcd.values import read_value

if TYPE_CHECKING:
    from kybern.store.kv.etcd import messages as m
    from kybern.store.kv.etcd.connection import Connection
    from kybern.store.kv.etcd.leases import Leases
    from kybern.store.kv.etcd.values import Keys

log = logs.get("store.etcd")


async def load(connection: Connection, keys: Keys, leases: Leases) -> pages.Found[Entry]:
    """Return all entries.

    Raises:
        StoreFailed: etcd does not answer.
        Corrupt: something is stored in a form we do not read.
    """
    leased: dict[int, list[Entry]] = {}

    def make(kv: m.KeyValue) -> Entry:
        key = keys.inside(kv.key)
        assert key is not None
        if kv.value.startswith(PROTOBUF):
            raise not_json(key, kv.value, "")
        entry = Entry(key, kv.mod_revision, kv.create_revision, read_value(kv.value))
        if kv.lease:
            leased.setdefault(kv.lease, []).append(entry)
        entry.prepare()
        return entry

    start, end = keys.range("")
    while True:
        leased.clear()
        try:
            found = await pages.read(connection, start, end, make)
            break
        except Refused:  # it took so long that the revision was compacted: from the beginning
            log.warning("reading was overtaken by a compaction")
    for lease, expires in (await leases.remaining(leased)).items():
        for entry in leased[lease]:
            entry.expires = expires
    return found
