"""HTTP/1.1 and what it can be upgraded to.

Messages (`messages`) say what an application sees; `server` and `client` carry them over
sockets with `asyncio.Protocol` and `httptools`; `pipe` and `stream` hold bytes between a socket
and a task; `websocket` and `spdy` speak their framing over a `Stream`. There is no routing, no
middleware and no content negotiation here: those are the application's.
"""
