"""Keeps volumes for as long as claims are bound to them."""
