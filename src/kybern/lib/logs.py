"""Logging: a constant message and key/values, on top of the standard library.

In:   `get("component").info("message", key=value)`.
Out:  one line per record: `2026-11-22T10:00:00.123Z INFO component message key=value`, or JSON.
By:   everyone; `configure` is called once, by the entry point.

Until `configure` is called, records go wherever the standard library sends them.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING, Any, TextIO

from kybern.lib.clock import SYSTEM, Clock, rfc3339_milli

if TYPE_CHECKING:
    from collections.abc import Mapping

DEBUG, INFO, WARNING, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@+,*%[](){}")


class Logger:
    """A named logger; values bound to it are added to every record."""

    __slots__ = ("_bound", "_logger", "name")

    def __init__(self, name: str, bound: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self._logger = logging.getLogger("kybern").getChild(name)
        self._bound = dict(bound or {})

    def bind(self, **values: Any) -> Logger:
        """Return a logger which adds these values to every record."""
        return Logger(self.name, {**self._bound, **values})

    def enabled(self, level: int) -> bool:
        """Say whether a record of this level would be written."""
        return self._logger.isEnabledFor(level)

    def debug(self, message: str, **values: Any) -> None:
        """Tell a developer."""
        self._write(logging.DEBUG, message, values)

    def info(self, message: str, **values: Any) -> None:
        """Tell an operator what happened."""
        self._write(logging.INFO, message, values)

    def warning(self, message: str, **values: Any) -> None:
        """Tell an operator what may need attention."""
        self._write(logging.WARNING, message, values)

    def error(self, message: str, **values: Any) -> None:
        """Tell an operator what failed."""
        self._write(logging.ERROR, message, values)

    def exception(self, message: str, *, error: BaseException | None = None, **values: Any) -> None:
        """Tell an operator what failed, with the traceback of `error` or of the one in hand."""
        self._write(logging.ERROR, message, values, error or sys.exc_info()[1])

    def _write(
        self, level: int, message: str, values: dict[str, Any], error: BaseException | None = None
    ) -> None:
        logger = self._logger
        if not logger.isEnabledFor(level):
            return
        exc_info = (type(error), error, error.__traceback__) if error is not None else None
        # `makeRecord` directly: finding the caller's line would cost more than the rest.
        record = logger.makeRecord(logger.name, level, "", 0, message, (), exc_info)
        record.component = self.name
        record.values = {**self._bound, **values} if self._bound else values
        logger.handle(record)


def get(name: str) -> Logger:
    """Return the logger of a component, such as `apiserver` or `kubelet.pods`."""
    return Logger(name)


class HumanFormatter(logging.Formatter):
    """One line for a person: time, level, component, message, key=value."""

    def __init__(self, clock: Clock = SYSTEM) -> None:
        super().__init__()
        self._clock = clock

    def format(self, record: logging.LogRecord) -> str:
        """Write the record as one line, a traceback on further lines."""
        component, values = _parts(record)
        stamp = rfc3339_milli(self._clock.now())
        words = [f"{stamp} {record.levelname} {component} {record.getMessage()}"]
        words += [f"{key}={_quoted(value)}" for key, value in values.items()]
        line = " ".join(words)
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object per line, for machines."""

    def __init__(self, clock: Clock = SYSTEM) -> None:
        super().__init__()
        self._clock = clock

    def format(self, record: logging.LogRecord) -> str:
        """Write the record as one JSON object."""
        component, values = _parts(record)
        tree = {
            "time": rfc3339_milli(self._clock.now()),
            "level": record.levelname.lower(),
            "component": component,
            "message": record.getMessage(),
            **values,
        }
        if record.exc_info:
            tree["traceback"] = self.formatException(record.exc_info)
        return json.dumps(tree, default=str, ensure_ascii=False)


def configure(
    level: int | str = logging.INFO,
    style: str = "human",
    stream: TextIO | None = None,
    clock: Clock = SYSTEM,
) -> None:
    """Send everything of this level and above to `stream` (standard error when not given).

    Args:
        level: a level number, or its name in any case.
        style: `human` or `json`.
        stream: where lines go.
        clock: what stamps the lines.

    Raises:
        ValueError: no such style or level.
    """
    formatters = {"human": HumanFormatter, "json": JsonFormatter}
    if style not in formatters:
        raise ValueError(f"no such log style: {style!r} (human or json)")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatters[style](clock))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)  # other libraries only speak up when something is wrong
    logging.getLogger("kybern").setLevel(level.upper() if isinstance(level, str) else level)


def _parts(record: logging.LogRecord) -> tuple[str, Mapping[str, Any]]:
    fields = record.__dict__
    return fields.get("component", record.name), fields.get("values", {})


def _quoted(value: Any) -> str:
    text = value if type(value) is str else str(value)
    if text and _PLAIN.issuperset(text):
        return text
    return json.dumps(text, ensure_ascii=False)
