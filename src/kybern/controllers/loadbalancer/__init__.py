"""Gives Services of type LoadBalancer an address from a pool, as there is no cloud to ask."""
