"""From tokens to a syntax tree, with macros expanded.

In:   the text of an expression.
Out:  a Node; or an Issue.
By:   environment. Facts: cel-spec's grammar; what messages point at is cel-go's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.lib.cel import lexer
from kybern.lib.cel.lexer import END, NAME, OP, WORD, Token
from kybern.lib.cel.macros import expand
from kybern.lib.cel.source import Issue
from kybern.lib.cel.syntax import Call, Const, Entry, Ident, ListNode, MapNode, Node, Select, Struct
from kybern.lib.cel.values import INT_MAX, INT_MIN, UINT_MAX, UInt

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPTH = 100
"""How deep expressions may be nested. cel-go says 250, but a level costs Python several frames."""
LONGEST = 100_000
LONGEST_NUMBER = 1_000
RESERVED = frozenset(
    (
        "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let",
        "loop", "package", "namespace", "return", "var", "void", "while",
    )
)  # fmt: skip
LEVELS = {
    "||": 1, "&&": 2, "<": 3, "<=": 3, ">=": 3, ">": 3, "==": 3, "!=": 3, "in": 3, "+": 4, "-": 4,
    "*": 5, "/": 5, "%": 5,
}  # fmt: skip
"""How tightly operators bind; all of them group to the left."""
FUNCTIONS = {
    "||": "_||_", "&&": "_&&_", "<": "_<_", "<=": "_<=_", ">=": "_>=_", ">": "_>_", "==": "_==_",
    "!=": "_!=_", "in": "@in", "+": "_+_", "-": "_-_", "*": "_*_", "/": "_/_", "%": "_%_",
}  # fmt: skip
BEGINNINGS = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, "
    "BYTES, IDENTIFIER}"
)
LITERALS = {"true": True, "false": False, "null": None}


def parse(text: str) -> Node:
    """Return the syntax tree of an expression.

    Raises:
        Issue: it is none.
    """
    if len(text) > LONGEST:
        told = f"expression code point size exceeds limit: size: {len(text)}, limit {LONGEST}"
        raise Issue(0, told)
    return _Parser(lexer.tokens(text)).whole()


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens: Iterator[Token] = iter(tokens)
        self._token = next(self._tokens)
        self._depth = 0

    def whole(self) -> Node:
        node = self._expression()
        if self._token.kind != END:
            raise self._unexpected("<EOF>")
        return node

    # --- tokens ---------------------------------------------------------------------------------

    def _take(self) -> Token:
        token = self._token
        if token.kind != END:
            self._token = next(self._tokens)
        return token

    def _is(self, text: str) -> bool:
        return self._token.kind == OP and self._token.text == text

    def _accept(self, text: str) -> Token | None:
        return self._take() if self._is(text) else None

    def _expect(self, text: str) -> Token:
        if not self._is(text):
            raise self._unexpected(f"'{text}'")
        return self._take()

    def _unexpected(self, wanted: str) -> Issue:
        token = self._token
        told = f"Syntax error: mismatched input '{token.text}' expecting {wanted}"
        return Issue(token.at, told)

    # --- levels, from the loosest binding to the tightest ---------------------------------------

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > DEPTH:
            raise Issue(self._token.at, f"expression recursion limit exceeded: {DEPTH}")
        node = self._binary(1)
        if mark := self._accept("?"):
            yes = self._binary(1)
            self._expect(":")
            node = Call(mark.at, "_?_:_", [node, yes, self._expression()])
        self._depth -= 1
        return node

    def _binary(self, least: int) -> Node:
        node = self._unary()
        while self._token.kind in (OP, WORD):
            level = LEVELS.get(self._token.text, 0)
            if not level or level < least:
                break
            mark = self._take()
            node = Call(mark.at, FUNCTIONS[mark.text], [node, self._binary(level + 1)])
        return node

    def _unary(self) -> Node:
        for text, function in (("!", "!_"), ("-", "-_")):
            if not self._is(text):
                continue
            mark = self._take()
            odd = True
            while self._accept(text):
                odd = not odd
            if text == "-" and odd and self._token.kind in (lexer.INT, lexer.FLOAT):
                return self._member(self._number(self._take(), mark.at, negative=True))
            node = self._member(self._primary())
            return Call(mark.at, function, [node]) if odd else node
        return self._member(self._primary())

    def _member(self, node: Node) -> Node:
        while True:
            if mark := self._accept("."):
                node = self._field(node, mark)
            elif mark := self._accept("["):
                function = "_[?_]" if self._accept("?") else "_[_]"
                node = Call(mark.at, function, [node, self._expression()])
                self._expect("]")
            elif self._is("{") and (name := _qualified(node)):
                node = self._struct(self._take(), name)
            else:
                return node

    def _field(self, node: Node, dot: Token) -> Node:
        optional = self._accept("?") is not None
        if self._token.kind != NAME:
            raise self._unexpected(NAME)
        name = self._take().text
        if not optional and (mark := self._accept("(")):
            args = self._arguments()
            return expand(mark.at, name, node, args) or Call(mark.at, name, args, node)
        return Select(dot.at, node, name, optional=optional)

    def _arguments(self) -> list[Node]:
        args: list[Node] = []
        if not self._is(")"):
            args.append(self._expression())
            while self._accept(","):
                args.append(self._expression())
        self._expect(")")
        return args

    # --- what stands by itself ------------------------------------------------------------------

    def _primary(self) -> Node:
        token = self._token
        if token.kind == OP:
            return self._bracketed(token)
        if token.kind == NAME:
            return self._name(rooted=False)
        if token.kind == WORD and token.text in LITERALS:
            return Const(self._take().at, LITERALS[token.text])
        if token.kind in (lexer.INT, lexer.UINT, lexer.FLOAT):
            return self._number(self._take(), token.at)
        if token.kind in (lexer.STRING, lexer.BYTES):
            return Const(self._take().at, token.value)
        raise self._unexpected(BEGINNINGS)

    def _bracketed(self, token: Token) -> Node:
        if self._accept("("):
            node = self._expression()
            self._expect(")")
            return node
        if self._accept("["):
            return self._list(token)
        if self._accept("{"):
            return MapNode(token.at, self._entries(fields=False))
        if self._accept("."):
            return self._name(rooted=True)
        raise self._unexpected(BEGINNINGS)

    def _name(self, *, rooted: bool) -> Node:
        if self._token.kind != NAME:
            raise self._unexpected(NAME)
        token = self._take()
        if token.text in RESERVED:
            raise Issue(token.at, f"reserved identifier: {token.text}")
        if mark := self._accept("("):
            args = self._arguments()
            return expand(mark.at, token.text, None, args) or Call(mark.at, token.text, args)
        return Ident(token.at, token.text, rooted=rooted)

    def _list(self, mark: Token) -> Node:
        items: list[Node] = []
        optional: set[int] = set()
        while not self._is("]"):
            if self._accept("?"):
                optional.add(len(items))
            items.append(self._expression())
            if not self._accept(","):
                break
        self._expect("]")
        return ListNode(mark.at, items, frozenset(optional))

    def _struct(self, mark: Token, name: str) -> Node:
        return Struct(mark.at, name, self._entries(fields=True))

    def _entries(self, *, fields: bool) -> list[Entry]:
        found: list[Entry] = []
        while not self._is("}"):
            optional = self._accept("?") is not None
            key = self._key() if fields else self._expression()
            colon = self._expect(":")
            found.append(Entry(colon.at, key, self._expression(), optional=optional))
            if not self._accept(","):
                break
        self._expect("}")
        return found

    def _key(self) -> str:
        if self._token.kind != NAME:
            raise self._unexpected(NAME)
        return self._take().text

    def _number(self, token: Token, at: int, *, negative: bool = False) -> Const:
        if token.kind == lexer.FLOAT:
            return Const(at, -token.value if negative else token.value)
        digits = token.text.rstrip("uU") if token.kind == lexer.UINT else token.text
        if len(digits) > LONGEST_NUMBER:
            kind = "uint" if token.kind == lexer.UINT else "int"
            raise Issue(at, f"invalid {kind} literal")
        value = int(digits, 16 if digits.startswith("0x") else 10)
        if token.kind == lexer.UINT:
            if value > UINT_MAX:
                raise Issue(at, "invalid uint literal")
            return Const(at, UInt(value))
        value = -value if negative else value
        if not INT_MIN <= value <= INT_MAX:
            raise Issue(at, "invalid int literal")
        return Const(at, value)


def _qualified(node: Node) -> str:
    """Return the name that selections from a name make, or ""."""
    if isinstance(node, Ident):
        return node.name
    if isinstance(node, Select) and not (node.test or node.optional):
        head = _qualified(node.operand)
        return f"{head}.{node.field}" if head else ""
    return ""
