"""Label and field selectors: the little query language of lists, watches and controllers.

A selector is parsed once and then asked many times, so matching is a walk over prepared requirements. The parser is
written out by hand instead of by regular expressions because clients see its complaints, and they name the token at
which reading stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from machinery.meta import names

IN: Final = "in"
NOT_IN: Final = "notin"
EQUALS: Final = "="
DOUBLE_EQUALS: Final = "=="
NOT_EQUALS: Final = "!="
EXISTS: Final = "exists"
NOT_EXISTS: Final = "!"
GREATER: Final = "gt"
LESS: Final = "lt"

_END = "end of string"
_SYMBOLS = frozenset("()!,=<>")
_BLANKS = frozenset(" \t\r\n")
_OPERATOR_WORDS = "in, notin, =, ==, !=, gt, lt"


class SelectorError(ValueError):
    """The selector cannot be read; the message is what the API answers (400)."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label. `values` is a sorted tuple; `_set` is the same for look-ups."""

    key: str
    operator: str
    values: tuple[str, ...] = ()
    _set: frozenset[str] = field(init=False, repr=False, compare=False, default=frozenset())

    def __post_init__(self) -> None:
        object.__setattr__(self, "_set", frozenset(self.values))

    def matches(self, labels: Mapping[str, str]) -> bool:
        operator, value = self.operator, labels.get(self.key)
        if operator in (IN, EQUALS, DOUBLE_EQUALS):
            return value is not None and value in self._set
        if operator in (NOT_IN, NOT_EQUALS):
            return value is None or value not in self._set
        if operator == EXISTS:
            return value is not None
        if operator == NOT_EXISTS:
            return value is None
        number, bound = _integer(value), _integer(self.values[0])
        if number is None or bound is None:
            return False
        return number > bound if operator == GREATER else number < bound

    def __str__(self) -> str:
        if self.operator == EXISTS:
            return self.key
        if self.operator == NOT_EXISTS:
            return "!" + self.key
        if self.operator in (IN, NOT_IN):
            return f"{self.key} {self.operator} ({','.join(self.values)})"
        sign = {GREATER: ">", LESS: "<"}.get(self.operator, self.operator)
        return f"{self.key}{sign}{self.values[0]}"


class LabelSelector:
    """A conjunction of requirements. Empty: everything matches, unless `nothing` says that nothing does."""

    __slots__ = ("nothing", "requirements")

    def __init__(self, requirements: Iterable[Requirement] = (), nothing: bool = False) -> None:
        self.requirements = tuple(sorted(requirements, key=lambda r: r.key))
        self.nothing = nothing

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        if self.nothing:
            return False
        found = labels or {}
        return all(requirement.matches(found) for requirement in self.requirements)

    @property
    def empty(self) -> bool:
        return not self.requirements and not self.nothing

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)

    def __eq__(self, other: object) -> bool:
        return (isinstance(other, LabelSelector) and self.requirements == other.requirements
                and self.nothing == other.nothing)

    def __hash__(self) -> int:
        return hash((self.requirements, self.nothing))


EVERYTHING: Final = LabelSelector()
NOTHING: Final = LabelSelector(nothing=True)


def parse_label_selector(text: str | None) -> LabelSelector:
    """Parse the text form (`a=b,c in (d,e),!f`)."""
    if not text or not text.strip():
        return EVERYTHING
    return LabelSelector(_Parser(text).requirements())


def label_selector_from_dict(selector: Mapping[str, Any] | None) -> LabelSelector:
    """The object form (`matchLabels`, `matchExpressions`). None matches nothing, an empty one matches everything."""
    if selector is None:
        return NOTHING
    requirements = [Requirement(key, EQUALS, (value,)) for key, value in (selector.get("matchLabels") or {}).items()]
    operators = {"In": IN, "NotIn": NOT_IN, "Exists": EXISTS, "DoesNotExist": NOT_EXISTS}
    for expression in selector.get("matchExpressions") or []:
        operator = operators.get(expression.get("operator", ""))
        if operator is None:
            raise SelectorError(f'"{expression.get("operator", "")}" is not a valid label selector operator')
        requirements.append(_requirement(expression.get("key", ""), operator, expression.get("values") or []))
    return LabelSelector(requirements)


def label_selector_from_map(labels: Mapping[str, str] | None) -> LabelSelector:
    """The old map form (Services, ReplicationControllers). None or empty matches everything."""
    return LabelSelector(Requirement(key, EQUALS, (value,)) for key, value in (labels or {}).items())


def _integer(text: str | None) -> int | None:
    if text is None:
        return None
    digits = text[1:] if text[:1] in ("-", "+") else text
    return int(text) if digits.isascii() and digits.isdigit() else None


def _requirement(key: str, operator: str, values: Iterable[str]) -> Requirement:
    """Check and build. Complaints begin with the path that broke, as the API prints them."""
    wanted = tuple(sorted(set(values)))
    errors = [f'<nil>: Invalid value: "{key}": {text}' for text in names.qualified_name(key)[:1]]
    if operator in (IN, NOT_IN) and not wanted:
        errors.append("values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty")
    if operator in (GREATER, LESS):
        for i, value in enumerate(wanted):
            if _integer(value) is None:
                errors.append(f"values[{i}]: Invalid value: {_quote(value)}: "
                              "for 'Gt', 'Lt' operators, the value must be an integer")
    for i, value in enumerate(wanted):
        complaints = names.label_value(value)
        if complaints:
            errors.append(f"values[{i}][{key}]: Invalid value: {_quote(value)}: {'; '.join(complaints)}")
    if errors:
        raise SelectorError(errors[0] if len(errors) == 1 else "[" + ", ".join(errors) + "]")
    return Requirement(key, operator, wanted)


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Parser:
    """Recursive descent over tokens: words, `( ) , ! = == != < >`."""

    def __init__(self, text: str) -> None:
        self.tokens = _tokenize(text)
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def requirements(self) -> list[Requirement]:
        found: list[Requirement] = []
        while True:
            token = self.peek()
            if not token:
                return found
            if token != "!" and not _is_word(token):
                raise SelectorError(f"found '{token}', expected: !, identifier, or '{_END}'")
            try:
                found.append(self.requirement())
            except SelectorError as error:
                raise SelectorError(f"unable to parse requirement: {error}") from None
            token = self.take()
            if not token:
                return found
            if token != ",":
                raise SelectorError(f"found '{token}', expected: ',' or '{_END}'")
            following = self.peek()
            if following != "!" and not _is_word(following):
                raise SelectorError(f"found '{following}', expected: identifier after ','")

    def requirement(self) -> Requirement:
        negated = self.peek() == "!"
        if negated:
            self.take()
        key = self.take()
        if not _is_word(key):
            raise SelectorError(f"found '{key}', expected: identifier")
        complaints = names.qualified_name(key)
        if complaints:
            raise SelectorError(f"<nil>: Invalid value: {_quote(key)}: {'; '.join(complaints)}")
        if negated:
            return _requirement(key, NOT_EXISTS, ())
        if self.peek() in ("", ","):
            return _requirement(key, EXISTS, ())
        operator = self.operator()
        values = self.values() if operator in (IN, NOT_IN) else [self.exact_value()]
        return _requirement(key, operator, values)

    def operator(self) -> str:
        token = self.take()
        operator = {"in": IN, "notin": NOT_IN, "=": EQUALS, "==": EQUALS, "!=": NOT_EQUALS,
                    ">": GREATER, "<": LESS}.get(token)
        if operator is None:
            raise SelectorError(f"found '{token}', expected: {_OPERATOR_WORDS}")
        return operator

    def values(self) -> list[str]:
        token = self.take()
        if token != "(":
            raise SelectorError(f"found '{token}' expected: '('")
        if self.peek() == ")":
            self.take()
            return [""]
        found = [self.list_item()]
        while True:
            token = self.take()
            if token == ")":
                return found
            if token != ",":
                raise SelectorError(f"found '{token}', expected: ',' or ')'")
            found.append(self.list_item())

    def list_item(self) -> str:
        token = self.peek()
        if _is_word(token):
            return self.take()
        if token in (",", ")"):
            return ""  # `(a,,b)` and `(a,)` name the empty value
        raise SelectorError(f"found '{token}', expected: ',', ')' or identifier")

    def exact_value(self) -> str:
        token = self.peek()
        if token in ("", ","):
            return ""
        if not _is_word(token):
            raise SelectorError(f"found '{token}', expected: identifier")
        return self.take()


def _is_word(token: str) -> bool:
    return bool(token) and token[0] not in _SYMBOLS


def _tokenize(text: str) -> list[str]:
    tokens: list[str] = []
    at, size = 0, len(text)
    while at < size:
        char = text[at]
        if char in _BLANKS:
            at += 1
        elif char in "(),<>":
            tokens.append(char)
            at += 1
        elif char in "=!":
            width = 2 if text[at + 1:at + 2] == "=" else 1
            tokens.append(text[at:at + width])
            at += width
        else:
            start = at
            while at < size and text[at] not in _SYMBOLS and text[at] not in _BLANKS:
                at += 1
            tokens.append(text[start:at])
    return tokens


@dataclass(frozen=True, slots=True)
class FieldRequirement:
    field: str
    operator: str  # "=" or "!="
    value: str

    def matches(self, fields: Mapping[str, str]) -> bool:
        return (fields.get(self.field, "") == self.value) is (self.operator != NOT_EQUALS)

    def __str__(self) -> str:
        return f"{self.field}{self.operator}{_escape(self.value)}"


class FieldSelector:
    """A conjunction of exact comparisons of selectable fields."""

    __slots__ = ("requirements",)

    def __init__(self, requirements: Iterable[FieldRequirement] = ()) -> None:
        self.requirements = tuple(requirements)

    def matches(self, fields: Mapping[str, str]) -> bool:
        return all(requirement.matches(fields) for requirement in self.requirements)

    def required_value(self, name: str) -> str | None:
        """The value that `name` must equal, when the selector pins it."""
        for requirement in self.requirements:
            if requirement.field == name and requirement.operator != NOT_EQUALS:
                return requirement.value
        return None

    @property
    def empty(self) -> bool:
        return not self.requirements

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldSelector) and self.requirements == other.requirements

    def __hash__(self) -> int:
        return hash(self.requirements)


EVERY_FIELD: Final = FieldSelector()


def parse_field_selector(text: str | None) -> FieldSelector:
    """Parse `a.b=c,d!=e`; `\\`, `,` and `=` in values are escaped by a backslash."""
    if not text:
        return EVERY_FIELD
    found: list[FieldRequirement] = []
    for part in _split_terms(text):
        if not part:
            continue
        name, operator, raw = _split_term(part)
        if not operator:
            raise SelectorError(f"invalid selector: '{text}'; can't understand '{part}'")
        found.append(FieldRequirement(name, EQUALS if operator != NOT_EQUALS else NOT_EQUALS, _unescape(raw)))
    return FieldSelector(found)


def _split_terms(text: str) -> list[str]:
    parts, start, at = [], 0, 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == ",":
            parts.append(text[start:at])
            start = at + 1
        at += 1
    parts.append(text[start:])
    return parts


def _split_term(part: str) -> tuple[str, str, str]:
    for at in range(len(part)):
        for operator in (NOT_EQUALS, DOUBLE_EQUALS, EQUALS):
            if part.startswith(operator, at):
                return part[:at], operator, part[at + len(operator):]
    return "", "", ""


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")


def _unescape(raw: str) -> str:
    if "\\" not in raw and "," not in raw and "=" not in raw:
        return raw
    out, at = [], 0
    while at < len(raw):
        char = raw[at]
        if char == "\\":
            following = raw[at + 1:at + 2]
            if following not in ("\\", ",", "=") or not following:
                raise SelectorError(f"invalid field selector: invalid escape sequence: \\{following}")
            out.append(following)
            at += 1
        elif char in ",=":
            raise SelectorError(f"invalid field selector: unescaped character in value: {ord(char)}")
        else:
            out.append(char)
        at += 1
    return "".join(out)
