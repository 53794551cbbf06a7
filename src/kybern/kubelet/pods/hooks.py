"""What a container wants done right after it starts and right before it ends.

In:   a LifecycleHandler.
Out:  it was done, or HookFailed.
By:   pods/act.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    handler: LifecycleHandler, target: Target, runtime: Runtime, clock: Clock
) -> None:
    """Do what a hook asks for, and wait for it.

    Raises:
        HookFailed: the command failed, or nobody answered.
    """
    if handler.exec is not None:
        await _run_command(handler.exec.command or [], target, runtime)
    elif handler.httpGet is not None:
        try:
            port = port_number(handler.httpGet.port or 80, target.spec)
        except LookupError as error:
            raise HookFailed(str(error.args[0])) from None
        address = http.address_of(handler.httpGet, target.pod_ip, port)
        try:
            await http.get(address, handler.httpGet.httpHeaders or (), USER_AGENT, HTTP_SECONDS)
        except http.Unanswered as why:
            raise HookFailed(str(why)) from None
    elif handler.sleep is not None:
        await clock.sleep(handler.sleep.seconds)
    else:
        raise HookFailed("invalid handler: it has neither exec nor httpGet nor sleep")


async def _run_command(command: list[str], target: Target, runtime: Runtime) -> None:
    try:
        done = await runtime.exec_sync(target.container_id, command, LONGEST)
    except RuntimeFailure as failure:
        raise HookFailed(failure.described) from None
    if done.exit_code != 0:
        said = (done.stdout + done.stderr).decode(errors="replace")
        raise HookFailed(
            f'Exec lifecycle hook ({command}) for Container "{target.spec.name}" failed - error: '
            f"command '{' '.join(command)}' exited with {done.exit_code}: {said}"
        )
