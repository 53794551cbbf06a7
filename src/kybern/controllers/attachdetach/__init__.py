"""Brings the volumes of storage drivers to the nodes whose pods want them, and takes them back."""
