"""Deletes Jobs some time after they finished, if they say so."""
