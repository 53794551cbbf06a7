"""What every cluster starts with, written by the API server itself.

`start` runs the steps in order: namespaces first, then what lives in them and beside them. Every
step is safe to repeat: what is there and may be changed by others is left alone. `loopback` writes
through the same code as requests do; `roles`, `flow_schemas` and the others are tables.
"""
