"""The files of a projected volume: several sources in one directory. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kybern.kubelet.pods.field_values import Facts
from kybern.kubelet.volumes.config_map import config_map_files
from kybern.kubelet.volumes.content import DEFAULT_MODE, Entry, Payload, VolumeProblem
from kybern.kubelet.volumes.downward_api import downward_files
from kybern.kubelet.volumes.secret import secret_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kybern.api.core.v1 import (
        ConfigMap,
        Pod,
        ProjectedVolumeSource,
        Secret,
        ServiceAccountTokenProjection,
    )

TOKEN_LIFETIME = 3600


@dataclass(frozen=True, slots=True)
class Found:
    """The objects and tokens a projected volume is made of, by name; tokens by `token_key`."""

    config_maps: Mapping[str, ConfigMap | None] = field(default_factory=dict)
    secrets: Mapping[str, Secret | None] = field(default_factory=dict)
    tokens: Mapping[tuple[str, int], str] = field(default_factory=dict)
    facts: Facts = field(default_factory=Facts)


def token_key(source: ServiceAccountTokenProjection) -> tuple[str, int]:
    """Return the audience and lifetime a token is asked for with."""
    return source.audience or "", source.expirationSeconds or TOKEN_LIFETIME


def projected_files(pod: Pod, volume: ProjectedVolumeSource, found: Found) -> Payload:
    """Return the files.

    Raises:
        VolumeProblem: something is missing and not optional, or not supported.
    """
    mode = volume.defaultMode if volume.defaultMode is not None else DEFAULT_MODE
    payload: Payload = {}
    for source in volume.sources or ():
        if (config := source.configMap) is not None:
            object_ = found.config_maps.get(config.name or "")
            payload |= config_map_files(config, object_, mode)
        elif (secret := source.secret) is not None:
            name = secret.name or ""
            payload |= secret_files(
                name,
                secret.items,
                found.secrets.get(name),
                mode,
                optional=bool(secret.optional),
            )
        elif source.downwardAPI is not None:
            payload |= downward_files(pod, source.downwardAPI.items, found.facts, mode)
        elif (token := source.serviceAccountToken) is not None:
            text = found.tokens[token_key(token)]
            payload[token.path] = _token_entry(pod, text, mode)
        else:
            raise VolumeProblem(
                "projected sources other than configMap, secret, downwardAPI and "
                "serviceAccountToken are not supported by this node"
            )
    return payload


def _token_entry(pod: Pod, token: str, mode: int) -> Entry:
    """Return a token as a file only its reader can read, where it is known who that is."""
    user = _only_user(pod)
    context = pod.spec.securityContext
    group = context.fsGroup if context is not None else None
    if user is not None or group is not None:
        mode = 0o600
    return Entry(token.encode(), mode, user)


def _only_user(pod: Pod) -> int | None:
    """Return the user all containers run as; None when it is not one and the same, or unknown."""
    outer = pod.spec.securityContext
    default = outer.runAsUser if outer is not None else None
    users = set()
    for container in (*(pod.spec.initContainers or ()), *(pod.spec.containers or ())):
        inner = container.securityContext
        own = inner.runAsUser if inner is not None else None
        users.add(own if own is not None else default)
    return users.pop() if len(users) == 1 else None
