"""Keeps as many pods as a ReplicaSet asks for.

`plan` counts, chooses victims and works out the status; `controller` creates, deletes and writes.
"""
