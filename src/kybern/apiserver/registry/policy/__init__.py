"""Evictions."""
