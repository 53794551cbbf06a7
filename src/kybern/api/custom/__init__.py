"""Objects of kinds that users define: what they hold, and what they may hold.

`objects` is such an object, `structure` a compiled schema that prunes, fills in and checks one,
`reading` takes one out of a request. Nothing here knows of definitions: `apiserver/custom` does.
"""
