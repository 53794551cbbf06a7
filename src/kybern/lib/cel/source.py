"""Where in an expression something is wrong, shown as cel-go shows it.

In:   the text of an expression, an offset into it, a message.
Out:  `CompileError`, whose text points at the place.
By:   lexer, parser, checker.
"""

from __future__ import annotations


class Issue(Exception):  # one of the errors of a CompileError
    """One thing wrong at one place."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message


class CompileError(Exception):
    """An expression that cannot be used; the text names every issue, in order of places."""

    def __init__(self, text: str, issues: list[Issue]) -> None:
        self.issues = sorted(issues, key=lambda issue: issue.offset)
        super().__init__("\n".join(shown(text, issue) for issue in self.issues))


def shown(text: str, issue: Issue) -> str:
    """Return the message with the line it is about and a mark below the place."""
    before = text[: issue.offset]
    line = before.count("\n")
    column = len(before) - (before.rfind("\n") + 1)
    snippet = text.split("\n")[line].replace("\t", " ")
    dots = "".join("." if ord(each) < 0x80 else "．" for each in snippet[:column])  # noqa: RUF001
    mark = "^" if column >= len(snippet) or ord(snippet[column]) < 0x80 else "＾"  # noqa: RUF001
    head = f"ERROR: <input>:{line + 1}:{column + 1}: {issue.message}"
    return f"{head}\n | {snippet}\n | {dots}{mark}"
