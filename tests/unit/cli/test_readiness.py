"""What is waited for after a start, and how waiting fails."""

import json

import pytest

from kybern.cli import api, readiness
from kybern.cli.errors import Failed
from kybern.cluster import fleet
from kybern.cluster import settings as settings_file
from kybern.cluster.settings import Settings
from kybern.lib.clock import SYSTEM, parse_rfc3339

NOW = "2026-01-02T03:04:05Z"
BOX = Settings(data_dir="/x", node_name="box")
PAIR = Settings(data_dir="/x", node_name="box", nodes=2)


def test_a_program_that_dies_at_once_ends_the_waiting(running, monkeypatch):
    state = json.loads(running.state.read_text())
    state["children"][0] |= {"restarts": 1, "lastExit": "exit code 1"}
    running.state.write_text(json.dumps(state))
    chosen = settings_file.load(running.settings)
    with pytest.raises(Failed, match="control-plane does not start: it ended with exit code 1"):
        readiness.wait_server(running, chosen)
    (running.logs / "control-plane.log").write_text("first\nthe store is damaged.\n")
    with pytest.raises(Failed, match=r"does not start: the store is damaged\."):
        readiness.wait_server(running, chosen)


def test_a_program_that_died_long_ago_does_not(running, monkeypatch):
    state = json.loads(running.state.read_text())
    state["children"][0] |= {"restarts": 1, "lastExit": "signal 9"}
    running.state.write_text(json.dumps(state))
    monkeypatch.setattr(readiness.api, "get", lambda *_, **__: api.Answer(200, b"ok"))
    monkeypatch.setattr(readiness.api, "listens", lambda settings: True)
    chosen = settings_file.load(running.settings)
    before = readiness.restarts(running)
    readiness.wait_server(running, chosen, before)
    state["children"][0]["restarts"] = 2
    running.state.write_text(json.dumps(state))
    with pytest.raises(Failed, match="control-plane does not start"):
        readiness.wait_server(running, chosen, before)


def test_a_server_that_never_becomes_ready_is_one_sentence(running, monkeypatch):
    monkeypatch.setattr(readiness, "SERVER_TIMEOUT", 0.05)
    monkeypatch.setattr(readiness.api, "get", lambda *_, **__: api.Answer(500, b"[-]etcd failed"))
    monkeypatch.setattr(readiness.api, "listens", lambda settings: True)
    with pytest.raises(Failed, match=r"is not ready after 0 s \(\[-\]etcd failed\): look into"):
        readiness.wait_server(running, settings_file.load(running.settings))


def node(status, message="", at=NOW, name="box"):
    condition = {"type": "Ready", "status": status, "message": message, "lastHeartbeatTime": at}
    return {
        "type": "MODIFIED",
        "object": {"metadata": {"name": name}, "status": {"conditions": [condition]}},
    }


def test_the_node_is_waited_for(running, monkeypatch):
    old = node("True", at="2026-01-02T03:04:04Z")  # said before this start: it may be gone
    seen = iter([{"type": "BOOKMARK", "object": {}}, old, node("False", "no CNI"), node("True")])
    monkeypatch.setattr(readiness.api, "watch", lambda *_, **__: seen)
    readiness.wait_nodes(running, BOX, parse_rfc3339(NOW))
    assert list(seen) == []


def test_a_node_that_never_becomes_ready_says_why(running, monkeypatch):
    monkeypatch.setattr(readiness.api, "watch", lambda *_, **__: iter([node("False", "no CNI")]))
    monkeypatch.setattr(readiness, "NODE_TIMEOUT", 0.1)
    monkeypatch.setattr(readiness, "rfc3339", lambda _: NOW)
    with pytest.raises(Failed, match=r"is not Ready after 0 s \(no CNI\): look into .*node.log"):
        readiness.wait_nodes(running, BOX, SYSTEM.now())


def test_waiting_ends_when_somebody_stops_the_cluster(running, monkeypatch):
    def stopped(*_, **__):
        running.state.unlink()
        return iter([])

    monkeypatch.setattr(readiness.api, "watch", stopped)
    with pytest.raises(Failed, match="was stopped while it started"):
        readiness.wait_nodes(running, BOX, SYSTEM.now())


def test_a_watch_that_breaks_says_so(running, monkeypatch):
    def broken(*_, **__):
        yield node("False", "no CNI")
        raise TimeoutError("timed out")

    monkeypatch.setattr(readiness.api, "watch", broken)
    monkeypatch.setattr(readiness, "rfc3339", lambda _: NOW)
    with pytest.raises(Failed, match=r"\(no CNI; timed out\)"):
        readiness.wait_nodes(running, BOX, SYSTEM.now())


def test_every_node_is_waited_for(running, monkeypatch):
    seen = iter([node("True", name="box-2"), node("True", name="stranger"), node("True")])
    monkeypatch.setattr(readiness.api, "watch", lambda *_, **__: seen)
    readiness.wait_nodes(running, PAIR)
    assert list(seen) == []


def test_the_one_node_of_several_that_is_not_ready_is_named(running, monkeypatch):
    monkeypatch.setattr(readiness.api, "watch", lambda *_, **__: iter([node("True")]))
    monkeypatch.setattr(readiness, "NODE_TIMEOUT", 0.1)
    further = fleet.directory_of(running, 2)
    further.make()
    further.state.write_bytes(running.state.read_bytes())
    with pytest.raises(Failed, match=r"the node box-2 is not Ready .* \(it has not registered\)"):
        readiness.wait_nodes(running, PAIR)
