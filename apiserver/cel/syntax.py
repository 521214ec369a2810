"""Expression trees, from text. Mistakes are told as upstream's parser tells them, with the place where it stops."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from apiserver.cel.types import DYN, Type
from apiserver.cel.values import UInt

MOST_DEPTH = 250
_RESERVED = frozenset((
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package", "namespace",
    "return", "var", "void", "while",
))  # fmt: skip
_PRIMARY = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)
_TOKEN = re.compile(
    r"""(?P<space>(?:\s+|//[^\n]*)+)
    |(?P<string>(?:[rR][bB]?|[bB][rR]?)?(?:\"\"\"(?:[^\\]|\\.)*?\"\"\"|'''(?:[^\\]|\\.)*?'''
        |"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))
    |(?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)
    |(?P<int>(?:0[xX][0-9a-fA-F]+|\d+)[uU]?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<quoted>`[A-Za-z0-9_.\-/ ]+`)
    |(?P<op>\|\||&&|==|!=|<=|>=|[-+*/%!?:.,()\[\]{}<>])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class Mistake(Exception):
    """One or several complaints, each with its place."""

    def __init__(self, source: str, found: list[tuple[int, str]]) -> None:
        super().__init__("\n".join(_pointed(source, place, text) for place, text in found))


def _pointed(source: str, place: int, text: str) -> str:
    lines = source.split("\n")
    line, column = source.count("\n", 0, place) + 1, place - (source.rfind("\n", 0, place) + 1)
    shown = lines[line - 1] if line <= len(lines) else ""
    return f"ERROR: <input>:{line}:{column + 1}: {text}\n | {shown}\n | {'.' * column}^"


@dataclass(slots=True, eq=False)
class Node:
    """``kind``: const, ident, select, test (has), call, list, map, struct, loop (a macro over a range)."""

    kind: str
    place: int
    name: str = ""
    value: Any = None
    target: Node | None = None
    args: list[Node] = field(default_factory=list)
    #: Variables of a loop; which elements of a list or map literal are optional.
    names: tuple[str, ...] = ()
    optional: tuple[bool, ...] = ()
    type: Type = DYN
    #: The overloads that the checker found.
    overloads: list[Any] = field(default_factory=list)

    def children(self) -> list[Node]:
        return ([self.target] if self.target is not None else []) + self.args


@dataclass(slots=True)
class Token:
    kind: str
    text: str
    place: int


def parse(source: str) -> Node:
    return _Parser(source).whole()


def _tokens(source: str) -> tuple[list[Token], list[tuple[int, str]]]:
    found: list[Token] = []
    mistakes: list[tuple[int, str]] = []
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            # A sign that only begins an operator is told with what spoils it.
            stop = at + (2 if source[at] in "=&|" else 1)
            mistakes.append((at, f"Syntax error: token recognition error at: '{source[at:stop]}'"))
            at = stop
            continue
        kind = match.lastgroup or ""
        if kind != "space":
            found.append(Token(kind, match.group(), at))
        at = match.end()
    found.append(Token("end", "<EOF>", len(source)))
    return found, mistakes


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens, self.mistakes = _tokens(source)
        self.at = 0
        self.depth = 0

    @property
    def now(self) -> Token:
        return self.tokens[self.at]

    def take(self, *texts: str) -> Token | None:
        token = self.now
        if token.kind == "op" and token.text in texts:
            self.at += 1
            return token
        return None

    def need(self, text: str, expecting: str = "") -> Token:
        token = self.take(text)
        if token is None:
            self.fail(expecting or f"'{text}'")
        return token  # type: ignore[return-value]

    def fail(self, expecting: str, *, single: bool = False) -> None:
        token = self.now
        word = "extraneous" if single else "mismatched"
        self.mistakes.append((token.place, f"Syntax error: {word} input '{token.text}' expecting {expecting}"))
        raise Mistake(self.source, self.mistakes)

    def whole(self) -> Node:
        node = self.ternary()
        if self.now.kind != "end":
            self.fail("<EOF>", single=self.tokens[self.at + 1].kind == "end")
        if self.mistakes:
            raise Mistake(self.source, self.mistakes)
        return node

    def ternary(self) -> Node:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise Mistake(self.source, [(self.now.place, f"expression recursion limit exceeded: {MOST_DEPTH}")])
        node = self.binary(0)
        token = self.take("?")
        if token is not None:
            yes = self.binary(0)
            self.need(":")
            node = Node("call", token.place, "_?_:_", args=[node, yes, self.ternary()])
        self.depth -= 1
        return node

    _LEVELS = (("||",), ("&&",), ("<", "<=", ">", ">=", "==", "!=", "in"), ("+", "-"), ("*", "/", "%"))

    def binary(self, level: int) -> Node:
        if level == len(self._LEVELS):
            return self.unary()
        node = self.binary(level + 1)
        while True:
            token = self.now
            if token.text not in self._LEVELS[level] or token.kind not in ("op", "name"):
                return node
            self.at += 1
            name = "@in" if token.text == "in" else f"_{token.text}_"
            node = Node("call", token.place, name, args=[node, self.binary(level + 1)])

    def unary(self) -> Node:
        for sign in ("!", "-"):
            token = self.take(sign)
            if token is None:
                continue
            if sign == "-" and self.now.kind in ("int", "float"):
                number = self.primary()
                number.value, number.place = -number.value, token.place
                return self.members(number)
            return Node("call", token.place, f"{sign}_", args=[self.unary()])
        return self.members(self.primary())

    def members(self, node: Node) -> Node:
        while True:
            dot = self.take(".")
            if dot is not None:
                optional = self.take("?") is not None
                name = self.now
                if name.kind not in ("name", "quoted"):
                    self.fail("IDENTIFIER")
                self.at += 1
                word = name.text.strip("`")
                opened = self.take("(")
                if opened is not None and not optional:
                    node = self.call(opened, word, node)
                elif optional:
                    node = Node("call", dot.place, "_?._", args=[node, Node("const", name.place, value=word)])
                else:
                    node = Node("select", dot.place, word, target=node)
                continue
            opened = self.take("{") if _is_name(node) else None
            if opened is not None:
                return self.members(self.struct_literal(opened, node))
            bracket = self.take("[")
            if bracket is None:
                return node
            name_of = "_[?_]" if self.take("?") is not None else "_[_]"
            index = self.ternary()
            self.need("]")
            node = Node("call", bracket.place, name_of, args=[node, index])

    def arguments(self) -> list[Node]:
        found: list[Node] = []
        if self.take(")"):
            return found
        while True:
            found.append(self.ternary())
            if self.take(")"):
                return found
            self.need(",", "{',', ')'}")

    def call(self, opened: Token, name: str, target: Node | None) -> Node:
        args = self.arguments()
        return self.macro(opened, name, target, args) or Node("call", opened.place, name, target=target, args=args)

    # -- macros

    def macro(self, opened: Token, name: str, target: Node | None, args: list[Node]) -> Node | None:
        if target is None:
            if name == "has" and len(args) == 1:
                inner = args[0]
                if inner.kind != "select":
                    self.mistakes.append((inner.place, "invalid argument to has() macro"))
                    return Node("const", opened.place, value=True)
                return Node("test", opened.place, inner.name, target=inner.target)
            return None
        shapes = _MACROS.get(name)
        if shapes is None or len(args) not in shapes:
            return None
        variables = shapes[len(args)]
        names = []
        for one in args[:variables]:
            if one.kind != "ident":
                self.mistakes.append((one.place, "argument must be a simple name"))
                return Node("const", opened.place, value=True)
            names.append(one.name)
        name = {"existsOne": "exists_one"}.get(name, name)
        return Node("loop", opened.place, name, target=target, args=args[variables:], names=tuple(names))

    # -- the smallest parts

    def primary(self) -> Node:
        token = self.now
        if token.kind in ("int", "float", "string"):
            self.at += 1
            return Node("const", token.place, value=self.literal(token))
        if token.kind in ("name",):
            if token.text == "in":
                self.fail(_PRIMARY)
            self.at += 1
            if token.text in ("true", "false", "null"):
                return Node("const", token.place, value={"true": True, "false": False, "null": None}[token.text])
            opened = self.take("(")
            if opened is not None:
                return self.call(opened, token.text, None)
            if token.text in _RESERVED:
                self.mistakes.append((token.place, f"reserved identifier: {token.text}"))
            return Node("ident", token.place, token.text)
        if self.take("("):
            node = self.ternary()
            self.need(")")
            return node
        if self.take("["):
            return self.list_literal(token)
        if self.take("{"):
            return self.map_literal(token)
        if self.take("."):
            return self.primary()
        self.fail(_PRIMARY)
        raise AssertionError

    def list_literal(self, token: Token) -> Node:
        items: list[Node] = []
        optional: list[bool] = []
        while not self.take("]"):
            optional.append(self.take("?") is not None)
            items.append(self.ternary())
            if not self.take(","):
                self.need("]", "{']', ','}")
                break
        return Node("list", token.place, args=items, optional=tuple(optional))

    def map_literal(self, token: Token) -> Node:
        parts: list[Node] = []
        optional: list[bool] = []
        while not self.take("}"):
            optional.append(self.take("?") is not None)
            parts.append(self.ternary())
            self.need(":")
            parts.append(self.ternary())
            if not self.take(","):
                self.need("}", "{'}', ','}")
                break
        return Node("map", token.place, args=parts, optional=tuple(optional))

    def struct_literal(self, opened: Token, of: Node) -> Node:
        names: list[str] = []
        values: list[Node] = []
        while not self.take("}"):
            name = self.now
            if name.kind not in ("name", "quoted"):
                self.fail("{'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}")
            self.at += 1
            self.need(":")
            names.append(name.text.strip("`"))
            values.append(self.ternary())
            if not self.take(","):
                self.need("}", "{'}', ','}")
                break
        return Node("struct", opened.place, _name_of(of), args=values, names=tuple(names))

    def literal(self, token: Token) -> Any:
        text = token.text
        if token.kind == "float":
            return float(text)
        if token.kind == "int":
            unsigned = text[-1] in "uU"
            digits = text.rstrip("uU")
            number = int(digits, 16) if digits[:2].lower() == "0x" else int(digits)
            if number >= 2**64 or (not unsigned and number > 2**63):
                self.mistakes.append((token.place, f"invalid {'uint' if unsigned else 'int'} literal"))
                return 0
            return UInt(number) if unsigned else number
        prefix = re.match(r"[rRbB]*", text).group().lower()  # type: ignore[union-attr]
        body = text[len(prefix) :]
        quote = body[:3] if body[:3] in ('"""', "'''") else body[0]
        body = body[len(quote) : -len(quote)]
        if "b" in prefix:
            return body.encode() if "r" in prefix else _unescape_bytes(body)
        return body if "r" in prefix else _unescape(body)


def _is_name(node: Node) -> bool:
    return node.kind == "ident" or (node.kind == "select" and node.target is not None and _is_name(node.target))


def _name_of(node: Node) -> str:
    return node.name if node.target is None else f"{_name_of(node.target)}.{node.name}"


#: name -> {number of arguments: how many of them name variables}
_MACROS: dict[str, dict[int, int]] = {
    "all": {2: 1, 3: 2}, "exists": {2: 1, 3: 2}, "exists_one": {2: 1, 3: 2}, "existsOne": {2: 1, 3: 2},
    "map": {2: 1, 3: 1}, "filter": {2: 1}, "sortBy": {2: 1}, "optMap": {2: 1}, "optFlatMap": {2: 1},
    "transformList": {3: 2, 4: 2}, "transformMap": {3: 2, 4: 2}, "transformMapEntry": {3: 2, 4: 2},
}  # fmt: skip

_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))", re.DOTALL)


def _unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        hexadecimal = match[1] or match[2] or match[3]
        if hexadecimal:
            return chr(int(hexadecimal, 16))
        return chr(int(match[4], 8)) if match[4] else _ESCAPES.get(match[5], match[5])

    return _ESCAPE.sub(one, text)


def _unescape_bytes(text: str) -> bytes:
    out = bytearray()
    at = 0
    for match in _ESCAPE.finditer(text):
        out += text[at : match.start()].encode()
        if match[1] or match[4]:
            out.append(int(match[1], 16) if match[1] else int(match[4], 8))
        else:
            out += _unescape(match.group()).encode()
        at = match.end()
    return bytes(out + text[at:].encode())
