"""Whose store is it? A control plane without the cluster's keys must not serve it.

In:   a store that others may use too, and our authority.
Out:  nothing; or a Fatal that says to join.
By:   cmd.control_plane, before anybody is served.

Two clusters in one etcd would have each other's objects, and refuse each other's certificates and
tokens: somebody started a second `kybern server` where `--join` was meant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import codec
from kybern.api.core import bootstrap_tokens as tokens
from kybern.api.core.v1 import ConfigMap
from kybern.cluster.join_discovery import JoinError, authority_in
from kybern.cmd.process import Fatal
from kybern.lib import logs

if TYPE_CHECKING:
    from kybern.store.objects import Store

log = logs.get("control-plane")

KEY = f"/registry/configmaps/{tokens.INFO_NAMESPACE}/{tokens.INFO}"


def check(store: Store, authority: bytes) -> None:
    """Look whether the cluster in the store has our authority.

    Raises:
        Fatal: it has another one.
    """
    entry = store.get(KEY) if store.shared else None
    if entry is None:
        return
    try:
        theirs = authority_in(codec.decode(entry.data, ConfigMap).data or {})
    except JoinError as error:
        log.warning("cannot tell whose store this is", why=str(error))
        return
    if theirs != authority:
        raise Fatal(
            "the store holds another cluster: make this machine a control plane of that one with "
            "`kybern server --join` in an empty --data-dir, or keep this cluster elsewhere with "
            "another --store (…?prefix=/NAME keeps two apart in one etcd)."
        )
