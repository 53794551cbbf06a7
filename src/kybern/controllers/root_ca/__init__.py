"""Puts the certificate authority of the API server into every namespace, for pods to mount."""
