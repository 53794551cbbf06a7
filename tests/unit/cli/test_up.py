"""`kybern up`: what is checked and written before anything runs, and how waiting fails."""

import socket

import pytest
from tests.ports import free_port

from kybern.cli.errors import Failed
from kybern.cli.verbs import up
from kybern.cluster import prerequisites, processes
from kybern.cluster import settings as settings_file
from kybern.cluster.directory import Directory
from kybern.cluster.settings import Settings

NOW = "2026-01-02T03:04:05Z"


@pytest.fixture
def started(monkeypatch):
    """Take the place of the supervisor; return what it was asked to start."""
    asked = []
    monkeypatch.setattr(up.processes, "start", lambda *plan: asked.append(plan))
    monkeypatch.setattr(up.fleet, "stop_all", lambda *_: asked.append("stop"))
    monkeypatch.setattr(up.readiness, "wait_server", lambda *_, **__: None)
    monkeypatch.setattr(up.readiness, "wait_nodes", lambda *_, **__: None)
    return asked


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr(up.prerequisites, "missing", lambda **_: [])
    monkeypatch.setattr(up.slots, "claim", lambda root, earlier=None: 2)
    monkeypatch.setattr(up.slots, "host_name", lambda: "box")
    monkeypatch.setattr(up.slots, "node_address", lambda: "10.1.2.3")


def test_a_control_plane_alone(kybern, started, tmp_path):
    root = tmp_path / "data"
    port = free_port()
    done = kybern("up", "--control-plane-only", "--data-dir", root, "--port", port,
                  "--token", "a-long-token", "--store", "memory")  # fmt: skip
    assert done.code == 0, done.err
    assert done.out == f"export KUBECONFIG={root}/admin.kubeconfig\n"
    directory = Directory(root)
    chosen = settings_file.load(directory.settings)
    assert (chosen.port, chosen.token, chosen.store) == (port, "a-long-token", "memory")
    assert chosen.control_plane_only
    assert directory.admin_kubeconfig.exists()
    ((_, programs, cleanup),) = started
    assert [program.name for program in programs] == ["control-plane"]
    assert cleanup is None


@pytest.mark.usefixtures("machine")
def test_a_node_gets_a_slot_a_name_and_an_address(kybern, started, tmp_path):
    done = kybern("up", "--data-dir", tmp_path / "data", "--port", free_port())
    assert done.code == 0, done.err
    chosen = settings_file.load(tmp_path / "data/cluster.json")
    assert (chosen.slot, chosen.service_cidr, chosen.bridge) == (2, "10.98.0.0/16", "kybern2")
    assert (chosen.node_name, chosen.node_ip) == ("box", "10.1.2.3")
    assert [p.name for p in started[0][1]] == ["containerd", "control-plane", "node"]


@pytest.mark.usefixtures("machine", "started")
def test_the_node_keeps_its_name_when_the_machine_changes_its_own(kybern, tmp_path, monkeypatch):
    words = ("up", "--data-dir", tmp_path / "data", "--port", free_port())
    kybern(*words)
    monkeypatch.setattr(up.slots, "host_name", lambda: "renamed")
    kybern(*words)
    assert settings_file.load(tmp_path / "data/cluster.json").node_name == "box"


def test_what_is_not_said_stays_as_it_was(kybern, started, tmp_path):
    root, port = tmp_path / "data", free_port()
    words = ("up", "--data-dir", root)
    said = ("--control-plane-only", "--port", port, "--token", "a-long-token", "--store", "memory")
    assert kybern(*words, *said).code == 0
    assert kybern(*words).code == 0
    chosen = settings_file.load(Directory(root).settings)
    assert (chosen.port, chosen.token, chosen.store) == (port, "a-long-token", "memory")
    assert chosen.control_plane_only
    assert kybern(*words, "--token", "", "--store", "sqlite").code == 0
    chosen = settings_file.load(Directory(root).settings)
    assert (chosen.port, chosen.token, chosen.store) == (port, "", "sqlite")
    assert len(started) == 3


@pytest.mark.usefixtures("started")
def test_times_are_written_as_upstream_does(kybern, tmp_path):
    words = ("up", "--data-dir", tmp_path / "data", "--control-plane-only", "--port", free_port())
    grace, period = "--node-monitor-grace-period", "--horizontal-pod-autoscaler-sync-period"
    assert kybern(*words, grace, "8s", period, "1m30s").code == 0
    chosen = settings_file.load(tmp_path / "data/cluster.json")
    assert (chosen.node_monitor_grace, chosen.autoscaler_period) == (8.0, 90.0)
    done = kybern(*words, grace, "8")
    assert done.code == 2
    assert "'8' is no time" in done.err


def test_a_running_cluster_is_not_taken_for_another(kybern, started, running):
    done = kybern("up", "--data-dir", running.root, "--port", "1", "--control-plane-only")
    assert (done.code, started) == (0, [])
    done = kybern("up", "--data-dir", running.root, "--port", "1234")
    assert (done.code, done.out, started) == (1, "", [])
    assert "is running already, with another --port: stop it with `kybern down" in done.err


def test_a_runtime_that_is_not_there_is_one_sentence(kybern, started, tmp_path, monkeypatch):
    monkeypatch.setattr(prerequisites.os, "geteuid", lambda: 0)
    monkeypatch.setattr(prerequisites, "find", lambda program: program)
    monkeypatch.setattr(prerequisites, "cni_directory", lambda: tmp_path)
    socket_path = tmp_path / "nobody.sock"
    done = kybern("up", "--data-dir", tmp_path / "data", "--runtime-endpoint", socket_path)
    assert done.code == 1
    assert f"no container runtime listens at {socket_path}" in done.err
    assert not (tmp_path / "data").exists()
    assert started == []


def test_the_export_line_can_be_evaluated(kybern, started, tmp_path):
    root = tmp_path / "with a space"
    done = kybern("up", "--control-plane-only", "--data-dir", root, "--port", free_port())
    assert done.out == f"export KUBECONFIG='{root}/admin.kubeconfig'\n"
    assert len(started) == 1


def test_of_two_at_once_one_starts_the_cluster(kybern, started, tmp_path, monkeypatch):
    root, found = tmp_path / "data", iter([None])
    monkeypatch.setattr(up.processes, "find", lambda directory: next(found, (1, [])))
    Directory(root).make()
    chosen = Settings(data_dir=str(root), port=1, control_plane_only=True)
    settings_file.save(chosen, Directory(root).settings)
    done = kybern("up", "--data-dir", root)
    assert (done.code, started) == (0, [])
    assert "running already" in done.err


def test_a_running_cluster_is_left_alone(kybern, started, running):
    done = kybern("up", "--data-dir", running.root)
    assert done.code == 0
    assert "running already; nothing to do" in done.err
    assert "export KUBECONFIG=" in done.out
    assert started == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--port", "0"), "--port 0 is not a port"),
        (("--store", "papyrus"), "--store papyrus cannot be"),
        (("--token", "short"), "--token is too weak"),
        (("--nodes", "0"), "--nodes 0 cannot be"),
        (("--nodes", "2", "--control-plane-only"), "goes with neither"),
    ],
)
def test_wrong_flags_are_2_and_leave_nothing(kybern, started, tmp_path, words, said):
    done = kybern("up", "--control-plane-only", "--data-dir", tmp_path / "data", *words)
    assert done.code == 2
    assert said in " ".join(done.err.replace("│", " ").split())
    assert started == []
    assert not (tmp_path / "data").exists()


def test_a_taken_port_is_one_sentence(kybern, started, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = kybern("up", "--control-plane-only", "--data-dir", tmp_path / "data", "--port", port)
    assert done.code == 1
    assert f"port {port} is taken by another program" in done.err
    assert "--port" in done.err
    assert started == []


def test_what_the_machine_lacks_is_one_sentence(kybern, started, tmp_path, monkeypatch):
    monkeypatch.setattr(up.prerequisites, "missing", lambda **_: ["this machine lacks everything."])
    done = kybern("up", "--data-dir", tmp_path / "data")
    assert (done.code, done.err) == (1, "kybern: this machine lacks everything.\n")
    assert started == []


def test_damaged_settings_are_one_sentence(kybern, started, directory):
    directory.settings.write_text("{")
    done = kybern("up", "--control-plane-only", "--data-dir", directory.root)
    assert done.code == 1
    assert "is damaged" in done.err
    assert "--purge" in done.err
    assert started == []


def test_a_damaged_authority_is_one_sentence(kybern, started, directory):
    (directory.pki / "ca.key").write_text("x")
    done = kybern("up", "--control-plane-only", "--data-dir", directory.root, "--port", free_port())
    assert done.code == 1
    assert "authority" in done.err
    assert started == []


def test_a_directory_that_cannot_be_made_is_one_sentence(kybern, started, tmp_path):
    (tmp_path / "file").touch()
    root = tmp_path / "file/data"
    done = kybern("up", "--control-plane-only", "--data-dir", root, "--port", free_port())
    assert done.code == 1
    assert "Not a directory" in done.err
    assert started == []


def test_what_was_started_is_stopped_when_waiting_fails(kybern, started, tmp_path, monkeypatch):
    def fail(*_):
        raise Failed("it does not answer.")

    monkeypatch.setattr(up.readiness, "wait_server", fail)
    done = kybern("up", "--control-plane-only", "--data-dir", tmp_path / "data",
                  "--port", free_port())  # fmt: skip
    assert (done.code, started[-1]) == (1, "stop")
    assert done.err.endswith("Stopping what was started …\nkybern: it does not answer.\n")


def test_a_supervisor_that_does_not_start_is_one_sentence(kybern, monkeypatch, tmp_path):
    def fail(*_):
        raise processes.StartError("the supervisor does not start: no memory.")

    monkeypatch.setattr(up.processes, "start", fail)
    done = kybern("up", "--control-plane-only", "--data-dir", tmp_path / "data",
                  "--port", free_port())  # fmt: skip
    assert done.code == 1
    assert done.err.endswith("kybern: the supervisor does not start: no memory.\n")
