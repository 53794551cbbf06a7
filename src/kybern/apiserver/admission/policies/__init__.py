"""Admission policies: rules that users write in CEL, as objects.

    review ─► hooks (which policies, bound how) ─► matching ─► params ─► evaluation ─► verdict

`validating` and `mutating` are the two plugins. They read policies, bindings and parameters from
the store's cache: every API server sees a policy as soon as it sees anything written after it. With
no policies a request pays for one comparison of revisions, and the language is not even imported.
"""
