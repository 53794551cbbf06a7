"""What a container wants done right after it starts and right before it ends.

In:   a LifecycleHandler.
Out:  it was done, or HookFailed.
By:   pods/act.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.bad_value import quote
from kybern.kubelet.probes import http
from kybern.kubelet.probes.ask import port_number
from kybern.kubelet.runtime.interface import RuntimeFailure

if TYPE_CHECKING:
    from kybern.api.core.v1 import LifecycleHandler
    from kybern.kubelet.probes.ask import Target
    from kybern.kubelet.runtime.interface import Runtime
    from kybern.lib.clock import Clock

USER_AGENT = "kube-lifecycle/1.36"
HTTP_SECONDS = 30.0
LONGEST = 24 * 3600


class HookFailed(Exception):
    """A hook did not succeed; `str()` is for events and messages."""


async def run_hook(
    handler: LifecycleHandler, target: Target, pod: str, runtime: Runtime, clock: Clock
) -> None:
    """Do what a hook asks for, and wait for it; `pod` is how messages call the pod.

    Raises:
        HookFailed: the command failed, or nobody answered.
    """
    if handler.exec is not None:
        await _run_command(handler.exec.command or [], target, pod, runtime)
    elif handler.httpGet is not None:
        try:
            port = port_number(handler.httpGet.port or 80, target.spec)
        except LookupError as error:
            raise HookFailed(str(error.args[0])) from None
        address = http.address_of(handler.httpGet, target.pod_ip, port)
        try:
            await http.get(address, handler.httpGet.httpHeaders or (), USER_AGENT, HTTP_SECONDS)
        except http.Unanswered as why:
            raise HookFailed(
                f"HTTP lifecycle hook ({handler.httpGet.path or ''}) for Container "
                f'"{target.spec.name}" in Pod "{pod}" failed - error: {why}'
            ) from None
    elif handler.sleep is not None:
        await clock.sleep(handler.sleep.seconds)
    else:
        raise HookFailed("invalid handler: it has neither exec nor httpGet nor sleep")


async def _run_command(command: list[str], target: Target, pod: str, runtime: Runtime) -> None:
    words = " ".join(command)
    try:
        done = await runtime.exec_sync(target.container_id, command, LONGEST)
    except RuntimeFailure as failure:
        why, said = failure.described, ""
    else:
        if done.exit_code == 0:
            return
        said = (done.stdout + done.stderr).decode(errors="replace")
        stderr = done.stderr.decode(errors="replace")
        why = f"command '{words}' exited with {done.exit_code}: {stderr}"
    raise HookFailed(
        f'Exec lifecycle hook ([{words}]) for Container "{target.spec.name}" in Pod "{pod}" '
        f"failed - error: {why}, message: {quote(said)}"
    )
