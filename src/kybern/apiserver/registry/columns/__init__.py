"""What `kubectl get` shows of each kind: column names as upstream has them, cells from the object.

`layout.py` says how columns are written down, `words.py` how ages, ports and selectors read; one
module per area holds the kinds; `all.py` is the list.
"""
