"""Volumes of drivers: so many per node, one pod each, and only where there is room."""

from __future__ import annotations

import pytest
from tests.unit.scheduler.objects import a_node, a_pod, cache_of
from tests.unit.scheduler.plugins.test_volume_binding import named

from kybern.api.core.v1 import (
    CSIPersistentVolumeSource,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    PersistentVolumeClaimStatus,
    PersistentVolumeClaimVolumeSource,
    PersistentVolumeSpec,
    Volume,
    VolumeResourceRequirements,
)
from kybern.api.meta.v1 import LabelSelector, ObjectMeta
from kybern.api.storage.v1 import CSIStorageCapacity, StorageClass
from kybern.scheduler.cycle import ALL
from kybern.scheduler.plugins.node_volume_limits import NodeVolumeLimits
from kybern.scheduler.plugins.volume_binding import NO_SPACE, NOTHING_TO_BIND, VolumeBinding
from kybern.scheduler.plugins.volume_restrictions import VolumeRestrictions
from kybern.scheduler.pod_info import PodInfo
from kybern.scheduler.volumes import DriverLookups, Lookups

NODES = [a_node("a", labels={"zone": "z1"}), a_node("b", labels={"zone": "z2"}), a_node("c")]
DRIVER = "disk.example.com"


def claim(name, *, bound=True, mode="ReadWriteOnce", size="1Gi"):
    return PersistentVolumeClaim(
        metadata=ObjectMeta(name=name),
        spec=PersistentVolumeClaimSpec(
            volumeName=f"v-{name}" if bound else None, storageClassName="late",
            accessModes=[mode], resources=VolumeResourceRequirements(requests={"storage": size}),
        ),
        status=PersistentVolumeClaimStatus(phase="Bound" if bound else "Pending"),
    )  # fmt: skip


CLAIMS = [*(claim(f"c{n}") for n in range(4)), claim("new", bound=False, size="5Gi"),
          claim("alone", mode="ReadWriteOncePod")]  # fmt: skip
VOLUMES = [
    PersistentVolume(
        metadata=ObjectMeta(name=each.spec.volumeName),
        spec=PersistentVolumeSpec(
            csi=CSIPersistentVolumeSource(driver=DRIVER, volumeHandle=each.metadata.name)
        ),
    )
    for each in CLAIMS
    if each.spec.volumeName
]
CLASS = StorageClass(
    metadata=ObjectMeta(name="late"), provisioner=DRIVER, volumeBindingMode="WaitForFirstConsumer"
)


def using(*claims, node=None):
    found = [
        Volume(name=c, persistentVolumeClaim=PersistentVolumeClaimVolumeSource(claimName=c))
        for c in claims
    ]
    return a_pod(volumes=found, node=node)


def ask(plugin, pod, *placed, limits=None, attached=(), capacities=None):
    cache = cache_of(*NODES)
    for each in placed:
        cache.put_pod(each)
    find = named(CLAIMS)
    drivers = DriverLookups(
        lambda driver: (limits or {}) if driver == DRIVER else {},
        lambda: attached,
        lambda _driver: capacities is not None,
        lambda _class: capacities or (),
    )
    nodes = cache.nodes
    nodes.volumes = Lookups(
        lambda _, name: find(name), named(VOLUMES), named([CLASS]), lambda: (), drivers
    )
    state = plugin.prepare(PodInfo(pod), nodes)
    if state is None:
        return [True, True, True]
    fits = plugin.fits(state, nodes, ALL)
    rows = nodes.rows()[~fits]
    why = plugin.why(state, nodes, rows)
    assert sum(why.reasons.values()) == len(rows) == len(why.resolvable)
    reasons = iter([reason for reason, count in why.reasons.items() for _ in range(count)])
    return [True if fit else next(reasons) for fit in fits]


FULL = "node(s) exceed max volume count"
HANDLE = f"kubernetes.io/csi/{DRIVER}^c3"


@pytest.mark.parametrize(
    ("pod", "placed", "attached", "expected"),
    [
        (using("c0"), [], [], [True, True, True]),
        (using("c0"), [using("c1", node="a")], [], [FULL, True, True]),
        (using("c0"), [using("c0", node="a")], [], [True, True, True]),
        (using("c0", "c1"), [], [], [FULL, True, True]),
        (using("c0", "c1"), [using("c2", node="b")], [], [FULL, FULL, True]),
        (using("c0", "c1"), [using("c1", node="b")], [], [FULL, True, True]),
        (using("new"), [using("c2", node="a")], [], [FULL, True, True]),
        (using("c0"), [], [("a", DRIVER, HANDLE)], [FULL, True, True]),
        (using("c0"), [], [("a", "other", HANDLE)], [True, True, True]),
        (using(), [using("c2", node="a")], [], [True, True, True]),
    ],
)
def test_so_many_per_node(pod, placed, attached, expected):
    limits = {"a": 1, "b": 2}
    assert ask(NodeVolumeLimits(), pod, *placed, limits=limits, attached=attached) == expected


def test_without_limits_nothing_is_counted():
    assert ask(NodeVolumeLimits(), using("c0"), using("c1", node="a")) == [True, True, True]


BUSY = (
    "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
)


@pytest.mark.parametrize(
    ("pod", "placed", "expected"),
    [
        (using("alone"), [], [True, True, True]),
        (using("alone"), [using("c0", node="a")], [True, True, True]),
        (using("alone"), [using("alone", node="b")], [BUSY, BUSY, BUSY]),
        (using("c0"), [using("c0", node="b")], [True, True, True]),
    ],
)
def test_one_pod_each(pod, placed, expected):
    assert ask(VolumeRestrictions(), pod, *placed) == expected


def room(size, *, most=None, **labels):
    selector = LabelSelector(matchLabels=labels or None)
    return CSIStorageCapacity(
        storageClassName="late", capacity=size, maximumVolumeSize=most, nodeTopology=selector
    )


@pytest.mark.parametrize(
    ("capacities", "expected"),
    [
        (None, [True, True, True]),
        ([], [NO_SPACE] * 3),
        ([room("10Gi")], [True, True, True]),
        ([room("10Gi", zone="z1")], [True, NO_SPACE, NO_SPACE]),
        ([room("1Gi", zone="z1"), room("5Gi", zone="z2")], [NO_SPACE, True, NO_SPACE]),
        ([room("10Gi", most="1Gi")], [NO_SPACE] * 3),
        ([CSIStorageCapacity(storageClassName="late", capacity="10Gi")], [NO_SPACE] * 3),
    ],
)
def test_only_where_there_is_room(capacities, expected):
    found = ask(VolumeBinding(), using("new"), capacities=capacities)
    assert found == expected
    assert NOTHING_TO_BIND not in found


def test_pods_are_forgotten_with_their_nodes():
    cache = cache_of(*NODES)
    pod = using("c0", node="a")
    cache.put_pod(pod)
    index = cache.nodes.pods
    assert list(index.claimants) == [pod.metadata.uid]
    cache.remove_pod(pod.metadata.uid)
    assert not index.claimants
    cache.put_pod(pod)
    cache.remove_node("a")
    assert not index.claimants


def test_pods_with_other_claims_are_of_another_sort():
    assert PodInfo(using("c0")).sort == PodInfo(using("c0")).sort
    assert PodInfo(using("c0")).sort != PodInfo(using("c1")).sort
