"""`kybern status`, `kybern kubeconfig` and `kybern image load`."""

import json

import msgspec
import pytest

from kybern.cli import api
from kybern.cli.errors import Failed
from kybern.cli.verbs import status
from kybern.cluster import settings as settings_file

READY = api.Answer(200, b"ok")


@pytest.fixture
def server(monkeypatch):
    """Answer in the place of the API server."""
    answers = {"/readyz": READY, "/api/v1/nodes": api.Answer(200, b'{"items": []}')}

    def get(directory, settings, path, timeout=5.0):
        answer = answers[path]
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(status.api, "get", get)
    return answers


def nodes(*conditions):
    items = [
        {"metadata": {"name": f"n{i}"}, "status": {"conditions": [c] if c else []}}
        for i, c in enumerate(conditions)
    ]
    return api.Answer(200, json.dumps({"items": items}).encode())


def rows(text):
    return [line.split() for line in text.splitlines()]


def test_no_cluster_is_1(kybern, directory):
    done = kybern("status", "--data-dir", directory.root)
    assert (done.code, done.out) == (1, f"No cluster runs in {directory.root}.\n")


def test_all_is_well(kybern, running, server):
    server["/api/v1/nodes"] = nodes({"type": "Ready", "status": "True"})
    done = kybern("status", "--data-dir", running.root)
    assert done.code == 0
    found = rows(done.out)
    assert found[0] == ["PROCESS", "PID", "SINCE", "RESTARTS", "MEMORY"]
    assert found[1][0] == "supervisor"
    assert (found[2][0], found[2][3]) == ("control-plane", "0")
    assert ["API", "server", "https://127.0.0.1:1", "ready"] in found
    assert ["node", "n0", "Ready"] in found


def test_a_server_that_does_not_answer_is_1(kybern, running, server):
    server["/readyz"] = server["/api/v1/nodes"] = ConnectionRefusedError(111, "Connection refused")
    done = kybern("status", "--data-dir", running.root)
    assert done.code == 1
    assert "does not answer: [Errno 111] Connection refused" in done.out


def test_a_server_that_is_not_ready_says_why(kybern, running, server):
    server["/readyz"] = api.Answer(500, b"[-]etcd failed")
    done = kybern("status", "--data-dir", running.root)
    assert (done.code, "not ready: [-]etcd failed" in done.out) == (1, True)


def test_nodes_that_are_not_ready_say_why(kybern, running, server):
    server["/api/v1/nodes"] = nodes({"type": "Ready", "status": "False", "message": "no CNI"}, None)
    done = kybern("status", "--data-dir", running.root)
    assert "NotReady: no CNI" in done.out
    assert ["node", "n1", "NotReady"] in rows(done.out)


def test_a_program_that_waits_for_its_next_start(kybern, running, server):
    state = json.loads(running.state.read_text())
    state["children"][0] |= {"pid": 0, "restarts": 3, "lastExit": "signal 9"}
    running.state.write_text(json.dumps(state))
    done = kybern("status", "--data-dir", running.root)
    assert done.code == 1
    assert "3 (last: signal 9)" in done.out


def test_damaged_settings_are_one_sentence(kybern, running):
    running.settings.write_text("{")
    done = kybern("status", "--data-dir", running.root)
    assert (done.code, "is damaged" in done.err) == (1, True)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59, "59s"), (60, "1m"), (7200, "2h"), (200000, "2d")]
)
def test_ages(seconds, text):
    assert status._ago(seconds) == text


def test_the_kubeconfig_is_printed(kybern, directory):
    done = kybern("kubeconfig", "--data-dir", directory.root)
    assert (done.code, done.out) == (0, directory.admin_kubeconfig.read_text())


def test_no_kubeconfig_without_a_cluster(kybern, tmp_path):
    done = kybern("kubeconfig", "--data-dir", tmp_path)
    assert (done.code, done.out) == (1, "")
    assert "start one with `kybern up`" in done.err


@pytest.fixture
def with_node(running):
    settings = json.loads(running.settings.read_text())
    running.settings.write_text(json.dumps({**settings, "control_plane_only": False}))
    return running


def test_images_are_loaded_one_by_one(kybern, with_node, tmp_path):
    asked = []

    def loader(directory, file):
        asked.append(file.name)
        return [f"example.com/{file.stem}:1"] if file.stem == "one" else []

    done = kybern("image", "load", "--data-dir", with_node.root, "one.tar", "two.tar",
                  loader=loader)  # fmt: skip
    assert done.code == 0
    assert asked == ["one.tar", "two.tar"]
    assert "example.com/one:1" in done.err
    assert "no image in it has a name" in done.err


def test_an_image_that_cannot_be_loaded_is_one_sentence(kybern, with_node):
    def loader(directory, file):
        raise Failed(f"{file} is no image archive.")

    done = kybern("image", "load", "--data-dir", with_node.root, "x.tar", loader=loader)
    assert done.code == 1
    assert done.err.endswith("kybern: x.tar is no image archive.\n")


def test_images_need_a_cluster_with_our_containerd(kybern, directory, running, tmp_path):
    done = kybern("image", "load", "--data-dir", running.root, "x.tar")
    assert (done.code, "it has no node" in done.err) == (1, True)
    chosen = settings_file.load(running.settings)
    foreign = msgspec.structs.replace(chosen, control_plane_only=False, runtime_endpoint="/x.sock")
    settings_file.save(foreign, running.settings)
    done = kybern("image", "load", "--data-dir", running.root, "x.tar")
    assert (done.code, "no containerd of its own" in done.err) == (1, True)
    running.state.unlink()
    done = kybern("image", "load", "--data-dir", running.root, "x.tar")
    assert (done.code, "no cluster runs" in done.err) == (1, True)
