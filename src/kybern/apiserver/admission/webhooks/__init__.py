"""Webhooks: other programs say what may be stored, and change it first.

`hooks` knows which webhooks there are and which are concerned, `calls` asks one of them and reads
its answer, `mutating` and `validating` are the two plugins. Matching and match conditions are those
of the policies beside this package.
"""
