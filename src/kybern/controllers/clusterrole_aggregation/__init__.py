"""Fills ClusterRoles that say which others they are made of."""
