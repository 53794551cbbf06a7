"""Nodes added to a running cluster, and taken away."""

from types import SimpleNamespace

import pytest

from kybern.cli import api
from kybern.cli.errors import Failed
from kybern.cli.verbs import scaling
from kybern.cluster import settings as settings_file
from kybern.cluster.directory import Directory
from kybern.cluster.settings import Settings


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A cluster of three nodes; what it was told is in `told`."""
    directory = Directory(tmp_path / "d")
    directory.make()
    settings = Settings(data_dir=str(directory.root), node_name="box", node_ip="192.0.2.9", nodes=3)
    settings_file.save(settings, directory.settings)
    told, here = [], {2, 3}

    def remove(_directory, _settings, gone):
        here.difference_update(gone)
        told.append(("remove", gone))
        return []

    def ask(method, _directory, _settings, path):
        told.append((method, path))
        return api.Answer(200, b"")

    fleet = scaling.fleet
    monkeypatch.setattr(fleet, "indexes", lambda _: sorted(here))
    monkeypatch.setattr(fleet, "remove", remove)
    monkeypatch.setattr(fleet, "prepare", lambda *_: None)
    monkeypatch.setattr(
        fleet, "start",
        lambda _, wanted: [f"box-{i}" for i in range(2, wanted.nodes + 1) if i not in here],
    )  # fmt: skip
    monkeypatch.setattr(scaling.wires, "remove", lambda _: told.append("bridge") or [])
    monkeypatch.setattr(scaling.api, "ask", ask)
    return SimpleNamespace(directory=directory, settings=settings, told=told, here=here)


def scale(cluster, nodes):
    return scaling.scale(cluster.directory, cluster.settings, nodes)


def saved(cluster):
    return settings_file.load(cluster.directory.settings).nodes


def test_as_many_as_there_are_is_nothing_to_do(cluster):
    assert scale(cluster, 3) == ""
    assert cluster.told == []


def test_nodes_that_are_too_many_go_with_their_nodes(cluster):
    assert scale(cluster, 2) == "1 node removed"
    assert cluster.told == [("remove", [3]), ("DELETE", "/api/v1/nodes/box-3")]
    assert saved(cluster) == 2


def test_with_the_last_of_them_the_bridge_goes(cluster):
    assert scale(cluster, 1) == "2 nodes removed"
    assert cluster.told[1] == "bridge"


def test_new_ones_are_started_and_dead_ones_too(cluster):
    cluster.here.remove(2)
    assert scale(cluster, 4) == "2 nodes started"
    assert saved(cluster) == 4


def test_a_node_that_stays_is_told(cluster, monkeypatch):
    monkeypatch.setattr(scaling.api, "ask", lambda *_: api.Answer(403, b"no"))
    with pytest.raises(Failed, match="the Node box-3 stays: no"):
        scale(cluster, 2)


def test_what_cannot_be_is_refused(cluster):
    with pytest.raises(Failed, match="--nodes 0 cannot be"):
        scale(cluster, 0)
    cluster.settings = Settings(data_dir="/x", node_ip="127.0.0.1")
    with pytest.raises(Failed, match="had no network when the cluster started"):
        scale(cluster, 2)
