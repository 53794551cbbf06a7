"""Volumes which are images, where the runtime mounts them and where it does not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.kubelet.node_under_test import IMAGE, NodeUnderTest, play

from kybern.kubelet.image_mounts import CannotMountImage, ImageMounts, runtime_mounts_images
from kybern.kubelet.runtime.messages.service import VersionResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    def run(tell: Callable[[NodeUnderTest], Awaitable[None]]) -> None:
        play(monkeypatch, tmp_path, tell)

    return run


def pod(policy: str = "IfNotPresent", reference: str = IMAGE) -> dict[str, Any]:
    mount = {"name": "v", "mountPath": "/v", "subPath": "etc"}
    return {
        "containers": [{"name": "main", "image": IMAGE, "volumeMounts": [mount]}],
        "volumes": [{"name": "v", "image": {"reference": reference, "pullPolicy": policy}}],
    }


@pytest.mark.parametrize(
    ("name", "version", "does"),
    [
        ("containerd", "1.6.20~ds1", False),
        ("containerd", "v2.0.5", False),
        ("containerd", "v2.1.0", True),
        ("cri-o", "1.30.1", False),
        ("cri-o", "1.31.0", True),
        ("fake", "", True),
    ],
)
def test_which_runtimes_mount_images(name: str, version: str, does: bool) -> None:
    assert runtime_mounts_images(name, version) is does


def test_a_runtime_that_can_is_asked_to(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create(**pod())
        await it.settle()
        [mount] = [
            mount
            for mount in it.runtime._containers[it.container()].config.mounts
            if mount.container_path == "/v"
        ]
        assert mount.image is not None
        assert mount.image.image == it.runtime.stored[IMAGE].id
        assert (mount.readonly, mount.image_sub_path, mount.host_path) == (True, "etc", "")

    story(tell)


def test_an_old_runtime_is_told_about(story: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def old(_: Any) -> VersionResponse:
        return VersionResponse(runtime_name="containerd", runtime_version="1.6.20")

    async def tell(it: NodeUnderTest) -> None:
        await it.kill_kubelet()
        monkeypatch.setattr(type(it.runtime), "version", old)
        await it.start_kubelet()
        await it.create(**pod())
        await it.settle()
        [status] = (await it.get()).status.containerStatuses or []
        assert status.state is not None
        assert status.state.waiting is not None
        assert status.state.waiting.reason == "CreateContainerError"
        assert "use containerd 2.1" in (status.state.waiting.message or "")

    story(tell)


def test_an_image_that_is_not_there_is_told_about(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create(**pod("Never", "away:1"))
        await it.settle()
        [status] = (await it.get()).status.containerStatuses or []
        assert status.state is not None
        assert status.state.waiting is not None
        assert status.state.waiting.reason == "ErrImageNeverPull"

    story(tell)


def test_what_containerd_says_is_passed_on(tmp_path: Path) -> None:
    async def main() -> None:
        mounts = ImageMounts(tmp_path / "no-socket", "/bin/false")
        with pytest.raises(CannotMountImage):
            await mounts.mount("a:1", tmp_path / "place")
        await mounts.release(tmp_path / "place")  # nothing is there

    asyncio.run(main())
