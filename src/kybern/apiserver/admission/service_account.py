"""Whose name a pod speaks in: its service account, and the volume with its token.

In:   pods to be created.
Out:  spec.serviceAccountName, imagePullSecrets and the volume `kube-api-access-…` filled in;
      Forbidden when there is no such account.
By:   admission.plugins.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from kybern.api import errors
from kybern.api.core import v1
from kybern.api.core.pods import is_mirror
from kybern.apiserver.admission.looking import Lookup, named, pod_is_created
from kybern.store.interface import WatcherTooSlow

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.review import Review

DEFAULT = "default"
PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
VOLUME = "kube-api-access-"
SECONDS = 3607
"""Upstream's: an hour and seven seconds, so that such tokens can be told from requested ones."""
ROOT_CA = "kube-root-ca.crt"
PATIENCE = 1.5
"""Seconds a pod waits for the default account of a namespace that has just been made."""


class ServiceAccount:
    """Gives pods their account and its token."""

    def __init__(self, services: Services) -> None:
        self._accounts = Lookup(services, v1.ServiceAccount)
        self._store = services.store
        self._identities = services.identities

    def handles(self, group: str, plural: str, subresource: str, operation: str) -> bool:
        """Want new pods."""
        return pod_is_created(group, plural, subresource, operation)

    def mutate(self, review: Review) -> Awaitable[None] | None:
        """Fill in the account.

        Raises:
            Forbidden: there is no such account, or a mirror pod wants one.
        """
        pod: v1.Pod = review.obj
        if is_mirror(pod):
            _check_mirror(review, pod)
            return None
        spec = pod.spec
        spec.serviceAccountName = spec.serviceAccountName or spec.serviceAccount or DEFAULT
        spec.serviceAccount = spec.serviceAccountName
        account = self._accounts.get(spec.serviceAccountName, review.namespace)
        if account is not None:
            self._apply(pod, account)
            return None
        if spec.serviceAccountName == DEFAULT:
            return self._wait(review, pod)
        raise _missing(review, spec.serviceAccountName)

    async def _wait(self, review: Review, pod: v1.Pod) -> None:
        """Wait a little for the controller that makes default accounts."""
        key = self._accounts.key(DEFAULT, review.namespace)
        watcher = self._store.watch(key, self._store.revision)
        try:
            async with asyncio.timeout(PATIENCE):
                await anext(watcher)
        except (TimeoutError, StopAsyncIteration, WatcherTooSlow):
            pass  # look for the last time below
        finally:
            watcher.close()
        account = self._accounts.get(DEFAULT, review.namespace)
        if account is None:
            raise _missing(review, DEFAULT)
        self._apply(pod, account)

    def _apply(self, pod: v1.Pod, account: v1.ServiceAccount) -> None:
        spec = pod.spec
        if not spec.imagePullSecrets and account.imagePullSecrets:
            spec.imagePullSecrets = [
                v1.LocalObjectReference(name=ref.name) for ref in account.imagePullSecrets
            ]
        wanted = spec.automountServiceAccountToken
        if wanted is None:
            wanted = account.automountServiceAccountToken
        if wanted is not False:
            self._mount(spec)

    def _mount(self, spec: v1.PodSpec) -> None:
        containers = [*(spec.initContainers or ()), *spec.containers]
        without = [c for c in containers if not _has_mount(c)]
        if not without:
            return
        name = _existing(spec)
        if not name:
            name = VOLUME + self._identities.suffix()
            spec.volumes = [*(spec.volumes or ()), token_volume(name)]
        for container in without:
            mount = v1.VolumeMount(name=name, readOnly=True, mountPath=PATH)
            container.volumeMounts = [*(container.volumeMounts or ()), mount]


def token_volume(name: str) -> v1.Volume:
    """Return the volume with a token, the cluster's CA and the namespace."""
    return v1.Volume(
        name=name,
        projected=v1.ProjectedVolumeSource(
            defaultMode=0o644,
            sources=[
                v1.VolumeProjection(
                    serviceAccountToken=v1.ServiceAccountTokenProjection(
                        expirationSeconds=SECONDS, path="token"
                    )
                ),
                v1.VolumeProjection(
                    configMap=v1.ConfigMapProjection(
                        name=ROOT_CA, items=[v1.KeyToPath(key="ca.crt", path="ca.crt")]
                    )
                ),
                v1.VolumeProjection(
                    downwardAPI=v1.DownwardAPIProjection(
                        items=[
                            v1.DownwardAPIVolumeFile(
                                path="namespace",
                                fieldRef=v1.ObjectFieldSelector(
                                    apiVersion="v1", fieldPath="metadata.namespace"
                                ),
                            )
                        ]
                    )
                ),
            ],
        ),
    )


def _has_mount(container: Any) -> bool:
    return any(mount.mountPath == PATH for mount in container.volumeMounts or ())


def _existing(spec: v1.PodSpec) -> str:
    """Return the token volume a pod that was copied from another already has."""
    for volume in spec.volumes or ():
        if volume.name.startswith(VOLUME) and volume.projected is not None:
            return volume.name
    return ""


def _missing(review: Review, name: str) -> errors.Forbidden:
    return errors.Forbidden.of(
        review.resource.kind, named(review),
        f"error looking up service account {review.namespace}/{name}: "
        f'serviceaccount "{name}" not found',
    )  # fmt: skip


def _check_mirror(review: Review, pod: v1.Pod) -> None:
    """Refuse a mirror pod with an identity: nobody could give it to the pod on the node."""
    text = ""
    if pod.spec.serviceAccountName:
        text = "a mirror pod may not reference service accounts"
    elif any(volume.secret is not None for volume in pod.spec.volumes or ()):
        text = "a mirror pod may not reference secrets"
    if text:
        raise errors.Forbidden.of(review.resource.kind, named(review), text)
