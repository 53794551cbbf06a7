"""Which Kubernetes this is.

In:   nothing.
Out:  the version every part says it has.
By:   the API server's /version and OpenAPI, the kubelet's Node.
"""

from __future__ import annotations

KUBERNETES = "v1.36.2"
GIT_VERSION = f"{KUBERNETES}+kybern"
