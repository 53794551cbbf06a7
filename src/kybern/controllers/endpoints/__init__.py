"""Writes down, in the older Endpoints API, which pods stand behind a Service.

EndpointSlices have replaced it, but clients that still read Endpoints must find them right.
"""
