"""Seeing to it that a container's image is on the node.

In:   a container's image and pull policy, the pod's pull secrets.
Out:  the image; or Held, with the reason, the message and the time of the next try.
By:   pods/act.py.

Of several containers that want one image, one pulls it. After a failure it is tried again after
10 s, doubling up to 5 minutes; in between the status says ImagePullBackOff.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kybern.kubelet.pods.held import Held
from kybern.kubelet.pods.image_names import BadImageName, with_tag
from kybern.kubelet.pods.pull_secrets import credentials_for
from kybern.kubelet.runtime.interface import RuntimeFailure
from kybern.lib.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kybern.api.core.v1 import Secret
    from kybern.kubelet.runtime.interface import Runtime
    from kybern.kubelet.runtime.messages.image import Image
    from kybern.kubelet.runtime.messages.sandbox import PodSandboxConfig
    from kybern.lib.clock import Clock

    Tell = Callable[[str, str, str], None]  # type, reason and message of an event

ALWAYS, IF_NOT_PRESENT, NEVER = "Always", "IfNotPresent", "Never"
RETRY = Backoff(initial=10.0, factor=2.0, cap=300.0)
NORMAL, WARNING = "Normal", "Warning"
ERROR_SHARE = 0.5  # of the wait shows the error itself, the rest that we are waiting


@dataclass(frozen=True, slots=True)
class Failed:
    """An image which could not be pulled."""

    times: int
    at: float
    why: str

    @property
    def until(self) -> float:
        """When it is tried again."""
        return self.at + RETRY.delay(self.times - 1)


@dataclass(frozen=True, slots=True)
class Need:
    """An image, as one container wants it."""

    image: str
    policy: str
    uid: str  # of the pod
    secrets: Sequence[Secret] = ()
    sandbox: PodSandboxConfig | None = None


class Puller:
    """Pulls images, for all pods of the node."""

    def __init__(self, runtime: Runtime, clock: Clock, parallel: int) -> None:
        """At most `parallel` images are pulled at the same time."""
        self._runtime = runtime
        self._clock = clock
        self._slots = asyncio.Semaphore(parallel)
        self._turns: dict[str, asyncio.Lock] = {}
        self._failed: dict[tuple[str, str], Failed] = {}

    async def ensure(self, need: Need, tell: Tell) -> Image:
        """Return the image, pulling it when the policy says so.

        Raises:
            Held: it is not there, and cannot be had now.
        """
        name = self._full_name(need.image, tell)
        image = await self._present(name)
        if image is not None and need.policy != ALWAYS:
            tell(
                NORMAL, "Pulled",
                f'Container image "{need.image}" already present on machine '
                "and can be accessed by the pod",
            )  # fmt: skip
            return image
        if need.policy == NEVER:
            message = f'Container image "{need.image}" is not present with pull policy of Never'
            tell(WARNING, "ErrImageNeverPull", message)
            raise Held("ErrImageNeverPull", message, self._clock.now() + RETRY.initial)
        self._check_patience(need, tell)
        turn = self._turns.setdefault(name, asyncio.Lock())
        arrived = self._clock.now()
        try:
            async with turn:
                # Whoever had the turn before may have pulled it for us.
                if need.policy != ALWAYS and (image := await self._present(name)) is not None:
                    return image
                async with self._slots:
                    return await self._pull(need, name, arrived, tell)
        finally:
            if not turn.locked():
                self._turns.pop(name, None)

    def forget(self, uid: str) -> None:
        """Forget the failures of a pod which is gone."""
        for key in [key for key in self._failed if key[0] == uid]:
            del self._failed[key]

    def _full_name(self, image: str, tell: Tell) -> str:
        try:
            return with_tag(image)
        except BadImageName as bad:
            tell(WARNING, "InspectFailed", str(bad))
            raise Held("InvalidImageName", str(bad), self._clock.now() + RETRY.cap) from None

    async def _present(self, name: str) -> Image | None:
        try:
            return await self._runtime.image_status(name)
        except RuntimeFailure as failure:
            message = f'Failed to inspect image "{name}": {failure.described}'
            raise Held("ImageInspectError", message, self._clock.now() + 1.0) from None

    def _check_patience(self, need: Need, tell: Tell) -> None:
        failed = self._failed.get((need.uid, need.image))
        if failed is None or failed.until <= self._clock.now():
            return
        message = f'Back-off pulling image "{need.image}"'
        tell(NORMAL, "BackOff", message)
        raise Held("ImagePullBackOff", f"{message}: ErrImagePull: {failed.why}", failed.until)

    async def _pull(self, need: Need, name: str, arrived: float, tell: Tell) -> Image:
        tell(NORMAL, "Pulling", f'Pulling image "{need.image}"')
        began = self._clock.now()
        try:
            await self._pull_with_credentials(need, name)
            image = await self._just_pulled(name)
        except RuntimeFailure as failure:
            raise self._note_failure(need, failure, tell) from None
        self._failed.pop((need.uid, need.image), None)
        now = self._clock.now()
        tell(
            NORMAL, "Pulled",
            f'Successfully pulled image "{need.image}" in {_took(now - began)} '
            f"({_took(now - arrived)} including waiting). Image size: {image.size} bytes.",
        )  # fmt: skip
        return image

    async def _pull_with_credentials(self, need: Need, name: str) -> None:
        candidates = credentials_for(name, need.secrets)
        failures = []
        for auth in (*candidates,) or (None,):
            try:
                await self._runtime.pull_image(name, auth, need.sandbox)
            except RuntimeFailure as failure:
                failures.append(failure)
            else:
                return
        raise failures[-1]

    async def _just_pulled(self, name: str) -> Image:
        image = await self._runtime.image_status(name)
        if image is None:
            raise RuntimeFailure(f"image {name} is not there after it was pulled")
        return image

    def _note_failure(self, need: Need, failure: RuntimeFailure, tell: Tell) -> Held:
        why = failure.described
        before = self._failed.get((need.uid, need.image))
        times = before.times + 1 if before else 1
        failed = Failed(times, self._clock.now(), why)
        self._failed[need.uid, need.image] = failed
        tell(WARNING, "Failed", f'Failed to pull image "{need.image}": {why}')
        shown = failed.at + RETRY.delay(times - 1) * ERROR_SHARE
        return Held("ErrImagePull", why, shown)


def _took(seconds: float) -> str:
    """Return a duration as Go prints it, rounded to milliseconds."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    text = f"{rest:.3f}".rstrip("0").rstrip(".")
    return f"{int(minutes)}m{text}s" if minutes else f"{text}s"
