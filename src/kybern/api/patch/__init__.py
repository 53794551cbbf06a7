"""Ways to change an object other than replacing it, as pure functions over trees.

    json_patch.py       RFC 6902: a list of operations
    merge_patch.py      RFC 7386: a partial document
    strategic.py        a partial document that knows which lists are keyed
    apply.py            server-side apply: what I declare is mine
    managed_fields.py   who owns which field; kept by every write

A patch takes the tree of the live object and returns the tree of the new one; neither input is
changed. Below them: `schema.py` says how each value merges, `field_sets.py` is the algebra of sets
of fields, `creation.py` and `compare.py` tell what a write changed, `merge.py`, `prune.py`,
`declared.py`, `conflicts.py` and `last_applied.py` are the steps of an apply. Nothing here
reads a clock, decodes a request, applies defaults or validates an object: handlers do that.
"""
