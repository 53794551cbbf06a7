"""The Container Storage Interface, as its callers see it.

A driver is a program of somebody else which answers gRPC on a Unix socket. `messages` are what is
said, `client` has one method for each remote call, and `transport` carries the bytes: straight to
a socket on this machine, or as whoever gives it a `Transport` of their own (controllers reach the
sockets of a node through its kubelet).

What to call when is decided by the kubelet (node service) and the controllers (controller service).
"""
