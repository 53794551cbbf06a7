"""What an etcd knows of the store in it, beside upstream's keys.

In:   where etcd is.
Out:  the note under `/kybern/<prefix>`, and an engine that heeds it.
By:   `kybern.cmd.stores`; `migrate_etcd` writes it.

An etcd that was never the target of a migration or a restore has none.
"""

# No `from __future__ import annotations`: this file defines Structs.

import msgspec

from kybern.lib.clock import SYSTEM
from kybern.store.interface import StoreFailed
from kybern.store.kv.etcd import messages as m
from kybern.store.kv.etcd.address import Address
from kybern.store.kv.etcd.connection import Connection
from kybern.store.kv.etcd.engine import EtcdEngine
from kybern.store.kv.interface import Engine
from kybern.store.kv.shifted import ShiftedEngine
from kybern.store.migrate import Plan


class Note(msgspec.Struct, frozen=True):
    """The note.

    Attributes:
        shift: what is added to etcd's revisions, so that they go on after another store's.
        becoming: what the store is to become a copy of, while it is not.
    """

    shift: int = 0
    becoming: Plan | None = None


async def read(address: Address) -> Note:
    """Return the note; an empty one when there is none.

    Raises:
        StoreFailed: etcd does not answer.
    """
    connection = Connection(address, SYSTEM)
    try:
        answer = await connection.call(m.RANGE, m.RangeRequest(_key(address)))
    finally:
        await connection.close()
    return msgspec.json.decode(answer.kvs[0].value, type=Note) if answer.kvs else Note()


async def write(address: Address, note: Note) -> None:
    """Replace the note.

    Raises:
        StoreFailed: etcd does not answer.
    """
    put = m.Operation(put=m.PutRequest(_key(address), msgspec.json.encode(note)))
    connection = Connection(address, SYSTEM)
    try:
        await connection.call(m.TXN, m.TxnRequest([], [put], []))
    finally:
        await connection.close()


async def opened(address: Address) -> Engine:
    """Open the store in an etcd.

    Raises:
        StoreFailed: etcd does not answer, or what is in it is not complete.
    """
    note = await read(address)
    if note.becoming is not None:
        raise StoreFailed(
            f"the store in etcd at {address} is to become a copy of {note.becoming.source}, and is"
            " not yet: finish that with the command that was interrupted"
        )
    engine = await EtcdEngine.open(address)
    return ShiftedEngine(engine, note.shift) if note.shift else engine


def _key(address: Address) -> bytes:
    return f"/kybern{address.prefix}".encode()
