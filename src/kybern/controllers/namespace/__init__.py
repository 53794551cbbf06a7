"""Empties a namespace that is being deleted, and lets it go when nothing is left.

Pods go first, so that nothing that still runs loses its configuration, policy or identity under its
feet. Works from discovery: kinds that were defined a moment ago are deleted as well.
"""
