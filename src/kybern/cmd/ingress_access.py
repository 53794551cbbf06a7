"""What Ingress needs of the cluster: a class, and rights for the nodes that serve it.

In:   Ingresses and IngressClasses.
Out:  the IngressClass `haproxy`, the default one, unless there is one of that name; a ClusterRole
      for what every node may read; in each namespace with certificates a Role for just those.
By:   the control plane.

A node can read the Secrets that an Ingress of ours names, and no others: whoever has its
credentials gets no more than what it shows to the world's browsers anyway, and the keys to that.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from kybern.api.errors import AlreadyExists, ApiError, NotFound
from kybern.api.meta.v1 import ObjectMeta
from kybern.api.networking.v1 import Ingress, IngressClass, IngressClassSpec
from kybern.api.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRule,
    Role,
    RoleBinding,
    RoleRef,
    Subject,
)
from kybern.ingress import classes, plan
from kybern.ingress.config import CONTROLLER
from kybern.lib import logs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kybern.client.informer import Informers
    from kybern.client.rest import Client

log = logs.get("ingress.access")

CLASS = "haproxy"
IS_DEFAULT = "ingressclass.kubernetes.io/is-default-class"
ROLE = "kybern:ingress"
CERTIFICATES = "kybern:ingress-certificates"
_RBAC = "rbac.authorization.k8s.io"
_GROUP = "networking.k8s.io"
_NODES = [
    Subject(kind="User", apiGroup=_RBAC, name="system:kube-proxy"),
    Subject(kind="Group", apiGroup=_RBAC, name="system:nodes"),
]


class Keeper:
    """Keeps the class and the rights."""

    def __init__(self, client: Client, informers: Informers) -> None:
        self._client = client
        self._ingresses = informers.of(Ingress)
        self._classes = informers.of(IngressClass)
        self._changed = asyncio.Event()
        self._given: dict[str, frozenset[str]] = {}

    async def run(self) -> None:
        """Keep them until cancelled."""
        for obj in _objects():
            with contextlib.suppress(AlreadyExists):
                await self._client.create(obj)
        registrations = [
            self._ingresses.on_change(lambda _: self._changed.set()),
            self._classes.on_change(lambda _: self._changed.set()),
        ]
        try:
            await self._ingresses.wait_synced()
            await self._classes.wait_synced()
            for role in (await self._client.list(Role, field_selector=_named(CERTIFICATES)))[0]:
                names = role.rules[0].resourceNames if role.rules else None
                self._given[role.metadata.namespace or ""] = frozenset(names or ())
            while True:
                self._changed.clear()
                await self._sync()
                await self._changed.wait()
                await asyncio.sleep(0)  # changes of one moment go together
        finally:
            for registration in registrations:
                registration.remove()

    async def _sync(self) -> None:
        names = classes.ours(self._classes.list())
        ours = (each for each in self._ingresses.list() if classes.claims(each, names))
        wanted: dict[str, set[str]] = {}
        for namespace, name in plan.secrets(ours):
            wanted.setdefault(namespace, set()).add(name)
        for namespace in wanted.keys() | self._given.keys():
            secrets = frozenset(wanted.get(namespace, ()))
            if secrets != self._given.get(namespace, frozenset()):
                try:
                    await (self._give if secrets else self._take)(namespace, secrets)
                except ApiError as error:  # of a namespace that goes away, above all
                    log.warning("rights not written", namespace=namespace, why=error.message)
                    self._given.pop(namespace, None)
                else:
                    self._given[namespace] = secrets

    async def _give(self, namespace: str, secrets: frozenset[str]) -> None:
        rule = PolicyRule(verbs=["get", "list", "watch"], apiGroups=[""], resources=["secrets"])
        rule.resourceNames = sorted(secrets)
        metadata = ObjectMeta(name=CERTIFICATES, namespace=namespace)
        role = Role(metadata=metadata, rules=[rule])
        try:
            await self._client.create(role)
        except AlreadyExists:
            await self._client.update(role)
        ref = RoleRef(apiGroup=_RBAC, kind="Role", name=CERTIFICATES)
        with contextlib.suppress(AlreadyExists):
            await self._client.create(
                RoleBinding(metadata=metadata, roleRef=ref, subjects=list(_NODES))
            )

    async def _take(self, namespace: str, _secrets: frozenset[str]) -> None:
        for kind in (RoleBinding, Role):
            with contextlib.suppress(NotFound):
                await self._client.delete(kind, CERTIFICATES, namespace)


def _named(name: str) -> str:
    return f"metadata.name={name}"


def _objects() -> Iterator[IngressClass | ClusterRole | ClusterRoleBinding]:
    yield IngressClass(
        metadata=ObjectMeta(name=CLASS, annotations={IS_DEFAULT: "true"}),
        spec=IngressClassSpec(controller=CONTROLLER),
    )
    yield ClusterRole(
        metadata=ObjectMeta(name=ROLE),
        rules=[
            PolicyRule(
                verbs=["get", "list", "watch"],
                apiGroups=[_GROUP],
                resources=["ingresses", "ingressclasses"],
            ),
            PolicyRule(verbs=["patch"], apiGroups=[_GROUP], resources=["ingresses/status"]),
        ],
    )
    yield ClusterRoleBinding(
        metadata=ObjectMeta(name=ROLE),
        roleRef=RoleRef(apiGroup=_RBAC, kind="ClusterRole", name=ROLE),
        subjects=list(_NODES),
    )
