"""The engine on etcd v3: one medium for several API servers.

A write goes out as one transaction that compares and swaps (`engine` -> `connection` -> etcd). All
writes, everybody's, come back on one watch of the whole key space (`watch` -> `engine` ->
`mirror`), and become events in the order of their revisions. A write of ours is answered when it
has been told in its turn; when nothing is missing before it, that need not wait for the watch.

    address     where etcd is, from an URL or from flags
    connection  calls; which member gets them, and what is tried again (`failures` judges)
    messages    what travels, as Structs
    watch       a stream of everything that happens
    pages       ranges of keys at one revision; loading: everything there is
    mirror      what is current, and what a change means; pure
    leases      what expires
    together    one question for all who have it; reached: who waits for the answer to come true

Keys and values are upstream's: an API server of upstream's with
`--storage-media-type=application/json` can take over, and the other way round.
"""
