"""API servers of others behind this one.

An APIService names a Service, which answers for a group version as if it were here.

`apiservices` follows the APIServices, `backend` speaks to one server and asks whether it answers,
`addresses` finds it behind its Service, `front_proxy` says for whom we speak, `merging` shows what
it serves in our discovery and OpenAPI documents.
"""
