"""Regular expressions, as RE2 has them.

In:   a pattern.
Out:  Python's form of it; or an EvalError.
By:   standard, the libraries.

Python's `re` does all that RE2 does but for its spelling of a few things. What RE2 refuses (back
references, looking around) is refused here as well. Python may take exponential time where RE2 does
not: whoever writes policies can write such a pattern.
"""

from __future__ import annotations

import functools
import re

from kybern.lib.cel.values import EvalError

_REFUSED = re.compile(r"(?:^|[^\\])(?:\\\\)*(\(\?(?:=|!|<=|<!|>|\()|\\[1-9])")
_CLASSES = {
    "alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z",
    "space": r"\s", "punct": r"!-/:-@\[-`{-~", "xdigit": "0-9A-Fa-f", "word": r"\w",
    "blank": r" \t", "cntrl": r"\x00-\x1f\x7f", "print": " -~", "graph": "!-~",
    "ascii": r"\x00-\x7f",
}  # fmt: skip
_NAMED = re.compile(r"\[:(\w+):\]")


@functools.lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern that Python understands.

    Raises:
        EvalError: it is none.
    """
    if (odd := _REFUSED.search(pattern)) is not None:
        told = f"error parsing regexp: invalid or unsupported Perl syntax: `{odd[1]}`"
        raise EvalError(told)
    text = _NAMED.sub(lambda m: _CLASSES.get(m[1], m[0]), pattern).replace(r"\z", r"\Z")
    text = text.replace("(?<", "(?P<")
    try:
        # RE2's \d, \w and \s are those of ASCII.
        return re.compile(text, re.ASCII)
    except (re.error, RecursionError, OverflowError) as error:
        raise EvalError(f"error parsing regexp: {error}: `{pattern}`") from None
