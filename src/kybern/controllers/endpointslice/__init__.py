"""Writes down, in EndpointSlices, which pods stand behind a Service.

`endpoints` says what one pod contributes, `plan` spreads that over slices, `controller` writes.
"""
