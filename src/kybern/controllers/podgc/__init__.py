"""Removes pods that nobody else will: their node is gone, or they never had one."""
