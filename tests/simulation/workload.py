"""Users: they deploy, scale, roll out, roll back, pause and delete, and remember what they asked.

A user who hears nothing asks again until it is certain. What was asked for last must be there at
the end: nobody else changes what users wrote.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kybern.api import codec, errors
from kybern.api.apps.v1 import Deployment
from kybern.api.core.v1 import ConfigMap, Namespace, Pod, Service
from kybern.client.transport import MASTER, Unreachable
from tests.simulation.profiles import TROUBLE

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from tests.simulation.world import World

AGAIN = 3.0
MOST = 3  # replicas of a deployment
STRATEGIES: tuple[dict[str, Any], ...] = (
    {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
    {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
    {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
    {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 2}},
    {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}},
    {"type": "Recreate"},
)
POLICIES = ("Background", "Foreground", "Orphan")


@dataclass(slots=True)
class Wanted:
    """A Deployment as its user wants it."""

    name: str
    namespace: str
    strategy: dict[str, Any]
    patience: int
    service: bool
    replicas: int = 1
    image: str = "app:1"
    paused: bool = False
    exists: bool = False
    images: list[str] = field(default_factory=list)

    def tree(self) -> dict[str, Any]:
        """Return the object to create."""
        labels = {"app": self.name}
        container = {
            "name": "c", "image": self.image, "resources": {"requests": {"cpu": "250m"}},
        }  # fmt: skip
        return {
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": labels},
            "spec": {
                "replicas": self.replicas, "selector": {"matchLabels": labels},
                "strategy": self.strategy, "minReadySeconds": self.patience,
                "paused": self.paused, "revisionHistoryLimit": 2,
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        }  # fmt: skip


class Users:
    """Everybody who wants something of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._client = world.users.client(MASTER)
        rng, profile = world.rng, world.profile
        self.deployments = [
            Wanted(
                f"d{number}",
                "other" if number == 1 else "default",
                rng.choice(STRATEGIES),
                rng.choice((0, 0, 5)),
                rng.random() < 0.5,
                rng.randint(1, MOST),
            )
            for number in range(profile.deployments)
        ]
        self._coming: list[asyncio.Task[None]] = []
        self.counted = 0
        self.perhaps = 0
        steps = sorted(rng.uniform(10, TROUBLE) for _ in range(profile.steps))
        self._steps = [(at, rng.choice(self.STEPS)) for at in steps]

    async def run(self) -> None:
        """Ask for everything, then change it step by step."""
        clock, rng = self._world.clock, self._world.rng
        await self._create_namespace("other")
        for wanted in self.deployments:
            await self._deploy(wanted)
        for at, step in self._steps:
            await clock.sleep(max(0.0, at - clock.monotonic()))
            wanted = rng.choice(self.deployments)
            self._world.note("step", f"{step.__name__} {wanted.name}")
            await step(self, wanted)
        await clock.sleep(max(0.0, TROUBLE - clock.monotonic()))
        for task in self._coming:
            await task
        for wanted in self.deployments:
            if wanted.exists and (wanted.paused or "bad" in wanted.image):
                wanted.paused = False
                image = wanted.image.replace("bad", "good")
                await self._roll_to(wanted, image)

    # --- what they do ------------------------------------------------------------------------

    async def _scale(self, wanted: Wanted) -> None:
        replicas = self._world.rng.randint(0, MOST)
        if wanted.exists:
            await self._patch(wanted, {"spec": {"replicas": replicas}})
            wanted.replicas = replicas

    async def _roll(self, wanted: Wanted) -> None:
        rng = self._world.rng
        image = f"{'bad' if rng.random() < 0.1 else 'app'}:{rng.randint(2, 5)}"
        if wanted.exists:
            wanted.images.append(wanted.image)
            await self._roll_to(wanted, image)

    async def _roll_back(self, wanted: Wanted) -> None:
        if wanted.exists:
            image = wanted.images.pop() if wanted.images else wanted.image
            await self._roll_to(wanted, image)

    async def _roll_to(self, wanted: Wanted, image: str) -> None:
        template = {"spec": {"containers": [{"name": "c", "image": image}]}}
        await self._patch(wanted, {"spec": {"template": template, "paused": wanted.paused}})
        wanted.image = image

    async def _pause(self, wanted: Wanted) -> None:
        if wanted.exists:
            wanted.paused = not wanted.paused
            await self._patch(wanted, {"spec": {"paused": wanted.paused}})

    async def _delete(self, wanted: Wanted) -> None:
        if not wanted.exists:
            await self._deploy(wanted)
            return
        policy = self._world.rng.choice(POLICIES)
        await self._gone(Deployment, wanted.name, wanted.namespace, policy)
        if wanted.service:
            await self._gone(Service, wanted.name, wanted.namespace, None)
        wanted.exists = False
        if policy == "Orphan":
            self._orphaned(wanted)

    def _orphaned(self, wanted: Wanted) -> None:
        """Who comes after adopts what is left, so let somebody come."""
        self._coming.append(self._world.tasks.spawn(self._deploy(wanted), name="come back"))

    async def _kill_pod(self, wanted: Wanted) -> None:
        pods = [
            pod.metadata
            for pod in self._world.invariants.pods.values()
            if pod.metadata.labels.get("app") == wanted.name
        ]
        if pods:
            victim = self._world.rng.choice(sorted(pods, key=lambda one: one.name))
            await self._delete_once(Pod, victim.name, victim.namespace, victim.uid)

    async def _count(self, _: Wanted) -> None:
        """Add one to a number that others add to as well."""

        async def once() -> None:
            found = codec.clone(await self._client.get(ConfigMap, "count", "default"))
            found.data = {"n": str(int((found.data or {}).get("n", "0")) + 1)}
            try:
                await self._client.update(found)
            except Unreachable:
                self.perhaps += 1
                raise
            self.counted += 1

        await self._insist(
            lambda: self._client.create(
                codec.from_tree(
                    {
                        "apiVersion": "v1",
                        "kind": "ConfigMap",
                        "metadata": {"name": "count", "namespace": "default"},
                    },
                    ConfigMap,
                )
            ),
            fine=(errors.AlreadyExists,),
        )
        for _ in range(2):
            self._world.tasks.spawn(self._insist(once), name="count")

    async def _drop_namespace(self, _: Wanted) -> None:
        await self._gone(Namespace, "other", "", None)
        for wanted in self.deployments:
            if wanted.namespace == "other":
                wanted.exists = False
        while "/registry/namespaces/other" in self._world.engine.entries:
            await self._world.clock.sleep(AGAIN)
        await self._create_namespace("other")

    # --- how they ask ------------------------------------------------------------------------

    async def _create_namespace(self, name: str) -> None:
        tree = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        namespace = codec.from_tree(tree, Namespace)
        await self._insist(lambda: self._client.create(namespace), fine=(errors.AlreadyExists,))

    async def _deploy(self, wanted: Wanted) -> None:
        deployment = codec.from_tree(wanted.tree(), Deployment)
        create = self._create_anew
        await create(Deployment, deployment)
        if wanted.service:
            spec = {"selector": {"app": wanted.name}, "ports": [{"port": 80}]}
            meta = {"name": wanted.name, "namespace": wanted.namespace}
            tree = {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}
            await create(Service, codec.from_tree(tree, Service))
        wanted.exists = True

    async def _create_anew(self, what: type[Any], obj: Any) -> None:
        """Create it, once the one before is gone."""

        async def create() -> None:
            try:
                await self._client.create(obj)
            except errors.AlreadyExists:
                meta = obj.metadata
                found = await self._client.get(what, meta.name, meta.namespace)
                if found.metadata.deletionTimestamp is not None:
                    raise

        await self._insist(create)

    async def _patch(self, wanted: Wanted, body: dict[str, Any]) -> None:
        await self._insist(
            lambda: self._client.patch(
                Deployment, wanted.name, wanted.namespace, body, type="strategic"
            )
        )

    async def _gone(self, what: type[Any], name: str, namespace: str, policy: str | None) -> None:
        await self._insist(
            lambda: self._client.delete(what, name, namespace, propagation=policy),
            fine=(errors.NotFound,),
        )

    async def _delete_once(self, what: type[Any], name: str, namespace: str, uid: str) -> None:
        await self._insist(
            lambda: self._client.delete(what, name, namespace, uid=uid),
            fine=(errors.NotFound, errors.Conflict),
        )

    async def _insist(
        self, ask: Callable[[], Awaitable[Any]], fine: tuple[type[Exception], ...] = ()
    ) -> None:
        while True:
            try:
                await ask()
            except fine:
                return
            except (errors.ApiError, Unreachable):
                await self._world.clock.sleep(AGAIN)
            else:
                return

    STEPS = (
        _scale, _scale, _roll, _roll, _roll, _roll_back, _pause, _delete, _kill_pod, _count,
        _drop_namespace,
    )  # fmt: skip
