"""`kybern token` and `kybern server`, as far as no cluster is needed."""

import pytest
import typer

from kybern.cli.verbs.token import _row, duration
from kybern.cluster.join_tokens import Token
from kybern.lib.clock import SYSTEM


@pytest.mark.parametrize(
    ("text", "seconds"), [("24h", 86400), ("1h30m", 5400), ("1.5s", 1.5), ("0", 0)]
)
def test_times(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "1d", "-1h", "1h x"])
def test_what_is_no_time(text):
    if text:
        with pytest.raises(typer.BadParameter):
            duration(text)
    else:
        assert duration(text) == 0


def test_a_token_as_kubeadm_shows_it():
    token = Token("abcdef.0123456789abcdef", None, ("authentication", "signing"), "", ("a:b",))
    assert _row(token) == (
        "abcdef.0123456789abcdef", "<forever>", "<never>", "authentication,signing", "<none>", "a:b"
    )  # fmt: skip
    assert _row(token._replace(expires=SYSTEM.now() + 90000))[1] == "1d"
    assert _row(token._replace(expires=SYSTEM.now() - 1, usages=()))[1:4:2] == (
        "<invalid>", "<none>"
    )  # fmt: skip


def test_wrong_usage(kybern, directory, tmp_path):
    where = ("--data-dir", directory.root)
    assert kybern("token", "create", "rubbish", *where).code == 2
    assert kybern("token", "create", "abcdef.0123456789abcdef", "--server", *where).code == 2
    assert kybern("token", "delete", "X", *where).code == 2
    new = ("--data-dir", tmp_path / "new")
    assert kybern("server", "--join", "https://10.0.0.1:6443", *new).code == 2
    assert kybern("server", "--token", "x", *new).code == 2


def test_failures_are_one_sentence(kybern, directory, tmp_path):
    where = ("--data-dir", directory.root)
    for words in (("create",), ("list",), ("delete", "abcdef")):
        done = kybern("token", *words, *where)
        assert done.code == 1
        assert "the API server does not answer" in done.err
    assert "there is no cluster" in kybern("token", "create", "--data-dir", tmp_path / "x").err
    done = kybern("token", "create", "--server", *where)
    assert "kybern store migrate" in done.err
    new = ("--data-dir", tmp_path / "new")
    done = kybern("server", "--join", "https://127.0.0.1:1", "--token", "x", *new)
    assert done.code == 1
    assert "kybern token create --server" in done.err
    token = "abcdef.0123456789abcdef." + "0" * 64
    done = kybern("server", "--join", "https://127.0.0.1:1", "--token", token, *new)
    assert "no API server answers" in done.err
