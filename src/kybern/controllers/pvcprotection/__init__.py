"""Keeps claims of volumes for as long as pods use them."""
