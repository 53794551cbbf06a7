"""A pod, as the scheduler needs it: what it asks for, worked out once.

In:   a Pod, borrowed from an informer.
Out:  `PodInfo`.
By:   loop makes them; queue, cache, cycle and plugins read them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from kybern.api.core import pods
from kybern.api.core.resizing import held
from kybern.api.quantity import to_milli, to_value
from kybern.scheduler.pod_terms import terms_of
from kybern.scheduler.volumes import claimed

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.core.v1 import Container, Pod, PodSpec
    from kybern.scheduler.pod_terms import Term

# What a container that asks for nothing is taken to use when nodes are compared, so that a node
# does not look empty because nobody says what they use. Upstream's numbers.
DEFAULT_MILLI_CPU: Final = 100
DEFAULT_MEMORY: Final = 200 * 1024 * 1024

Key = tuple[str, str]

_encode = msgspec.json.Encoder(order="deterministic").encode


class PodInfo:
    """What the scheduler knows of a pod.

    Attributes:
        pod: the pod itself, borrowed: the newest state seen.
        key: namespace and name.
        uid: which incarnation.
        priority: the higher, the sooner.
        fit: requests as integers.
        nonzero: CPU and memory it is assumed to use when nodes are compared.
        ports: ports of the node it takes.
        resizing: whether it holds something other than its spec says.
    """

    __slots__ = (
        "_alike", "_claims", "_terms", "fit", "key", "nonzero", "pod", "ports", "priority",
        "resizing", "uid",
    )  # fmt: skip

    def __init__(self, pod: Pod) -> None:
        metadata, spec = pod.metadata, pod.spec
        self.pod = pod
        self.key: Key = (metadata.namespace or "", metadata.name or "")
        self.uid = metadata.uid or ""
        self.priority = spec.priority or 0
        counts = held(pod) if spec.nodeName else spec
        self.resizing = counts is not spec
        self.fit = pods.fit(counts)
        self.nonzero = nonzero(counts, self.fit)
        self.ports = tuple(pods.host_ports(spec))
        self._alike: tuple[Any, ...] | None = None
        self._terms: tuple[Term, ...] | None = () if spec.affinity is None else None
        self._claims: tuple[str, ...] | None = None if spec.volumes else ()

    @property
    def alike(self) -> tuple[Any, ...]:
        """Equal for pods which nodes cannot tell apart, as far as the pod itself goes.

        Constraints between pods (affinity, spreading) are not part of it: those plugins look at
        each pod anew.
        """
        if self._alike is None:
            spec = self.pod.spec
            affinity = spec.affinity
            self._alike = (
                self.fit[:3],
                self.nonzero,
                tuple(self.fit.others.items()),
                self.ports,
                tuple(container.image for container in spec.containers),
                _encode(
                    (
                        spec.nodeName,
                        spec.nodeSelector,
                        affinity and affinity.nodeAffinity,
                        spec.tolerations,
                    )
                ),
            )
        return self._alike

    @property
    def terms(self) -> tuple[Term, ...]:
        """What the pod wishes about others."""
        if self._terms is None:
            self._terms = terms_of(self.pod)
        return self._terms

    @property
    def claims(self) -> tuple[str, ...]:
        """The names of the claims the pod uses."""
        if self._claims is None:
            self._claims = tuple(each.name for each in claimed(self.pod))
        return self._claims

    @property
    def sort(self) -> tuple[Any, ...]:
        """Equal for pods of which one fits where the other does, whoever else runs there."""
        spec, metadata = self.pod.spec, self.pod.metadata
        labels = frozenset((metadata.labels or {}).items())
        spread = spec.topologySpreadConstraints
        return (
            self.alike,
            self.key[0],
            labels,
            self.terms,
            _encode(spread) if spread else b"",
            self.claims,
        )

    def __repr__(self) -> str:
        return f"PodInfo({'/'.join(self.key)})"


def nonzero(spec: PodSpec, fit: pods.Fit) -> tuple[int, int]:
    """Return the CPU and memory a pod is assumed to use when nodes are compared."""
    containers = spec.containers
    if len(containers) == 1 and not (spec.initContainers or spec.overhead or spec.resources):
        asked = pods.requests_of(containers[0])
        cpu = fit.milli_cpu if "cpu" in asked else DEFAULT_MILLI_CPU
        return cpu, fit.memory if "memory" in asked else DEFAULT_MEMORY
    return (
        _assumed(spec, "cpu", to_milli, DEFAULT_MILLI_CPU),
        _assumed(spec, "memory", to_value, DEFAULT_MEMORY),
    )


def _assumed(spec: PodSpec, name: str, amount: Callable[[str], int], default: int) -> int:
    def of(container: Container) -> int:
        text = pods.requests_of(container).get(name)
        return default if text is None else amount(text)

    overhead = amount((spec.overhead or {}).get(name, "0"))
    if spec.resources is not None and name in (spec.resources.requests or {}):
        return amount((spec.resources.requests or {})[name]) + overhead
    total = sum(of(container) for container in spec.containers)
    sidecars = peak = 0
    for container in spec.initContainers or ():
        if pods.is_sidecar(container):
            sidecars += of(container)
            peak = max(peak, sidecars)
        else:
            peak = max(peak, sidecars + of(container))
    return max(total + sidecars, peak) + overhead
