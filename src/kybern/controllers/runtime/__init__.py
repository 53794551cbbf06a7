"""What every controller is made of.

Events become keys in a queue (`controller`), keys become a call of `reconcile` (`reconcile` has the
words for its outcome). `ownership` says whose an object is, `expectations` remembers what was
written and is not seen yet, `host` starts all of them.
"""
