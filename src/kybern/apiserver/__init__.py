"""The API server: a request comes in, becomes a fact in the store, and is watched.

`app` is one flat list of `filters` (who asks, may they, is there room), then `routes` finds the
resource and the verb, a module of `handlers` carries it out: `codec` decodes and defaults,
`admission` changes and refuses, the resource's strategy in `registry` prepares and validates, and
the store keeps. `authn` and `authz` answer the two questions the filters ask. `bootstrap` writes
what every cluster starts with; `health` says whether it did.

Components never import this package: they meet it through `kybern.client`.
"""
