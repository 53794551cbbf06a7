"""Pods from one template: looked at once, and still each for itself."""

from __future__ import annotations

import asyncio
import random

import pytest
from tests.unit.apiserver.harness import PODS, Answer, Server, pod

from kybern.api import codec
from kybern.api.core.v1 import Pod
from kybern.apiserver.registry.core import known_specs
from kybern.apiserver.registry.core.known_specs import KnownSpecs, key_of
from kybern.apiserver.registry.identity import PooledRandom


def of(**spec: object) -> Pod:
    return codec.from_tree(pod(**spec), Pod)


def warning(answer: Answer) -> str:
    return "; ".join(answer.header("Warning"))


class TestKey:
    def test_names_of_token_volumes_do_not_count(self) -> None:
        def mounted(name: str) -> Pod:
            mounts = [{"name": name, "mountPath": "/x"}]
            container = {"name": "c", "image": "i", "volumeMounts": mounts}
            return of(containers=[container], volumes=[{"name": name, "emptyDir": {}}])

        assert key_of(mounted("kube-api-access-bcdfg")) == key_of(mounted("kube-api-access-xw2z9"))
        assert key_of(mounted("kube-api-access-bcdfg")) != key_of(mounted("kube-api-access-aeiou"))

    def test_annotations_count(self) -> None:
        one, other = of(), of()
        other.metadata.annotations = {"a": "b"}
        assert key_of(one) != key_of(other)

    def test_specs_that_are_judged_by_the_name_of_the_pod_have_none(self) -> None:
        claim = {"spec": {"accessModes": ["ReadWriteOnce"]}}
        volume = {"name": "v", "ephemeral": {"volumeClaimTemplate": claim}}
        assert key_of(of(volumes=[volume])) == b""


def test_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_specs, "KEPT", 2)
    known = KnownSpecs()
    for key in (b"1", b"2", b"3"):
        known.keep(key, [])
    assert [known.find(key) for key in (b"1", b"2", b"3")] == [None, [], []]


def test_the_second_pod_is_warned_about_and_refused_like_the_first() -> None:
    twice = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    unwise = [{"name": "c", "image": "i", "env": twice}]

    async def story() -> None:
        async with Server() as server:
            said = []
            for name in ("one", "two"):
                answer = await server.post(PODS, pod(name, containers=unwise))
                assert answer.status == 201
                said.append(warning(answer))
            assert "hides previous definition of" in said[0]
            assert said[0] == said[1]
            named = await server.post(PODS, pod("a.b", containers=unwise))
            assert "surprising behavior" in warning(named)
            assert (await server.post(PODS, pod("A_", containers=unwise))).status == 422
            for name in ("three", "four"):
                refused = await server.post(PODS, pod(name, restartPolicy="Sometimes"))
                assert refused.status == 422
                assert f'Pod "{name}" is invalid: spec.restartPolicy' in refused.message
            owners = [
                (await server.get(f"{PODS}/{name}")).tree["metadata"]["managedFields"][0]
                for name in ("one", "two")
            ]
            assert owners[0]["fieldsV1"] == owners[1]["fieldsV1"]

    asyncio.run(story())


def test_random_numbers_from_the_pool_are_spread_and_do_not_come_twice() -> None:
    rng = PooledRandom()
    numbers = [rng.getrandbits(64) for _ in range(3000)]
    assert len(set(numbers)) == 3000
    assert all(0 <= number < 2**64 for number in numbers)
    ones = sum(number.bit_count() for number in numbers) / (3000 * 64)
    assert ones == pytest.approx(0.5, abs=0.02)
    assert {rng.getrandbits(3) for _ in range(500)} == set(range(8))
    assert isinstance(rng, random.Random)
