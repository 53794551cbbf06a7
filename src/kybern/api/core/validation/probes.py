"""Probes of a container, and what runs at its start and end.

In:   Probe, Lifecycle.
Out:  problems appended to the list given.
By:   `containers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api import names
from kybern.api.field_path import (
    Path,
    Problem,
    all_invalid,
    forbidden,
    invalid,
    not_supported,
    required,
)
from kybern.api.meta.validation import check_all_not_negative

if TYPE_CHECKING:
    from kybern.api.core.v1 import (
        Container,
        HTTPGetAction,
        Lifecycle,
        LifecycleHandler,
        Probe,
        SleepAction,
    )

HANDLERS: Final = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
COUNTERS: Final = (
    "initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold",
    "failureThreshold",
)  # fmt: skip


def check_probes(container: Container, path: Path, out: list[Problem]) -> None:
    """All probes of a container."""
    if container.livenessProbe is not None:
        place = path / "livenessProbe"
        _check_probe(container.livenessProbe, place, out)
        _check_success_once(container.livenessProbe, place, out)
    if container.readinessProbe is not None:
        place = path / "readinessProbe"
        _check_probe(container.readinessProbe, place, out)
        grace = container.readinessProbe.terminationGracePeriodSeconds
        if grace is not None:
            told = "must not be set for readinessProbes"
            out.append(invalid(place / "terminationGracePeriodSeconds", grace, told))
    if container.startupProbe is not None:
        place = path / "startupProbe"
        _check_probe(container.startupProbe, place, out)
        _check_success_once(container.startupProbe, place, out)


def _check_success_once(probe: Probe, path: Path, out: list[Problem]) -> None:
    if probe.successThreshold != 1:
        out.append(invalid(path / "successThreshold", probe.successThreshold or 0, "must be 1"))


def _check_probe(probe: Probe, path: Path, out: list[Problem]) -> None:
    _check_handler(probe, None, path, out)
    check_all_not_negative(probe, path, COUNTERS, out)
    grace = probe.terminationGracePeriodSeconds
    if grace is not None and grace <= 0:
        told = "must be greater than 0"
        out.append(invalid(path / "terminationGracePeriodSeconds", grace, told))


def check_lifecycle(
    lifecycle: Lifecycle, grace: int | None, os: str, path: Path, out: list[Problem]
) -> None:
    """What runs after the start and before the end, and the signal that ends it."""
    if lifecycle.postStart is not None:
        _check_handler(lifecycle.postStart, grace, path / "postStart", out)
    if lifecycle.preStop is not None:
        _check_handler(lifecycle.preStop, grace, path / "preStop", out)
    if lifecycle.stopSignal is not None:
        _check_stop_signal(lifecycle.stopSignal, os, path / "stopSignal", out)


def _check_handler(
    handler: Probe | LifecycleHandler, grace: int | None, path: Path, out: list[Problem]
) -> None:
    found = 0
    for field in HANDLERS:
        action = getattr(handler, field, None)
        if action is None:
            continue
        if found:
            out.append(forbidden(path / field, "may not specify more than 1 handler type"))
            continue
        found += 1
        place = path / field
        if field == "exec":
            if not action.command:
                out.append(required(place / "command"))
        elif field == "httpGet":
            _check_http(action, place, out)
        elif field == "sleep":
            _check_sleep(action, grace, place, out)
        else:
            check_port(action.port, place / "port", out)
    if not found:
        out.append(required(path, "must specify a handler type"))


def _check_http(action: HTTPGetAction, path: Path, out: list[Problem]) -> None:
    if not action.path:
        out.append(required(path / "path"))
    check_port(action.port, path / "port", out)
    if action.scheme not in ("HTTP", "HTTPS"):
        out.append(not_supported(path / "scheme", action.scheme or "", ("HTTP", "HTTPS")))
    for header in action.httpHeaders or ():
        if messages := names.http_header_name(header.name):
            out += all_invalid(path / "httpHeaders", header.name, messages)


def check_port(port: int | str | None, path: Path, out: list[Problem]) -> None:
    """A port by number or by name."""
    if isinstance(port, str):
        if messages := names.port_name(port):
            out += all_invalid(path, port, messages)
    elif messages := names.port_number(port or 0):
        out += all_invalid(path, port or 0, messages)


def _check_sleep(sleep: SleepAction, grace: int | None, path: Path, out: list[Problem]) -> None:
    if grace is not None and not 0 <= sleep.seconds <= grace:
        told = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
        out.append(invalid(path, sleep.seconds, told))


SIGNALS: Final = tuple(
    f"SIG{name}"
    for name in (
        "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT",
        "KILL", "PIPE", "POLL", "PROF", "PWR", "QUIT", "RTMAX",
        *(f"RTMAX-{n}" for n in range(1, 15)), "RTMIN", *(f"RTMIN+{n}" for n in range(1, 16)),
        "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
        "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
    )
)  # fmt: skip
WINDOWS_SIGNALS: Final = ("SIGKILL", "SIGTERM")


def _check_stop_signal(signal: str, os: str, path: Path, out: list[Problem]) -> None:
    if not os:
        told = "may not be set for containers with empty `spec.os.name`"
        out.append(forbidden(path, told))
        return
    known = WINDOWS_SIGNALS if os == "windows" else SIGNALS
    if signal not in known:
        out.append(not_supported(path, signal, known))
