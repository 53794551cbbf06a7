"""Roles and bindings: nobody grants more than they have."""
