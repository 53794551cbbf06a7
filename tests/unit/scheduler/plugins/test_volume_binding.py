"""VolumeBinding: pods follow their volumes, and wait for those that are not there yet."""

from __future__ import annotations

import pytest
from tests.unit.scheduler.objects import a_node, cache_of, info

from kybern.api.core.v1 import (
    EphemeralVolumeSource,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    PersistentVolumeClaimStatus,
    PersistentVolumeClaimVolumeSource,
    PersistentVolumeSpec,
    Volume,
    VolumeNodeAffinity,
)
from kybern.api.meta.v1 import ObjectMeta
from kybern.api.storage.v1 import StorageClass
from kybern.scheduler.cycle import ALL
from kybern.scheduler.framework import Rejection
from kybern.scheduler.plugins.volume_binding import VolumeBinding
from kybern.scheduler.volumes import Lookups

NODES = [a_node("a", labels={"zone": "z1"}), a_node("b", labels={"zone": "z2"})]


def claim(name, *, volume=None, phase="Bound", storage_class=None, deleted=None):
    return PersistentVolumeClaim(
        metadata=ObjectMeta(name=name, deletionTimestamp=deleted),
        spec=PersistentVolumeClaimSpec(volumeName=volume, storageClassName=storage_class),
        status=PersistentVolumeClaimStatus(phase=phase),
    )


def volume(name, zone=None):
    affinity = None
    if zone:
        requirement = NodeSelectorRequirement(key="zone", operator="In", values=[zone])
        terms = [NodeSelectorTerm(matchExpressions=[requirement])]
        affinity = VolumeNodeAffinity(required=NodeSelector(nodeSelectorTerms=terms))
    return PersistentVolume(
        metadata=ObjectMeta(name=name), spec=PersistentVolumeSpec(nodeAffinity=affinity)
    )


CLAIMS = [
    claim("anywhere", volume="v0"),
    claim("here", volume="v1"),
    claim("unbound", phase="Pending"),
    claim("waiting", phase="Pending", storage_class="late"),
    claim("lost", volume="v9", phase="Lost"),
    claim("broken", volume="v9"),
    claim("leaving", volume="v0", deleted="2026-01-01T00:00:00Z"),
    claim("web-scratch", volume="v1"),
]
VOLUMES = [volume("v0"), volume("v1", "z1")]
CLASSES = [StorageClass(metadata=ObjectMeta(name="late"), volumeBindingMode="WaitForFirstConsumer")]


def named(objects):
    return {each.metadata.name: each for each in objects}.get


def using(*claims, ephemeral=()):
    found = [
        Volume(name=c, persistentVolumeClaim=PersistentVolumeClaimVolumeSource(claimName=c))
        for c in claims
    ]
    found += [Volume(name=name, ephemeral=EphemeralVolumeSource()) for name in ephemeral]
    return info("web", volumes=found)


def ask(pod):
    nodes = cache_of(*NODES).nodes
    find = named(CLAIMS)
    nodes.volumes = Lookups(
        lambda _, name: find(name), named(VOLUMES), named(CLASSES), lambda: VOLUMES
    )
    plugin = VolumeBinding()
    state = plugin.prepare(pod, nodes)
    if isinstance(state, Rejection):
        return state.reason
    if state is None:
        return [True, True]
    fits = plugin.fits(state, nodes, ALL)
    rows = nodes.rows()[~fits]
    why = plugin.why(state, nodes, rows)
    assert not why.resolvable.any()
    reasons = iter([reason for reason, count in why.reasons.items() for _ in range(count)])
    return [True if fit else next(reasons) for fit in fits]


FAR = "node(s) didn't match PersistentVolume's node affinity"
NOT_FOUND = "node(s) didn't find available persistent volumes to bind"
NO_VOLUME = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (info(), [True, True]),
        (info(volumes=[Volume(name="tmp")]), [True, True]),
        (using("anywhere"), [True, True]),
        (using("anywhere", "here"), [True, FAR]),
        (using(ephemeral=["scratch"]), [True, FAR]),
        (using("unbound"), "pod has unbound immediate PersistentVolumeClaims"),
        (using("waiting"), [NOT_FOUND, NOT_FOUND]),
        (using("broken"), [NO_VOLUME, NO_VOLUME]),
        (using("none"), 'persistentvolumeclaim "none" not found'),
        (
            using(ephemeral=["none"]),
            "waiting for ephemeral volume controller to create the "
            'persistentvolumeclaim "web-none"',
        ),
        (using("leaving"), 'persistentvolumeclaim "leaving" is being deleted'),
        (using("lost"), 'persistentvolumeclaim "lost" bound to non-existent persistentvolume "v9"'),
    ],
)
def test_volume_binding(pod, expected):
    assert ask(pod) == expected
