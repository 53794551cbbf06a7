"""Flags in upstream's manner."""

import argparse
import logging

import pytest

from kybern.cmd import flags
from kybern.cmd.flags import Parser
from kybern.cmd.process import Fatal


@pytest.fixture
def parser():
    return Parser("part", "A part.")


@pytest.fixture
def fails(capsys):
    """Parse words that cannot be parsed; return what is said."""

    def parse(parser, *words):
        with pytest.raises(SystemExit) as end:
            parser.parse_args(words)
        assert end.value.code == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("kybern part: ")
        assert said.err.count("\n") == 1
        return said.err.removeprefix("kybern part: ").partition(". `kybern part --help`")[0]

    return parse


def test_both_spellings_of_a_value(parser):
    parser.option("--some-port", "x", type=flags.port)
    assert parser.parse_args(["--some-port", "1"]).some_port == 1
    assert parser.parse_args(["--some-port=2"]).some_port == 2


@pytest.mark.parametrize(
    ("words", "value"),
    [((), True), (("--lead",), True), (("--lead=false",), False), (("--lead=True",), True),
     (("--lead=0",), False), (("--lead=t",), True)],
)  # fmt: skip
def test_a_switch(parser, words, value):
    parser.switch("--lead", "x", default=True)
    assert parser.parse_args(words).lead is value


def test_a_switch_is_no_number(parser, fails):
    parser.switch("--lead", "x", default=True)
    assert fails(parser, "--lead=maybe") == "--lead: 'maybe' is not true or false"


def test_lists_collect(parser):
    parser.listing("--names", "x")
    parser.listing("--labels", "x", flags.pair)
    words = ["--names=a,b", "--names", "c", "--labels=k=v,l=w=x"]
    args = parser.parse_args(words)
    assert args.names == ["a", "b", "c"]
    assert args.labels == [("k", "v"), ("l", "w=x")]
    assert parser.parse_args([]).names is None


def test_names_are_not_abbreviated(parser, fails):
    parser.option("--secure-port", "x", type=flags.port)
    assert fails(parser, "--secure=1") == "no such flag: --secure=1"


def test_a_flag_that_cannot_be_honoured_says_why(parser, fails):
    parser.refuse("--etcd-servers", "keep it elsewhere")
    parser.fixed("--anonymous-auth", "x", value=False)
    assert fails(parser, "--etcd-servers=http://x") == (
        "--etcd-servers: not supported: keep it elsewhere"
    )
    assert fails(parser, "--etcd-servers") == "--etcd-servers: not supported: keep it elsewhere"
    assert fails(parser, "--anonymous-auth") == "--anonymous-auth: only false is supported"
    assert fails(parser, "--anonymous-auth=true") == "--anonymous-auth: only false is supported"
    assert parser.parse_args(["--anonymous-auth=false"]).anonymous_auth is False


def test_refused_flags_are_not_advertised(parser):
    parser.refuse("--etcd-servers", "x")
    assert "etcd" not in parser.format_help()


def test_problems_end_the_program(parser, capsys):
    parser.check([])
    with pytest.raises(SystemExit) as end:
        parser.check(["one is wrong.", "two is too"])
    assert end.value.code == 2
    assert "kybern part: one is wrong; two is too. `" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (flags.duration, "1m30s", 90.0),
        (flags.duration, "200ms", 0.2),
        (flags.port, "0", 0),
        (flags.port, "65535", 65535),
        (flags.port_range, "30000-32767", (30000, 32767)),
        (flags.port_range, "30000+10", (30000, 30010)),
        (flags.port_range, "80", (80, 80)),
        (flags.address, "::0001", "::1"),
        (flags.network, "10.0.0.0/8", "10.0.0.0/8"),
        (flags.endpoint, "127.0.0.1:53", ("127.0.0.1", 53)),
        (flags.endpoint, "[::1]:53", ("::1", 53)),
        (flags.endpoint, ":8080", ("", 8080)),
        (flags.size, "10Mi", 10 << 20),
        (flags.size, "7", 7),
        (flags.size, "2k", 2000),
        (flags.pair, "a=b=c", ("a", "b=c")),
        (flags.among("x", "y"), "y", "y"),
    ],
)
def test_values(read, text, value):
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (flags.duration, "soon"),
        (flags.duration, "30"),
        (flags.port, "65536"),
        (flags.port, "-1"),
        (flags.port, "²"),
        (flags.port, "http"),
        (flags.port_range, "a-b"),
        (flags.port_range, "1-99999"),
        (flags.port_range, "1+x"),
        (flags.address, "localhost"),
        (flags.network, "10.0.0.1/8"),
        (flags.endpoint, "127.0.0.1"),
        (flags.endpoint, "host:53"),
        (flags.size, "big"),
        (flags.pair, "=x"),
        (flags.pair, "x"),
        (flags.among("x", "y"), "z"),
        (flags.file, "/no/such/file"),
    ],
)
def test_values_that_are_none(read, text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"is not|there is no"):
        read(text)


KUBECONFIG = """
clusters: [{name: c, cluster: {server: "https://10.0.0.1:6443"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
"""


@pytest.fixture
def kubeconfig(tmp_path):
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG)
    return path


def client(parser, *words):
    flags.add_client(parser)
    return flags.client_config(parser.parse_args(words))


def test_the_api_server_of_a_kubeconfig(parser, kubeconfig):
    assert client(parser, f"--kubeconfig={kubeconfig}").server == "https://10.0.0.1:6443"


def test_the_url_wins_over_the_kubeconfigs(parser, kubeconfig):
    config = client(parser, f"--kubeconfig={kubeconfig}", "--master=https://other:1/")
    assert (config.server, config.token) == ("https://other:1", "t")


def test_a_url_alone(parser):
    assert client(parser, "--master=http://127.0.0.1:8080").server == "http://127.0.0.1:8080"


def test_nothing_says_where_it_is(parser, monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(Fatal, match="name a kubeconfig with --kubeconfig"):
        client(parser)


def test_a_broken_kubeconfig(parser, kubeconfig):
    kubeconfig.write_text("current-context: none")
    with pytest.raises(Fatal, match="has no context named 'none'"):
        client(parser, f"--kubeconfig={kubeconfig}")


@pytest.mark.parametrize(("level", "wanted"), [("2", logging.INFO), ("4", logging.DEBUG)])
def test_how_much_is_logged(parser, level, wanted):
    logger, root = logging.getLogger("kybern"), logging.getLogger()
    before = logger.level, root.level, list(root.handlers)
    try:
        flags.configure_logs(parser.parse_args(["--v", level, "--logging-format=json"]))
        assert logger.level == wanted
    finally:
        logger.setLevel(before[0])
        root.setLevel(before[1])
        root.handlers[:] = before[2]
