"""Keys, values and revisions on a medium.

`interface.Engine` is the Protocol, `mvcc` decides what a write means, `memory`, `sqlite` and `etcd`
are the engines; `shifted` lets one count on from another. `writer` is SQLite's thread with its
group commit, `sqlite_file` the file format, `sqlite_archive` what is done to a file that nobody
serves. An engine never waits for a reader and never answers a write before it is as durable as the
medium can make it.
"""
