"""Deletes bootstrap tokens when they end."""
