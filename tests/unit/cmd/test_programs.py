"""What happens to `kybern WORD`, and how long-running programs end."""

import os
import signal
import subprocess
import sys
import time

import pytest
from tests.ports import free_port

from kybern.cmd import main

RUN = """
import asyncio, sys
from kybern.cmd.process import Fatal, run

async def body():
    print("up", flush=True)
    {body}

run(lambda: body(), "test")
"""


def program(body):
    return subprocess.Popen(
        [sys.executable, "-c", RUN.format(body=body)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_program_that_is_told_to_stop_ends_well(number):
    with program("await asyncio.sleep(60)") as process:
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        assert process.wait(20) == 0
        assert "stopped" in process.stderr.read()


def test_a_program_that_cannot_go_on_says_one_sentence():
    with program("raise Fatal('it cannot be: do that.')") as process:
        assert process.wait(20) == 1
        assert process.stderr.read() == "it cannot be: do that.\n"


def test_also_from_within_groups():
    body = """
    async def fail():
        raise Fatal('deep down.')
    async with asyncio.TaskGroup() as outer:
        outer.create_task(asyncio.sleep(60))
        async with asyncio.TaskGroup() as inner:
            inner.create_task(fail())"""
    with program(body) as process:
        assert process.wait(20) == 1
        assert process.stderr.read() == "deep down.\n"


def test_a_bug_shows_its_traceback():
    with program("raise ValueError('a bug')") as process:
        assert process.wait(20) == 1
        assert "ValueError: a bug" in process.stderr.read()


@pytest.mark.parametrize("name", sorted(main.COMPONENTS))
def test_each_component_is_reached_by_its_name(name):
    done = subprocess.run(
        [sys.executable, "-m", "kybern.cmd.main", name, "--no-such-flag"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(f"kybern {name}: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("apiserver", "--store=memory", "--cert-dir={tmp}/file/x"), "cannot be used"),
        (("apiserver", "--store=sqlite://{tmp}/file/state.db", "--cert-dir={tmp}"), "{tmp}/file"),
        (("apiserver", "--store=sqlite://{tmp}/junk", "--cert-dir={tmp}"), "{tmp}/junk"),
        (("apiserver", "--store=memory", "--cert-dir={tmp}", "--token-auth-file={tmp}/junk"),
         "the credentials cannot be used"),
        (("apiserver", "--store=memory", "--cert-dir={tmp}",
          "--service-account-signing-key-file={tmp}/junk"), "the credentials cannot be used"),
        (("scheduler", "--kubeconfig={tmp}/junk"), "kubeconfig"),
        (("controller-manager",), "name a kubeconfig"),
        (("dns", "--kubeconfig={tmp}/file"), "kubeconfig"),
    ],
)  # fmt: skip
def test_what_cannot_run_is_one_sentence_and_1(tmp_path, words, said):
    (tmp_path / "file").touch()
    (tmp_path / "junk").write_bytes(b"junk, and more of it\n" * 500)
    command = [word.replace("{tmp}", str(tmp_path)) for word in words]
    port = [] if words[0] == "dns" else ["--secure-port=1"]
    done = subprocess.run(
        [sys.executable, "-m", "kybern.cmd.main", *command, *port],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert said.replace("{tmp}", str(tmp_path)) in last


def test_an_api_server_on_a_taken_port_is_one_sentence(tmp_path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = subprocess.run(
            [sys.executable, "-m", "kybern.cmd.main", "apiserver", "--store=memory",
             f"--cert-dir={tmp_path}", "--bind-address=127.0.0.1",
             f"--secure-port={taken.getsockname()[1]}"],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("cannot listen on 127.0.0.1, port")
    assert "--secure-port" in done.stderr


def test_two_api_servers_cannot_have_one_file(tmp_path):
    command = [sys.executable, "-m", "kybern.cmd.main", "apiserver", f"--cert-dir={tmp_path}",
               f"--store=sqlite://{tmp_path}/state.db", "--bind-address=127.0.0.1"]  # fmt: skip
    port = free_port()
    with subprocess.Popen([*command, f"--secure-port={port}"], stderr=subprocess.DEVNULL) as first:
        try:
            deadline = time.monotonic() + 20
            while not _listens(port):
                assert first.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            second = subprocess.run(
                [*command, "--secure-port=1"], capture_output=True, text=True, check=False,
                timeout=30,
            )  # fmt: skip
        finally:
            first.terminate()
    assert second.returncode == 1
    assert "Traceback" not in second.stderr
    assert "state.db" in second.stderr
    assert first.returncode == 0
    assert os.path.exists(tmp_path / "state.db")


def _listens(port):
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
