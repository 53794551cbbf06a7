"""The cluster's names: one DNS server, for Services and everything beyond them.

Services and EndpointSlices flow in from the API, one service at a time, and become owner names
with record data (`records`). A `zone` holds them and finds the answer to a question, or says why
there is none. Queries flow in from sockets (`server`), are taken apart and answered as bytes
(`wire`), and go to the zone, or to the node's own resolvers when they are about the rest of the
world (`forward`); `resolve` decides which, and remembers packed answers.

It never asks the API server while answering, and it never makes a client wait for an upstream
server that does not exist.
"""
