"""Revisions: everything that survives a restart.

A write goes down: objects (`Store`) -> kv/ (an engine: memory, SQLite, etcd) -> the disk. What it
became comes back up as an `Event`: engine -> objects -> watch_cache -> watchers, and only then
is the write answered. Reads never go down: the current state and the recent past are in memory,
as bytes that are ready to be sent.

    interface    what travels (Entry, Event, Listing) and the bad news; the promises, in words
    objects      `Store`: what the API server holds
    watch_cache  the recent past of one collection; watcher: one reader of it
    upkeep       expiry and compaction; what is due when is in retention
    keys         where each resource lives, as upstream lays it out
    snapshot     a whole cluster in one file; migrate: the same objects on another medium
    kv/          the engines, behind one Protocol

Nothing in here knows what a pod is: an object is a key and JSON bytes.
"""
