"""What is said about hooks that fail."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.kubelet.making import pod

from kybern.api import codec
from kybern.api.core.v1 import LifecycleHandler
from kybern.kubelet.pods.hooks import HookFailed, run_hook
from kybern.kubelet.probes.ask import Target
from kybern.kubelet.runtime.messages.service import ExecSyncResponse
from kybern.lib.clock import SYSTEM


class Runtime:
    async def exec_sync(self, *_: Any) -> ExecSyncResponse:
        return ExecSyncResponse(b"out", b"err\n", 3)


def failure(handler: dict[str, Any]) -> str:
    target = Target(pod().spec.containers[0], "c-1", "127.0.0.1")
    hook = codec.from_tree(handler, LifecycleHandler)
    with pytest.raises(HookFailed) as failed:
        asyncio.run(run_hook(hook, target, "web_shop(u-1)", Runtime(), SYSTEM))  # type: ignore[arg-type]
    return str(failed.value)


def test_a_command_that_fails() -> None:
    assert failure({"exec": {"command": ["sh", "-c", "exit 3"]}}) == (
        'Exec lifecycle hook ([sh -c exit 3]) for Container "main" in Pod "web_shop(u-1)" failed '
        "- error: command 'sh -c exit 3' exited with 3: err\n"
        ', message: "outerr\\n"'
    )


def test_a_server_that_does_not_answer() -> None:
    said = failure({"httpGet": {"path": "/go", "port": 1}})
    assert said.startswith(
        'HTTP lifecycle hook (/go) for Container "main" in Pod "web_shop(u-1)" failed - error: Get '
    )
