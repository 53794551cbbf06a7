"""Controllers: each makes one kind of thing true, again and again.

`all` is the list of them; `runtime` is what they share: a queue of keys in front of `reconcile`,
ownership, and the memory of writes that the caches do not show yet. One package per controller:
`plan` decides and is pure, `controller` reads the caches, carries the plan out, and nothing else.

They know of each other only what the API shows. They speak to the API server as the service
accounts that upstream's bootstrap policy has roles for, and share one set of informers.
"""
