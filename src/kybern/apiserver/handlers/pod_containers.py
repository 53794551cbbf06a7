"""Which container of a pod is meant.

In:   a pod, and the `container` parameter.
Out:  the container's name; upstream's refusals when it is not clear or not there.
By:   handlers.pod_log, handlers.pod_streams.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.apiserver.registry import generic

if TYPE_CHECKING:
    from kybern.api.core.v1 import Pod
    from kybern.apiserver.context import RequestContext

DEFAULT = "kubectl.kubernetes.io/default-container"


def pod_of(ctx: RequestContext) -> Pod:
    """Return the pod of the path.

    Raises:
        NotFound: there is none.
    """
    pod: Pod = ctx.resource.decode(generic.find(ctx, ctx.resource))
    return pod


def container_of(pod: Pod, wanted: str) -> str:
    """Return the name of the container that is meant.

    Raises:
        BadRequest: there are several, or none of that name.
    """
    name, spec = pod.metadata.name, pod.spec
    regular = [c.name for c in spec.containers]
    init = [c.name for c in spec.initContainers or ()]
    debug = [c.name for c in spec.ephemeralContainers or ()]
    if wanted:
        if wanted in (*regular, *init, *debug):
            return wanted
        raise errors.BadRequest(f"container {wanted} is not valid for pod {name}")
    preferred = (pod.metadata.annotations or {}).get(DEFAULT, "")
    if preferred in regular:
        return preferred
    if len(regular) == 1 and not init and not debug:
        return regular[0]
    if len(regular) == 1 and not init:
        return regular[0]
    text = (
        f"a container name must be specified for pod {name}, choose one of: [{' '.join(regular)}]"
    )
    if init:
        text += f" or one of the init containers: [{' '.join(init)}]"
    if debug:
        text += f" or one of the ephemeral containers: [{' '.join(debug)}]"
    raise errors.BadRequest(text)
