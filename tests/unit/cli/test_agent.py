"""`kybern agent`: what is asked of it, and what it writes down."""

import socket

import pytest

from kybern.cli.errors import Failed
from kybern.cli.verbs import agent
from kybern.cluster import processes
from kybern.cluster import settings as settings_file
from kybern.cluster.directory import Directory
from kybern.cluster.join import Facts
from kybern.cluster.join_discovery import JoinError
from kybern.cluster.settings import Settings

FACTS = Facts("10.98.0.0/16", "10.246.0.0/16", "example.org", "10.98.0.10", 20.0)
SERVER = "https://192.0.2.1:6443"


@pytest.fixture
def machine(monkeypatch):
    """A machine that can be a node, and a cluster which takes it; return what was asked."""
    asked = []

    async def join(*words):
        asked.append(words)
        return FACTS

    monkeypatch.setattr(agent, "join_node", join)
    monkeypatch.setattr(agent.prerequisites, "missing", lambda **_: [])
    monkeypatch.setattr(agent.slots, "claim", lambda root: 1)
    monkeypatch.setattr(agent.slots, "host_name", lambda: "box")
    monkeypatch.setattr(agent, "_address_towards", lambda server: "192.0.2.9")
    monkeypatch.setattr(agent.processes, "start", lambda *plan: asked.append(plan))
    monkeypatch.setattr(agent.readiness, "wait_nodes", lambda *_, **__: None)
    return asked


def test_what_the_cluster_says_and_what_the_machine_has_make_a_node(kybern, machine, tmp_path):
    root = tmp_path / "a"
    done = kybern("agent", "--data-dir", root, "--join", "192.0.2.1", "--token", "t.t",
                  "--ca-hash", "sha256:x")  # fmt: skip
    assert done.code == 0, done.err
    joined, started = machine
    assert joined == (SERVER, "t.t", "sha256:x", "box", Directory(root), ("192.0.2.9",))
    chosen = settings_file.load(Directory(root).settings)
    assert chosen.node_only
    assert (chosen.api_server, chosen.node_name, chosen.node_ip) == (SERVER, "box", "192.0.2.9")
    assert (chosen.cluster_cidr, chosen.dns_ip, chosen.cluster_domain) == (
        "10.246.0.0/16", "10.98.0.10", "example.org",
    )  # fmt: skip
    assert (chosen.bridge, chosen.slot) == ("kybern1", 1)
    assert [program.name for program in started[1]] == ["containerd", "node"]


def test_who_has_joined_needs_no_flags(kybern, machine, tmp_path):
    words = ("agent", "--data-dir", tmp_path / "a")
    kybern(*words, "--join", SERVER, "--token", "t.t", "--node-name", "other")
    assert kybern(*words).code == 0
    assert machine[2][:4] == (SERVER, "", "", "other")


def test_what_was_said_once_stays(kybern, machine, tmp_path, monkeypatch):
    words = ("agent", "--data-dir", tmp_path / "a")
    said = ("--ingress-http-port", "8080", "--runtime-endpoint", "unix:///run/cri.sock")
    kybern(*words, "--join", SERVER, "--token", "t.t", *said)
    grace = ("--shutdown-grace-period", "30s", "--shutdown-grace-period-critical-pods", "10s")
    assert kybern(*words, "--ingress-https-port", "0", *grace).code == 0
    chosen = settings_file.load(Directory(tmp_path / "a").settings)
    assert (chosen.ingress_http_port, chosen.ingress_https_port) == (8080, 0)
    assert chosen.runtime_endpoint == "unix:///run/cri.sock"
    assert (chosen.shutdown_grace, chosen.shutdown_grace_critical) == (30.0, 10.0)
    monkeypatch.setattr(agent.processes, "find", lambda _: (1, []))
    assert kybern(*words, "--ingress-http-port", "8080").code == 0
    done = kybern(*words, "--ingress-http-port", "8081")
    assert (done.code, "with another --ingress-http-port" in done.err) == (1, True)
    done = kybern(*words, "--shutdown-grace-period", "5s")
    assert (done.code, "with another --shutdown-grace-period" in done.err) == (1, True)
    monkeypatch.undo()
    done = kybern(*words, "--ingress-http-port", "70000")
    assert done.code == 2
    assert "not a port" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "which cluster?"),
        (("--join", "http://x"), "is not the URL of an API server"),
        (("--join", SERVER), "does not know this machine"),
    ],
)
def test_what_is_missing_is_one_sentence(kybern, machine, tmp_path, words, said):
    done = kybern("agent", "--data-dir", tmp_path / "a", *words)
    assert done.code == 1
    assert said in done.err
    assert machine == []


def test_a_cluster_that_refuses_is_one_sentence(kybern, machine, tmp_path, monkeypatch):
    async def refuse(*_):
        raise JoinError("the token has expired.")

    monkeypatch.setattr(agent, "join_node", refuse)
    done = kybern("agent", "--data-dir", tmp_path / "a", "--join", SERVER, "--token", "t.t")
    assert (done.code, machine) == (1, [])
    assert done.err.endswith("kybern: the token has expired.\n")


def test_a_directory_with_a_cluster_is_no_nodes(kybern, machine, directory):
    done = kybern("agent", "--data-dir", directory.root, "--join", SERVER, "--token", "t.t")
    assert (done.code, machine) == (1, [])
    assert "holds a cluster of its own" in done.err


def test_a_directory_with_a_node_is_no_clusters(kybern, directory):
    settings = Settings(data_dir=str(directory.root), api_server=SERVER)
    settings_file.save(settings, directory.settings)
    done = kybern("up", "--data-dir", directory.root)
    assert done.code == 1
    assert f"holds a node of the cluster at {SERVER}" in done.err


def test_a_node_that_runs_is_left_alone_and_not_given_to_others(kybern, machine, directory,
                                                               monkeypatch):  # fmt: skip
    settings_file.save(
        Settings(data_dir=str(directory.root), api_server=SERVER), directory.settings
    )
    monkeypatch.setattr(processes, "find", lambda _: (1, []))
    assert "nothing to do" in kybern("agent", "--data-dir", directory.root).err
    done = kybern("agent", "--data-dir", directory.root, "--join", "https://other:6443")
    assert f"runs already, for {SERVER}" in done.err
    assert machine == []


@pytest.mark.parametrize(
    ("said", "want"),
    [
        ("https://a.example", "https://a.example:6443"),
        ("a.example:7443", "https://a.example:7443"),
        ("https://[fd00::1]:1", "https://[fd00::1]:1"),
    ],
)
def test_addresses_of_servers(said, want):
    assert agent.server_of(agent.Request(server=said), None) == want


def test_the_address_is_the_one_on_the_way_to_the_server(monkeypatch):
    assert agent._address_towards("https://127.0.0.1:6443") == "127.0.0.1"

    def nobody(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(agent.socket, "getaddrinfo", nobody)
    with pytest.raises(Failed, match="there is no way to"):
        agent._address_towards("https://nowhere.invalid:6443")
