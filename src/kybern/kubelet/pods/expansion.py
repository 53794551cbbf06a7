"""`$(NAME)` in commands, arguments and environment values.

In:   a text and the variables known so far.
Out:  the text with known references replaced; unknown ones stay as they are, `$$` becomes `$`.
By:   environment.py, translate.py, sub-paths. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace the references in a text."""
    if "$" not in text:
        return text
    parts: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0 and dollar + 1 < len(text):
        parts.append(text[at:dollar])
        after = text[dollar + 1]
        end = text.find(")", dollar + 2) if after == "(" else -1
        if after == "$":
            parts.append("$")
            at = dollar + 2
        elif end >= 0:
            name = text[dollar + 2 : end]
            parts.append(variables.get(name, text[dollar : end + 1]))
            at = end + 1
        else:
            parts.append(text[dollar : dollar + 2])
            at = dollar + 2
    return "".join(parts) + text[at:]


def unknown_references(text: str, variables: Mapping[str, str]) -> list[str]:
    """Return the names a text refers to which are not among the variables."""
    missing: list[str] = []

    class Recorder(dict[str, str]):
        def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
            if key not in variables:
                missing.append(key)
            return default

    expand(text, Recorder())
    return missing
