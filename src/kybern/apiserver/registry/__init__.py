"""The resources: kind, strategy, subresources and columns.

`all.py` lists them, `special.py` says which are not generic, `generic.py` has the verbs over the
store, and the packages beside them hold what is special, group by group.
"""
