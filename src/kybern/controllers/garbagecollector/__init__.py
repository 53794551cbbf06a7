"""Deletes what nobody owns any more.

`graph` mirrors who owns whom over every kind there is; `plan` decides what becomes of one object;
`monitors` follows the kinds, custom ones included; `controller` looks things up and acts.
"""
