"""Request bodies: JSON and YAML text into dicts, with the fields that were given twice.

The common case must be cheap: JSON is parsed by orjson, and only if counting shows that a key was lost on the way is
the text read again by a parser that sees pairs. YAML is read with the rules by which upstream turns it into JSON: keys
become strings, instants stay text, aliases may not explode.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson
import yaml

from machinery.api.decode import NumberText

#: Nodes that a YAML document may expand to through aliases.
YAML_NODE_LIMIT = 200_000

_SPACED_KEY = re.compile(rb'"\s+:|\\u0022')


class BodyError(ValueError):
    """The text is no JSON or YAML."""


def parse_json(body: bytes) -> tuple[Any, list[str]]:
    """The value and the problems ``duplicate field "a.b"``. Raises :class:`BodyError`."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BodyError(str(error)) from None
    if not isinstance(value, dict | list):
        return value, []
    if body.count(b"{") + body.count(b"[") > MOST_DEPTH and is_too_deep(value):
        raise BodyError(TOO_DEEP)
    if not _SPACED_KEY.search(body) and body.count(b'":') == orjson.dumps(value).count(b'":'):
        return value, []
    return value, _duplicates(body)


def parse_json_exactly(body: bytes) -> Any:
    """The value with numbers that remember their text: for error messages."""
    return json.loads(body, parse_float=NumberText, parse_int=_exact_int)


def _exact_int(text: str) -> int | NumberText:
    number = int(text) if len(text) < 20 else 2**64
    return number if -(2**63) <= number < 2**63 else NumberText(text)


class _Pairs(list):
    """An object as pairs, so that doubled keys are seen."""


def _duplicates(body: bytes) -> list[str]:
    found: list[str] = []

    def look(value: Any, path: str) -> None:
        if isinstance(value, _Pairs):
            seen: set[str] = set()
            for key, one in value:
                where = f"{path}.{key}" if path else key
                if key in seen:
                    found.append(f'duplicate field "{where}"')
                seen.add(key)
                look(one, where)
        elif isinstance(value, list):
            for index, one in enumerate(value):
                look(one, f"{path}[{index}]")

    look(json.loads(body, object_pairs_hook=_Pairs), "")
    return list(dict.fromkeys(found))


def parse_yaml(text: bytes | str) -> tuple[Any, list[str]]:
    """The value and the problems (one text for all doubled keys, as a YAML reader words it)."""
    try:
        loader = _Loader(text)
    except yaml.YAMLError as error:
        raise BodyError(_yaml_complaint(error)) from None
    try:
        found = loader.check_data()  # type: ignore[no-untyped-call]
        value = loader.get_data() if found else None  # further documents are not looked at
    except yaml.YAMLError as error:
        raise BodyError(_yaml_complaint(error)) from None
    except RecursionError:
        raise BodyError(f"yaml: {TOO_DEEP}") from None
    finally:
        loader.dispose()
    if is_too_deep(value):
        raise BodyError(f"yaml: {TOO_DEEP}")
    if not loader.doubled:
        return value, []
    return value, ["yaml: unmarshal errors:\n" + "\n".join(f"  {line}" for line in loader.doubled)]


def _yaml_complaint(error: yaml.YAMLError) -> str:
    """Lines are counted as upstream's reader does: from zero, of the context if there is one, and one more for what the
    scanner finds."""
    problem = getattr(error, "problem", None) or str(error)
    marks = (getattr(error, "context_mark", None), getattr(error, "problem_mark", None))
    line = next((mark.line for mark in marks if mark is not None and mark.line), 0)
    if line and isinstance(error, yaml.scanner.ScannerError):
        line += 1
    return f"yaml: line {line}: {problem}" if line else f"yaml: {problem}"


#: Objects nested deeper cannot be written again.
MOST_DEPTH = 240
TOO_DEEP = "exceeded max depth"


def is_too_deep(value: Any) -> bool:
    """Level by level, so that no depth can hurt the one who measures it."""
    level = [value]
    for _ in range(MOST_DEPTH):
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below += [each for each in one.values() if isinstance(each, dict | list)]
            elif isinstance(one, list):
                below += [each for each in one if isinstance(each, dict | list)]
        if not below:
            return False
        level = below
    return True


class _Loader(yaml.CSafeLoader):
    """Safe loading into JSON's types."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def __init__(self, stream: bytes | str) -> None:
        super().__init__(stream)
        self.doubled: list[str] = []
        self.budget = YAML_NODE_LIMIT

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        self.budget -= 1
        if self.budget < 0:
            raise yaml.constructor.ConstructorError(None, None, "document contains excessive aliasing", node.start_mark)
        return super().construct_object(node, deep)

    def json_mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        self.flatten_mapping(node)
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = _json_key(self.construct_object(key_node, True))
            if key in out:
                self.doubled.append(f'line {key_node.start_mark.line + 1}: key "{key}" already set in map')
            out[key] = self._fresh(value_node)
        return out

    def json_sequence(self, node: yaml.SequenceNode) -> list[Any]:
        return [self._fresh(item) for item in node.value]

    def _fresh(self, node: yaml.Node) -> Any:
        """Build an aliased node anew each time: objects are edited in place, so nothing may be shared."""
        self.constructed_objects.pop(node, None)
        return self.construct_object(node, True)

    def json_int(self, node: yaml.ScalarNode) -> int:
        text = self.construct_scalar(node).replace("_", "")
        sign = -1 if text.startswith("-") else 1
        digits = text.lstrip("+-")
        if digits.startswith(("0x", "0b", "0o")):
            return sign * int(digits, 0)
        if len(digits) > 1 and digits.startswith("0"):
            return sign * int(digits, 8)
        return sign * int(digits)


def _json_key(key: Any) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, bool):
        return "true" if key else "false"
    if key is None:
        return "null"
    return str(key)


_Loader.bool_values = {**yaml.constructor.SafeConstructor.bool_values, "y": True, "n": False}
_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.json_mapping)
_Loader.add_constructor("tag:yaml.org,2002:seq", _Loader.json_sequence)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.json_int)
for _tag, _pattern, _first in (
    ("bool", r"y|Y|n|N|yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF", "yYnNtTfFoO"),
    ("int", r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9_]+|[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))"
        r"|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
