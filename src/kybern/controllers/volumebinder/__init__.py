"""Brings claims and volumes together, and says what becomes of a volume when its claim is gone."""
