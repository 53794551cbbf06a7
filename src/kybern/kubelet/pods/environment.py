"""The environment of a container.

In:   its spec, the ConfigMaps and Secrets it refers to, service variables, facts about the pod.
Out:  variables in order; or ConfigProblem, which the user sees as CreateContainerConfigError.
By:   pods/act.py. Pure: whoever calls has fetched what `references` named.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from kybern.kubelet.pods.expansion import expand
from kybern.kubelet.pods.field_values import Facts, UnknownField, field_value, resource_value
from kybern.kubelet.pods.specs import find

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kybern.api.core.v1 import (
        ConfigMap,
        ConfigMapKeySelector,
        EnvVar,
        EnvVarSource,
        Pod,
        Secret,
        SecretKeySelector,
    )
    from kybern.kubelet.pods.specs import AnyContainer


class ConfigProblem(Exception):
    """A container cannot be configured as asked; `str()` is for its status."""


class Reference(NamedTuple):
    """A ConfigMap or Secret which a pod names."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container's environment is made of, besides its spec."""

    config_maps: Mapping[str, ConfigMap | None] = field(default_factory=dict)
    secrets: Mapping[str, Secret | None] = field(default_factory=dict)
    services: Mapping[str, str] = field(default_factory=dict)
    facts: Facts = field(default_factory=Facts)


def references(container: AnyContainer) -> set[Reference]:
    """Return the ConfigMaps and Secrets a container's environment comes from."""
    found: set[Reference] = set()
    for source in container.envFrom or ():
        if source.configMapRef is not None:
            found.add(Reference("ConfigMap", source.configMapRef.name or ""))
        if source.secretRef is not None:
            found.add(Reference("Secret", source.secretRef.name or ""))
    for variable in container.env or ():
        value = variable.valueFrom
        if value is None:
            continue
        if value.configMapKeyRef is not None:
            found.add(Reference("ConfigMap", value.configMapKeyRef.name or ""))
        if value.secretKeyRef is not None:
            found.add(Reference("Secret", value.secretKeyRef.name or ""))
    return found


def environment(pod: Pod, container: AnyContainer, around: Surroundings) -> dict[str, str]:
    """Return a container's variables: envFrom, then env, then services not yet mentioned.

    Raises:
        ConfigProblem: something it refers to is missing.
    """
    result = _from_sources(pod, container, around)
    for variable in container.env or ():
        value = _value(pod, container, variable, {**around.services, **result}, around)
        if value is not None:
            result[variable.name] = value
    for name, value in around.services.items():
        result.setdefault(name, value)
    return result


def _from_sources(pod: Pod, container: AnyContainer, around: Surroundings) -> dict[str, str]:
    result: dict[str, str] = {}
    for source in container.envFrom or ():
        prefix = source.prefix or ""
        if (ref := source.configMapRef) is not None:
            found = _config_map(ref.name or "", around, optional=bool(ref.optional))
            data: Iterable[tuple[str, str]] = (found.data or {}).items() if found else ()
        elif (secret_ref := source.secretRef) is not None:
            secret = _secret(secret_ref.name or "", around, optional=bool(secret_ref.optional))
            data = [(k, _text(v)) for k, v in ((secret.data if secret else None) or {}).items()]
        else:
            continue
        result.update((prefix + key, value) for key, value in data)
    return result


def _value(
    pod: Pod,
    container: AnyContainer,
    variable: EnvVar,
    known: Mapping[str, str],
    around: Surroundings,
) -> str | None:
    if variable.value:
        return expand(variable.value, known)
    if variable.valueFrom is None:
        return ""
    return _looked_up(pod, container, variable.valueFrom, around)


def _looked_up(
    pod: Pod, container: AnyContainer, source: EnvVarSource, around: Surroundings
) -> str | None:
    try:
        if source.fieldRef is not None:
            return field_value(pod, source.fieldRef.fieldPath, around.facts)
        if (resource := source.resourceFieldRef) is not None:
            other = find(pod, resource.containerName) if resource.containerName else None
            return resource_value(other.spec if other else container, resource, around.facts)
    except UnknownField as unknown:
        raise ConfigProblem(str(unknown)) from None
    if source.configMapKeyRef is not None:
        return _config_map_key(pod, source.configMapKeyRef, around)
    if source.secretKeyRef is not None:
        return _secret_key(pod, source.secretKeyRef, around)
    return ""


def _config_map_key(pod: Pod, ref: ConfigMapKeySelector, around: Surroundings) -> str | None:
    found = _config_map(ref.name or "", around, optional=bool(ref.optional))
    value = (found.data or {}).get(ref.key) if found else None
    if value is None and not ref.optional:
        where = f"{pod.metadata.namespace}/{ref.name}"
        raise ConfigProblem(f"couldn't find key {ref.key} in ConfigMap {where}")
    return value


def _secret_key(pod: Pod, ref: SecretKeySelector, around: Surroundings) -> str | None:
    secret = _secret(ref.name or "", around, optional=bool(ref.optional))
    value = ((secret.data if secret else None) or {}).get(ref.key)
    if value is None:
        if ref.optional:
            return None
        where = f"{pod.metadata.namespace}/{ref.name}"
        raise ConfigProblem(f"couldn't find key {ref.key} in Secret {where}")
    return _text(value)


def _config_map(name: str, around: Surroundings, *, optional: bool) -> ConfigMap | None:
    found = around.config_maps.get(name)
    if found is None and not optional:
        raise ConfigProblem(f'configmap "{name}" not found')
    return found


def _secret(name: str, around: Surroundings, *, optional: bool) -> Secret | None:
    found = around.secrets.get(name)
    if found is None and not optional:
        raise ConfigProblem(f'secret "{name}" not found')
    return found


def _text(encoded: str) -> str:
    # Variables travel to the runtime as UTF-8 text, so what is none cannot arrive unchanged.
    return base64.b64decode(encoded).decode("utf-8", "replace")
