"""What upstream's JSON reader says of a text that is no JSON: the first byte that cannot stand where it stands.

Only run when parsing has failed, so it may be slow; it is a plain recursive scanner that stops at the first offence.
"""

from __future__ import annotations

END = "unexpected end of JSON input"
_SPACE = b" \t\r\n"
_ESCAPES = b'"\\/bfnrtu'
_MAX_DEPTH = 10_000


class _Offence(Exception):
    pass


def json_offence(body: bytes) -> str:
    """The complaint; "" if the text is JSON after all."""
    scanner = _Scanner(body)
    try:
        scanner.value()
        scanner.space()
        if scanner.at < len(body):
            scanner.refuse("after top-level value")
    except _Offence as offence:
        return str(offence)
    except RecursionError:
        return "exceeded max depth"
    return ""


class _Scanner:
    def __init__(self, body: bytes) -> None:
        self.body = body
        self.at = 0

    def refuse(self, where: str) -> None:
        if self.at >= len(self.body):
            raise _Offence(END)
        raise _Offence(f"invalid character {quoted(self.body[self.at])} {where}")

    def peek(self) -> int:
        if self.at >= len(self.body):
            raise _Offence(END)
        return self.body[self.at]

    def space(self) -> None:
        while self.at < len(self.body) and self.body[self.at] in _SPACE:
            self.at += 1

    def value(self) -> None:
        self.space()
        char = self.peek()
        if char == 0x7B:
            self.object()
        elif char == 0x5B:
            self.array()
        elif char == 0x22:
            self.string()
        elif char in b"-0123456789":
            self.number()
        elif char in b"tfn":
            self.literal({0x74: b"true", 0x66: b"false", 0x6E: b"null"}[char])
        else:
            self.refuse("looking for beginning of value")

    def object(self) -> None:
        self.at += 1
        self.space()
        if self.peek() == 0x7D:
            self.at += 1
            return
        while True:
            self.space()
            if self.peek() != 0x22:
                self.refuse("looking for beginning of object key string")
            self.string()
            self.space()
            if self.peek() != 0x3A:
                self.refuse("after object key")
            self.at += 1
            self.value()
            self.space()
            char = self.peek()
            if char == 0x7D:
                self.at += 1
                return
            if char != 0x2C:
                self.refuse("after object key:value pair")
            self.at += 1

    def array(self) -> None:
        self.at += 1
        self.space()
        if self.peek() == 0x5D:
            self.at += 1
            return
        while True:
            self.value()
            self.space()
            char = self.peek()
            if char == 0x5D:
                self.at += 1
                return
            if char != 0x2C:
                self.refuse("after array element")
            self.at += 1

    def string(self) -> None:
        self.at += 1
        while True:
            char = self.peek()
            if char == 0x22:
                self.at += 1
                return
            if char < 0x20:
                self.refuse("in string literal")
            self.at += 1
            if char == 0x5C:
                self.escape()

    def escape(self) -> None:
        char = self.peek()
        if char not in _ESCAPES:
            self.refuse("in string escape code")
        self.at += 1
        if char == 0x75:
            for _ in range(4):
                if self.peek() not in b"0123456789abcdefABCDEF":
                    self.refuse("in \\u hexadecimal character escape")
                self.at += 1

    def number(self) -> None:
        if self.body[self.at] == 0x2D:
            self.at += 1
            if self.peek() not in b"0123456789":
                self.refuse("in numeric literal")
        if self.peek() == 0x30:
            self.at += 1
        else:
            self.digits()
        if self.at < len(self.body) and self.body[self.at] == 0x2E:
            self.at += 1
            if self.peek() not in b"0123456789":
                self.refuse("after decimal point in numeric literal")
            self.digits()
        if self.at < len(self.body) and self.body[self.at] in b"eE":
            self.at += 1
            if self.peek() in b"+-":
                self.at += 1
            if self.peek() not in b"0123456789":
                self.refuse("in exponent of numeric literal")
            self.digits()

    def digits(self) -> None:
        while self.at < len(self.body) and self.body[self.at] in b"0123456789":
            self.at += 1

    def literal(self, word: bytes) -> None:
        for expected in word:
            if self.peek() != expected:
                self.refuse(f"in literal {word.decode()} (expecting {quoted(expected)})")
            self.at += 1


def quoted(char: int) -> str:
    """A byte as upstream quotes it."""
    if char == 0x27:
        return "'\\''"
    if char == 0x22:
        return "'\"'"
    text = chr(char)
    if text.isprintable() and char < 0x80:
        return f"'{text}'"
    return {0x0A: "'\\n'", 0x09: "'\\t'", 0x0D: "'\\r'"}.get(char, f"'\\x{char:02x}'" if char < 0x80 else f"'{text}'")
