"""Keys, values and revisions on a medium.

`interface.Engine` is the Protocol, `mvcc` decides what a write means, `memory` and `sqlite` are
the engines. `writer` is SQLite's thread with its group commit, `sqlite_file` the file format.
An engine never waits for a reader and never answers a write before it is as durable as the
medium can make it.
"""
