"""What every Runtime promises, proved on the fake and on a real containerd."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.contracts import containerd_fixture

from kybern.kubelet import images
from kybern.kubelet.runtime.cri import CriRuntime
from kybern.kubelet.runtime.fake import FakeRuntime
from kybern.kubelet.runtime.interface import Happened, RuntimeFailure
from kybern.kubelet.runtime.messages import container as c
from kybern.kubelet.runtime.messages import image as i
from kybern.kubelet.runtime.messages import sandbox as s
from kybern.kubelet.runtime.messages import service as v
from kybern.lib.clock import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

IMAGE = containerd_fixture.BUSYBOX_IMAGE


@dataclass
class Place:
    """A kind of runtime: how to make one, and where its logs go."""

    make: Callable[[], Any]
    logs: str
    real: bool
    count: int = 0

    def run(self, story: Callable[[Any], Awaitable[None]]) -> None:
        """Run a story with a fresh connection to the runtime."""

        async def main() -> None:
            runtime = self.make()
            try:
                await asyncio.wait_for(story(runtime), 60)
            finally:
                if self.real:
                    for sandbox in await runtime.sandboxes():
                        await runtime.remove_sandbox(sandbox.id)
                    await runtime.close()

        asyncio.run(main())

    def sandbox(self, **labels: str) -> s.PodSandboxConfig:
        """Return the configuration of another sandbox."""
        self.count += 1
        name = f"pod{self.count}"
        options = s.NamespaceOption(pid=int(s.NamespaceMode.CONTAINER))
        return s.PodSandboxConfig(
            metadata=s.PodSandboxMetadata(name, f"uid-{self.count}", "default", 0),
            hostname=name,
            log_directory=f"{self.logs}/{name}",
            labels={"pod": name, **labels},
            annotations={"note": "kept as it is"},
            linux=s.LinuxPodSandboxConfig(
                cgroup_parent="/kybern-contract",
                security_context=s.LinuxSandboxSecurityContext(namespace_options=options),
            ),
        )


def container(*command: str, attempt: int = 0, **labels: str) -> c.ContainerConfig:
    options = s.NamespaceOption(pid=int(s.NamespaceMode.CONTAINER))
    return c.ContainerConfig(
        metadata=c.ContainerMetadata("main", attempt),
        image=i.ImageSpec(IMAGE),
        command=list(command) or ["sleep", "3600"],
        labels=labels,
        annotations={"restarts": str(attempt)},
        log_path=f"main/{attempt}.log",
        linux=c.LinuxContainerConfig(
            resources=s.LinuxContainerResources(cpu_shares=2),
            security_context=c.LinuxContainerSecurityContext(namespace_options=options),
        ),
    )


@pytest.fixture(scope="module")
def containerd() -> Iterator[Place]:
    if why := containerd_fixture.why_not():
        pytest.skip(why)
    with containerd_fixture.running(1) as (directory, made, _):

        async def load() -> None:
            for recipe in (
                images.pause_recipe(made.sandbox_image),
                containerd_fixture.busybox_recipe(),
            ):
                await images.load_bytes(images.archive(recipe), made.socket, made.ctr)

        asyncio.run(load())
        yield Place(lambda: CriRuntime(made.endpoint, SYSTEM), str(directory / "logs"), real=True)


@pytest.fixture
def fake() -> Place:
    def make() -> FakeRuntime:
        runtime = FakeRuntime(SYSTEM)
        runtime.add_image(IMAGE)
        return runtime

    return Place(make, "/nowhere", real=False)


@pytest.fixture(params=["fake", pytest.param("containerd", marks=pytest.mark.e2e)])
def place(request: pytest.FixtureRequest) -> Place:
    return request.getfixturevalue(request.param)


def test_it_says_who_it_is_and_that_it_is_ready(place: Place) -> None:
    async def story(runtime: Any) -> None:
        assert (await runtime.version()).runtime_name
        for _ in range(100):
            conditions = {k.type: k.status for k in (await runtime.status()).conditions}
            if all(conditions.values()):
                break
            await asyncio.sleep(0.05)
        assert conditions == {"RuntimeReady": True, "NetworkReady": True}

    place.run(story)


def test_a_sandbox_has_an_address_until_it_is_stopped(place: Place) -> None:
    async def story(runtime: Any) -> None:
        config = place.sandbox(app="one")
        sandbox_id = await runtime.run_sandbox(config)
        status = await runtime.sandbox_status(sandbox_id)
        assert status.state == s.SandboxState.READY
        assert status.network is not None
        assert status.network.ip.startswith("10.")
        assert status.annotations["note"] == "kept as it is"
        listed = await runtime.sandboxes({"app": "one"})
        assert [(x.id, x.metadata.uid) for x in listed] == [(sandbox_id, config.metadata.uid)]
        assert await runtime.sandboxes({"app": "two"}) == []
        await runtime.stop_sandbox(sandbox_id)
        assert (await runtime.sandbox_status(sandbox_id)).state == s.SandboxState.NOTREADY
        await runtime.remove_sandbox(sandbox_id)
        with pytest.raises(RuntimeFailure) as failure:
            await runtime.sandbox_status(sandbox_id)
        assert failure.value.missing

    place.run(story)


def test_a_container_lives_from_created_to_exited(place: Place) -> None:
    async def story(runtime: Any) -> None:
        config = place.sandbox()
        sandbox_id = await runtime.run_sandbox(config)
        container_id = await runtime.create_container(
            sandbox_id, container(app="lives", attempt=3), config
        )
        assert (await runtime.container_status(container_id)).state == c.ContainerState.CREATED
        await runtime.start_container(container_id)
        status = await runtime.container_status(container_id)
        assert status.state == c.ContainerState.RUNNING
        assert status.started_at >= status.created_at > 0
        assert status.metadata.attempt == 3
        assert status.annotations == {"restarts": "3"}
        assert status.image_ref.startswith("sha256:")
        [listed] = await runtime.containers({"app": "lives"})
        assert (listed.id, listed.pod_sandbox_id) == (container_id, sandbox_id)
        await runtime.stop_container(container_id, 0)
        status = await runtime.container_status(container_id)
        assert (status.state, status.exit_code) == (c.ContainerState.EXITED, 137)
        assert status.finished_at >= status.started_at
        assert status.reason == "Error"
        await runtime.remove_container(container_id)
        with pytest.raises(RuntimeFailure) as failure:
            await runtime.container_status(container_id)
        assert failure.value.missing

    place.run(story)


def test_an_end_is_told_at_once_and_with_its_code(place: Place) -> None:
    async def story(runtime: Any) -> None:
        config = place.sandbox()
        sandbox_id = await runtime.run_sandbox(config)
        async with contextlib.aclosing(runtime.events()) as events:
            assert (await anext(events)).happened is Happened.RESYNC
            hearing = asyncio.get_running_loop().create_task(_ends(events))
            await asyncio.sleep(0.3)  # a real subscription takes a moment
            container_id = await runtime.create_container(
                sandbox_id, container("sh", "-c", "exit 7"), config
            )
            await runtime.start_container(container_id)
            assert await asyncio.wait_for(hearing, 10) == container_id
        for _ in range(200):
            status = await runtime.container_status(container_id)
            if status.state == c.ContainerState.EXITED:
                break
            await asyncio.sleep(0.01)
        assert (status.state, status.exit_code) == (c.ContainerState.EXITED, 7)

    place.run(story)


async def _ends(events: Any) -> str:
    async for event in events:
        if event.happened is Happened.STOPPED:
            return event.id
    raise AssertionError("the events ended")


def test_stopping_and_removing_twice_is_no_failure(place: Place) -> None:
    async def story(runtime: Any) -> None:
        config = place.sandbox()
        sandbox_id = await runtime.run_sandbox(config)
        container_id = await runtime.create_container(sandbox_id, container(), config)
        await runtime.start_container(container_id)
        for _ in range(2):
            await runtime.stop_container(container_id, 0)
        for _ in range(2):
            await runtime.remove_container(container_id)
        for _ in range(2):
            await runtime.stop_sandbox(sandbox_id)
        for _ in range(2):
            await runtime.remove_sandbox(sandbox_id)

    place.run(story)


def test_stopping_a_sandbox_ends_its_containers(place: Place) -> None:
    async def story(runtime: Any) -> None:
        config = place.sandbox()
        sandbox_id = await runtime.run_sandbox(config)
        container_id = await runtime.create_container(sandbox_id, container(), config)
        await runtime.start_container(container_id)
        await runtime.stop_sandbox(sandbox_id)
        status = await runtime.container_status(container_id)
        assert status.state == c.ContainerState.EXITED
        await runtime.remove_sandbox(sandbox_id)
        assert await runtime.containers({"pod": config.hostname}) == []

    place.run(story)


def test_a_command_answers_with_its_code(place: Place) -> None:
    async def story(runtime: Any) -> None:
        config = place.sandbox()
        sandbox_id = await runtime.run_sandbox(config)
        container_id = await runtime.create_container(sandbox_id, container(), config)
        with pytest.raises(RuntimeFailure):
            await runtime.exec_sync(container_id, ["true"], 5)  # it does not run yet
        await runtime.start_container(container_id)
        if not place.real:
            runtime.exec_answer = lambda _, __: v.ExecSyncResponse(b"out\n", b"err\n", 3)
        script = "echo out; echo err >&2; exit 3"
        answer = await runtime.exec_sync(container_id, ["sh", "-c", script], 5)
        assert (answer.stdout, answer.stderr, answer.exit_code) == (b"out\n", b"err\n", 3)

    place.run(story)


def test_streams_are_prepared_for_running_containers_only(place: Place) -> None:
    async def story(runtime: Any) -> None:
        config = place.sandbox()
        sandbox_id = await runtime.run_sandbox(config)
        container_id = await runtime.create_container(sandbox_id, container(), config)
        await runtime.start_container(container_id)
        request = v.ExecRequest(container_id, ["true"], stdout=True)
        assert (await runtime.exec_url(request)).startswith("http://")
        assert (await runtime.port_forward_url(sandbox_id)).startswith("http://")
        attach = v.AttachRequest(container_id, stdout=True)
        assert (await runtime.attach_url(attach)).startswith("http://")
        with pytest.raises(RuntimeFailure):
            await runtime.exec_url(v.ExecRequest("0" * 64, ["true"], stdout=True))

    place.run(story)


def test_images_are_found_by_name_and_by_id(place: Place) -> None:
    async def story(runtime: Any) -> None:
        image = await runtime.image_status(IMAGE)
        assert image is not None
        assert IMAGE in image.repo_tags
        assert (await runtime.image_status(image.id)).id == image.id
        assert image.id in [other.id for other in await runtime.images()]
        assert await runtime.image_status("example.test/nothing:1") is None
        assert (await runtime.image_filesystem()) is not None

    place.run(story)


def test_an_image_that_is_nowhere_is_a_failure(place: Place) -> None:
    async def story(runtime: Any) -> None:
        with pytest.raises(RuntimeFailure) as failure:
            await runtime.pull_image("127.0.0.1:1/nothing:1", None, None)
        assert "127.0.0.1:1/nothing:1" in failure.value.message
        config = place.sandbox()
        sandbox_id = await runtime.run_sandbox(config)
        wanted = container()
        wanted.image = i.ImageSpec("example.test/nothing:1")
        with pytest.raises(RuntimeFailure):
            await runtime.create_container(sandbox_id, wanted, config)

    place.run(story)


def test_running_containers_are_measured(place: Place) -> None:
    async def story(runtime: Any) -> None:
        config = place.sandbox()
        sandbox_id = await runtime.run_sandbox(config)
        container_id = await runtime.create_container(sandbox_id, container(), config)
        await runtime.start_container(container_id)
        measured = {m.attributes.id: m for m in await runtime.container_stats()}
        assert measured[container_id].memory.working_set_bytes.value > 0

    place.run(story)
