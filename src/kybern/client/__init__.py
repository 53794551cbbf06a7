"""The only way any component speaks to an API server.

Downhill: `config` says where and as whom; `transport` carries bytes there, over TLS or straight
into an app of this process; `rest` makes typed calls of it; `watch` turns an endless answer into
events; `informer` keeps a copy of what the server has, indexed by `indexer`; `workqueue` hands the
keys of what changed to whoever reconciles; `leases` elects a leader; `events` tells users.

Nothing here decides anything about the cluster, and nothing here knows that there is a store.
"""
