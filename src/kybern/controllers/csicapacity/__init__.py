"""Publishes how much room drivers have, and where, for the scheduler."""
