"""Serving the kinds that users define.

`definitions` follows CustomResourceDefinitions and has the registry serve what they define;
`resource` and `strategy` are to a custom kind what registry/ is to a built-in one; `columns` shows
objects as rows; `scale` is their `scale` subresource. What an object holds is `api/custom`.
"""
