"""The command line, called as from a shell, and clusters that are only files."""

import json
import os
import sys

import pytest

from kybern.cli.deeds import Deeds
from kybern.cli.main import main
from kybern.cluster import certificates, kubeconfigs
from kybern.cluster import settings as settings_file
from kybern.cluster.directory import Directory
from kybern.cluster.settings import Settings


class Outcome:
    """What a command printed and how it ended."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def kybern(monkeypatch, capsys):
    """Run `kybern …` in this process."""
    monkeypatch.delenv("KYBERN_DATA_DIR", raising=False)

    def nothing(*_):
        return []

    def run(*words, loader=nothing, saver=nothing, restorer=nothing, migrator=nothing):
        monkeypatch.setattr(sys, "argv", ["kybern", *map(str, words)])
        try:
            main(Deeds(loader, saver, restorer, migrator))
        except SystemExit as end:
            code = end.code or 0
        else:
            code = 0
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Outcome(code, said.out, said.err)

    return run


@pytest.fixture
def directory(tmp_path):
    """A data directory with settings and certificates; nothing runs."""
    made = Directory(tmp_path / "data")
    made.make()
    settings = Settings(data_dir=str(made.root), port=1, control_plane_only=True)
    settings_file.save(settings, made.settings)
    certificates.ensure(made, settings)
    kubeconfigs.write(made, settings)
    return made


@pytest.fixture
def running(directory, monkeypatch):
    """The same, and it looks as if its supervisor ran: this process stands in for everything."""
    from kybern.cluster import processes

    child = {"name": "control-plane", "pid": os.getpid(), "started": 0.0, "restarts": 0,
             "lastExit": "", "log": str(directory.logs / "control-plane.log")}  # fmt: skip
    directory.state.write_text(json.dumps({"pid": os.getpid(), "children": [child]}))
    monkeypatch.setattr(processes, "_is_supervisor", lambda pid, directory: True)
    return directory
