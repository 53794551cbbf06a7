"""Upstream's conformance tests, in our words.

Each test names the upstream test whose demands it makes: `@conforms("[sig-…] …")`. They run against
the real API server and controllers in this process, with raw requests, so that what a client sees
is what is judged. Where a demand needs pods to run, `nodes=…` has kubelets played; what only real
containers can show is for tests/stories. `tools/conformance_table.py` writes docs/conformance.md
from the marks.
"""
