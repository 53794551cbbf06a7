"""Copies Endpoints that somebody wrote by hand into EndpointSlices, which is what proxies read."""
