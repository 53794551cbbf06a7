"""CEL as Kubernetes speaks it: its libraries, its variables, its types.

`libraries` adds the functions, `schemas` makes types of API objects, `admission` is the environment
of admission policies and match conditions. The language itself is `kybern.lib.cel`. All pure: an
authorizer or an object comes in as a value.
"""
