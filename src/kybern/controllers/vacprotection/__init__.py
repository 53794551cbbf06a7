"""Keeps classes of attributes for as long as volumes have, or are to get, them."""
