"""From text to tokens.

In:   the text of an expression.
Out:  a list of Tokens that ends with one of kind END; or an Issue.
By:   parser.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from kybern.lib.cel.source import Issue

END, NAME, WORD, OP = "<EOF>", "IDENTIFIER", "word", "op"
INT, UINT, FLOAT, STRING, BYTES = "NUM_INT", "NUM_UINT", "NUM_FLOAT", "STRING", "BYTES"
KEYWORDS = frozenset(("true", "false", "null", "in"))

_QUOTED = (
    r'"""(?:\\.|[^\\])*?"""|'
    r"'''(?:\\.|[^\\])*?'''|"
    r'"(?:\\.|[^\\\n\r"])*"|'
    r"'(?:\\.|[^\\\n\r'])*'"
)
_RAW = r'"""(?:.|\n)*?"""|' r"'''(?:.|\n)*?'''|" r'"[^\n\r"]*"|' r"'[^\n\r']*'"
_TOKEN = re.compile(
    rf"""(?P<space>(?:[ \t\n\r\f]|//[^\n]*)+)
    |(?P<raw>[bB]?[rR][bB]?(?:{_RAW}))
    |(?P<bytes>[bB](?:{_QUOTED}))
    |(?P<string>{_QUOTED})
    |(?P<float>(?:[0-9]+\.[0-9]+|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)
    |(?P<uint>(?:0x[0-9a-fA-F]+|[0-9]+)[uU])
    |(?P<int>0x[0-9a-fA-F]+|[0-9]+)
    |(?P<name>[_a-zA-Z][_a-zA-Z0-9]*)
    |(?P<op>==|!=|<=|>=|&&|\|\||[-+*/%<>!?:.,()\[\]{{}}])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|X([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})"
    r"|([0-3][0-7]{2})|(.))",
    re.DOTALL,
)
_SIMPLE = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\",
    "'": "'", '"': '"', "`": "`", "?": "?",
}  # fmt: skip


class Token(NamedTuple):
    """One word of an expression; `value` is that of a literal."""

    kind: str
    text: str
    at: int
    value: Any = None


def tokens(text: str) -> list[Token]:
    """Return the tokens of an expression.

    Raises:
        Issue: there is something that is no token.
    """
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise Issue(at, f"Syntax error: token recognition error at: '{text[at]}'")
        at = match.end()
        if match.lastgroup != "space":
            found.append(_token(match))
    found.append(Token(END, "<EOF>", len(text)))
    return found


def _token(match: re.Match[str]) -> Token:
    text, at = match.group(), match.start()
    group = match.lastgroup
    if group == "op":
        return Token(OP, text, at)
    if group == "name":
        return Token(WORD if text in KEYWORDS else NAME, text, at)
    if group == "int":
        return Token(INT, text, at)
    if group == "uint":
        return Token(UINT, text, at)
    if group == "float":
        return Token(FLOAT, text, at, float(text))
    return _quoted(text, at, raw=group == "raw")


def _quoted(text: str, at: int, *, raw: bool) -> Token:
    start = min(text.find(mark) for mark in "'\"" if mark in text)
    prefix, body = text[:start].lower(), text[start:]
    width = 3 if body[:3] in ('"""', "'''") else 1
    body = body[width:-width].replace("\r\n", "\n").replace("\r", "\n")
    if "b" not in prefix:
        return Token(STRING, text, at, body if raw else _unescape(body, at))
    return Token(BYTES, text, at, body.encode() if raw else _unescape_bytes(body, at))


def _unescape(body: str, at: int) -> str:
    if "\\" not in body:
        return body

    def replace(match: re.Match[str]) -> str:
        digits = match[1] or match[2] or match[3] or match[4]
        if digits or match[5]:
            point = int(digits, 16) if digits else int(match[5], 8)
            if point > 0x10FFFF or 0xD800 <= point <= 0xDFFF:
                raise Issue(at, "invalid unicode code point")
            return chr(point)
        return _simple(match[6], at)

    return _ESCAPE.sub(replace, body)


def _unescape_bytes(body: str, at: int) -> bytes:
    out, last = bytearray(), 0
    for match in _ESCAPE.finditer(body):
        out += body[last : match.start()].encode()
        last = match.end()
        digits = match[1] or match[2]
        if digits or match[5]:
            out.append(int(digits, 16) if digits else int(match[5], 8))
        elif match[6]:
            out += _simple(match[6], at).encode()
        else:
            raise Issue(at, "unable to unescape string")
    return bytes(out + body[last:].encode())


def _simple(letter: str, at: int) -> str:
    if letter not in _SIMPLE:
        raise Issue(at, "unable to unescape string")
    return _SIMPLE[letter]
