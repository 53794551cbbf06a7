"""HTTP from outside: Ingress objects become the routes of a proxy on this node.

Ingresses of our classes (`classes`) are joined with Services, endpoints and certificates into a
frozen plan: which host and path lead to which backend, and what is wrong (`plan`, with `routes` and
`backends`). The plan becomes haproxy's files (`configuration`); where only endpoints changed, it
becomes commands to the haproxy that runs (`slots`). `haproxy` holds the process and the listening
sockets, `sync` follows the API, tells users by events, and publishes the node's address.

Requests never pass through Python. An Ingress that cannot work never keeps another from working.
Without an Ingress there is no process, no socket and no informer but two.
"""
