"""Ways to change an object other than replacing it, as pure functions over trees.

    json_patch.py       RFC 6902: a list of operations
    merge_patch.py      RFC 7386: a partial document
    strategic.py        a partial document that knows which lists are keyed, with `$patch` directives
    apply.py            server-side apply: what I declare is mine
    managed_fields.py   who owns which field; kept by every write

A patch takes the tree of the live object and returns the tree of the new one; neither input is
changed. Below them: `schema.py` says how each value merges, `field_sets.py` is the algebra of sets
of fields, `compare.py` tells what differs, `go_format.py` prints values as Go does. Nothing here
reads a clock, decodes a request, applies defaults or validates an object: handlers do that.
"""
