"""Gives every namespace its `default` service account, which pods run as unless they say more."""
