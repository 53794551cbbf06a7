"""Kybern."""
