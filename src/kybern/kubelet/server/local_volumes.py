"""Volumes on this node's disk, as the controller `local-path` asks for them.

In:   PUT with the size makes a volume or lets it grow; DELETE removes it.
Out:  where it is, or a Status: its message ends up in an event of the claim.
By:   server.app.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from kybern.api import codec, errors
from kybern.kubelet.volumes.local_images import InUse, LocalVolumeProblem
from kybern.lib.http.messages import Response

if TYPE_CHECKING:
    from kybern.kubelet.volumes.local_images import LocalVolumes
    from kybern.lib.http.messages import Request


async def answer(request: Request, volumes: LocalVolumes, name: str) -> Response:
    """Do what is asked for with a volume."""
    try:
        return Response(200, await _act(request, volumes, name))
    except errors.ApiError as problem:
        return Response(problem.code, codec.encode(problem.status()))


async def _act(request: Request, volumes: LocalVolumes, name: str) -> bytes:
    try:
        if request.method == "PUT":
            wanted = msgspec.json.decode(await request.body(1024), type=dict[str, int])
            made = await volumes.ensure(name, wanted["bytes"])
            return codec.encode({"path": made.path, "enforced": made.enforced})
        if request.method == "DELETE":
            await volumes.remove(name)
            return b"{}"
    except (msgspec.DecodeError, KeyError) as error:
        raise errors.BadRequest(f'the body must be {{"bytes": SIZE}}: {error}') from None
    except InUse as error:
        raise errors.Conflict(str(error)) from None
    except LocalVolumeProblem as error:
        raise errors.InternalError(str(error)) from None
    raise errors.MethodNotAllowed(f"{request.method} is not supported here")
