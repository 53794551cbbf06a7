"""Flags of one component, in upstream's manner.

In:   the words after `kybern apiserver` and its like.
Out:  checked values; a wrong flag ends the program with exit code 2 and one sentence.
By:   the entry points beside this file.

`--name=value` and `--name value` are the same; a switch may have `=true` or `=false`; lists take
commas and may be given several times. Names are never abbreviated, as upstream's are not. A flag of
upstream's that cannot be honoured is refused with the reason, never ignored.
"""

from __future__ import annotations

import argparse
import ipaddress
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from kybern.apiserver.go_duration import parse as parse_duration
from kybern.client.config import ClientConfig, ConfigError, in_cluster, load_kubeconfig
from kybern.cmd.process import Fatal
from kybern.lib import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

DEBUG_FROM = 4  # upstream's levels of --v from which on every step is told
_BOOLEANS = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}
_SIZE = re.compile(r"([0-9]+)(Ki|Mi|Gi|k|M|G)?")
_UNITS = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "k": 10**3, "M": 10**6, "G": 10**9}


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are one sentence."""

    def __init__(self, component: str, description: str) -> None:
        super().__init__(
            prog=f"kybern {component}",
            usage=f"kybern {component} [flags]",
            description=description,
            allow_abbrev=False,
            formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34),
        )
        self.add_argument(
            "--v", type=int, default=2, metavar="LEVEL", help="how much is logged (4: every step)"
        )
        self.add_argument(
            "--logging-format",
            choices=("text", "json"),
            default="text",
            help="lines for people or for programs",
        )

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        text = message.removeprefix("argument ").replace("unrecognized arguments", "no such flag")
        self.exit(2, f"{self.prog}: {text}. `{self.prog} --help` lists the flags.\n")

    def option(self, name: str, help_text: str, **more: Any) -> None:
        """Add a flag; its attribute is the name with underscores."""
        more.setdefault("metavar", name.rpartition("-")[2].upper())
        self.add_argument(name, help=help_text, **more)

    def switch(self, name: str, help_text: str, *, default: bool) -> None:
        """Add a flag that is on or off; `--name` alone is on."""
        self.add_argument(
            name,
            help=help_text,
            type=boolean,
            nargs="?",
            const=True,
            default=default,
            metavar="true|false",
        )

    def listing(
        self, name: str, help_text: str, item: Callable[[str], Any] = str, metavar: str = ""
    ) -> None:
        """Add a flag whose values collect: with commas, and each time it is given."""
        self.add_argument(
            name,
            help=help_text,
            type=lambda text: [item(part.strip()) for part in text.split(",") if part.strip()],
            action="extend",
            default=None,
            metavar=metavar or f"{name.rpartition('-')[2].upper()},…",
        )

    def fixed(self, name: str, help_text: str, *, value: bool) -> None:
        """Add a switch of upstream's that has one position here."""

        def only(text: str) -> bool:
            if boolean(text) is not value:
                raise wrong(f"only {str(value).lower()} is supported")
            return value

        self.add_argument(
            name,
            help=help_text,
            type=only,
            nargs="?",
            const="true",
            default=value,
            metavar=str(value).lower(),
        )

    def refuse(self, name: str, why: str) -> None:
        """Answer a flag of upstream's that cannot be honoured with the reason."""

        def refuse(_: str) -> None:
            raise wrong(f"not supported: {why}")

        self.add_argument(name, type=refuse, nargs="?", const="", help=argparse.SUPPRESS)

    def check(self, problems: Iterable[str]) -> None:
        """End with exit code 2 when there are problems."""
        if found := "; ".join(p.rstrip(".") for p in problems):
            self.error(found)


# --- kinds of values -------------------------------------------------------------------------


def wrong(why: str) -> argparse.ArgumentTypeError:
    """Return what a reader of values raises; `why` is shown to the user."""
    return argparse.ArgumentTypeError(why)


def _bad(text: str, wanted: str) -> argparse.ArgumentTypeError:
    return wrong(f"{text!r} is not {wanted}")


def boolean(text: str) -> bool:
    """Read `true` or `false`."""
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise _bad(text, "true or false") from None


def duration(text: str) -> float:
    """Read `1m30s` as seconds."""
    try:
        return parse_duration(text)
    except ValueError:
        raise _bad(text, "a duration such as 30s or 1h30m") from None


def port(text: str) -> int:
    """Read a port; 0 is one too: none, or any."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise _bad(text, "a port from 0 to 65535")
    return int(text)


def port_range(text: str) -> tuple[int, int]:
    """Read `30000-32767`, or upstream's `30000+2767`."""
    try:
        if "+" in text:
            first, _, size = text.partition("+")
            return port(first), port(str(int(first) + int(size)))
        first, _, last = text.partition("-")
        return port(first), port(last or first)
    except (ValueError, argparse.ArgumentTypeError):
        raise _bad(text, "a range of ports such as 30000-32767") from None


def address(text: str) -> str:
    """Read an IP address."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise _bad(text, "an IP address") from None


def addresses(text: str) -> str:
    """Read an IP address, or one of each family: `192.0.2.1,2001:db8::1`."""
    found = [address(part.strip()) for part in text.split(",")]
    if len(found) > 2 or len({":" in part for part in found}) < len(found):
        raise _bad(text, "one address, or one of IPv4 and one of IPv6")
    return ",".join(found)


def network(text: str) -> str:
    """Read a network."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise _bad(text, "a network such as 10.96.0.0/16") from None


def networks(text: str) -> str:
    """Read a network, or one of each family: `10.96.0.0/16,fd00::/112`."""
    found = [network(part.strip()) for part in text.split(",")]
    if len(found) > 2 or len({":" in part for part in found}) < len(found):
        raise _bad(text, "one network, or one of IPv4 and one of IPv6")
    return ",".join(found)


def endpoint(text: str) -> tuple[str, int]:
    """Read `127.0.0.1:10256` or `[::1]:10256`."""
    host, colon, number = text.rpartition(":")
    if not colon:
        raise _bad(text, "an address with a port, such as 127.0.0.1:10256")
    return address(host.strip("[]")) if host else "", port(number)


def file(text: str) -> Path:
    """Read the path of a file that exists."""
    path = Path(text)
    if not path.is_file():
        raise wrong(f"there is no file {text}")
    return path


def size(text: str) -> int:
    """Read `10Mi` as bytes."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise _bad(text, "a size such as 10Mi")
    return int(match[1]) * _UNITS[match[2] or ""]


def pair(text: str) -> tuple[str, str]:
    """Read `key=value`."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise _bad(text, "of the form key=value")
    return key, value


def among(*allowed: str) -> Callable[[str], str]:
    """Return what reads one of these words."""

    def word(text: str) -> str:
        if text not in allowed:
            raise _bad(text, f"one of {', '.join(allowed)}")
        return text

    return word


# --- flags that several components have ------------------------------------------------------


def add_client(parser: Parser) -> None:
    """Add where the API server is, and who we are to it."""
    parser.option(
        "--kubeconfig",
        "how to reach the API server; inside a pod, nothing is needed",
        type=file,
        metavar="FILE",
    )
    parser.option("--master", "URL of the API server, instead of the kubeconfig's", default="")


def client_config(args: argparse.Namespace) -> ClientConfig:
    """Return where the API server is.

    Raises:
        Fatal: nothing says so, or what says so cannot be used.
    """
    try:
        if args.kubeconfig is not None:
            config = load_kubeconfig(args.kubeconfig)
        elif args.master:
            return ClientConfig(server=args.master.rstrip("/"))
        else:
            config = in_cluster()
    except ConfigError as error:
        hint = "" if args.kubeconfig else "; name a kubeconfig with --kubeconfig"
        raise Fatal(f"{error}{hint}.") from None
    if args.master:
        from dataclasses import replace

        config = replace(config, server=args.master.rstrip("/"))
    return config


def add_window(parser: Parser, number: int) -> None:
    """Add where a component serves health and metrics over TLS."""
    parser.option(
        "--secure-port",
        "where health and metrics are served; 0 for nowhere",
        type=port,
        default=number,
    )
    parser.option("--bind-address", "where to listen; everywhere by default", type=address)
    parser.option("--tls-cert-file", "certificate of that server", type=file)
    parser.option("--tls-private-key-file", "its key", type=file)
    for name in ("authentication", "authorization"):
        parser.option(
            f"--{name}-kubeconfig",
            "accepted; callers are judged through --kubeconfig",
            type=file,
            metavar="FILE",
        )


def configure_logs(args: argparse.Namespace) -> None:
    """Log as the flags say."""
    level = "debug" if args.v >= DEBUG_FROM else "info"
    logs.configure(level, "json" if args.logging_format == "json" else "human")


def words(values: Sequence[str] | None, default: Sequence[str]) -> tuple[str, ...]:
    """Return the values of a list flag, or what holds when it was not given."""
    return tuple(default if values is None else values)
