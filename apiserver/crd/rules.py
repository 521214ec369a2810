"""x-kubernetes-validations: the rules of a schema, compiled to the places where they stand, and run over values.

A rule sees its place as ``self`` and what was there before as ``oldSelf``. On update a failed rule of a value that did
not change is only a warning, unless the rule speaks of the old value: then it is about the change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from apiserver.cel.environment import Environment, Program
from apiserver.cel.evaluate import compile_node
from apiserver.cel.syntax import Mistake, Node
from apiserver.cel.types import Type, optional_of
from apiserver.cel.values import NONE, EvalError, some
from apiserver.crd.rule_types import Place, place_of, to_cel
from apiserver.crd.structural.shape import has_rules
from apiserver.crd.structural.validate import Cause, same
from apiserver.validation.field import show
from machinery.meta.go_format import go_quote

Schema = dict[str, Any]
Warn = Callable[[str], None]
_ABSENT: Any = object()
_NOT_BOOL = "cel expression must evaluate to a bool"


@dataclass(slots=True)
class Rule:
    source: dict[str, Any]
    #: None when it does not compile; ``broken`` says why.
    program: Program | None
    message: Program | None
    broken: str = ""
    #: It speaks of the old value.
    transition: bool = False
    optional_old: bool = False


def compile_rule(source: dict[str, Any], self_type: Type) -> Rule:
    """Raises nothing: what is wrong is kept and told when the rule is run."""
    optional = bool(source.get("optionalOldSelf"))
    environment = rule_environment(self_type, optional)
    try:
        program = environment.compile(source.get("rule") or "")
    except Mistake as mistake:
        return Rule(source, None, None, f"compilation failed: {mistake}")
    broken = _NOT_BOOL if program.result.name != "bool" else conversion_error(program)
    message = None
    if (source.get("messageExpression") or "").strip():
        try:
            message = environment.compile(source["messageExpression"])
        except Mistake:
            message = None
    transition = program.mentions("oldSelf") or (message is not None and message.mentions("oldSelf"))
    return Rule(source, program, message, broken, transition, optional)


_CONVERSIONS = frozenset(("int", "uint", "double", "string", "bytes", "bool", "duration", "timestamp"))


def conversion_error(program: Program) -> str:
    """Conversions of literals are carried out before any input comes."""
    return _folded(program.root)


def _folded(node: Node) -> str:
    for one in node.children():
        found = _folded(one)
        if found:
            return found
    if node.kind == "call" and node.name in _CONVERSIONS and len(node.args) == 1 and node.args[0].kind == "const":
        try:
            compile_node(node)({})
        except EvalError as error:
            return f"program instantiation failed: {error}"
    return ""


def rule_environment(self_type: Type, optional_old: bool) -> Environment:
    return Environment({"self": self_type, "oldSelf": optional_of(self_type) if optional_old else self_type})


class RuleTree:
    """The rules at one place of a schema and below. ``build`` gives None where there are none."""

    __slots__ = ("additional", "items", "map_keys", "place", "properties", "rules", "schema")

    def __init__(self, schema: Schema, place: Place) -> None:
        self.schema = schema
        self.place = place
        self.rules = [compile_rule(one, place.type) for one in schema.get("x-kubernetes-validations") or ()]
        self.properties: dict[str, RuleTree] = {}
        self.items: RuleTree | None = None
        self.additional: RuleTree | None = None
        keyed = schema.get("x-kubernetes-list-type") == "map"
        self.map_keys = tuple(schema.get("x-kubernetes-list-map-keys") or ()) if keyed else ()

    @classmethod
    def build(cls, schema: Schema, *, root: bool = False) -> RuleTree | None:
        if not has_rules(schema):
            return None
        tree = cls(schema, place_of(schema, root=root))
        for name, inner in (schema.get("properties") or {}).items():
            below = cls.build(inner)
            if below is not None:
                tree.properties[name] = below
        if isinstance(schema.get("items"), dict):
            tree.items = cls.build(schema["items"])
        if isinstance(schema.get("additionalProperties"), dict):
            tree.additional = cls.build(schema["additionalProperties"])
        return tree

    def causes(self, value: Any, old: Any, warn: Warn, path: str = "", ratchet: bool = False) -> list[Cause]:
        """``old`` is ``ABSENT`` where there is nothing to compare with."""
        if value is None:
            return []
        found: list[Cause] = []
        unchanged = ratchet and old is not _ABSENT and same(value, old)
        if self.rules:
            self._run(value, old, warn, path, unchanged, found)
        if isinstance(value, dict):
            before = old if isinstance(old, dict) else {}
            for name in sorted(value):
                tree = self.properties.get(name) or self.additional
                if tree is not None:
                    where = f"{path}.{name}" if path else name
                    found += tree.causes(value[name], before.get(name, _ABSENT), warn, where, ratchet)
        elif isinstance(value, list) and self.items is not None:
            olds = self._old_items(old)
            for index, item in enumerate(value):
                counterpart = olds.get(_key(item, self.map_keys), _ABSENT) if olds else _ABSENT
                if unchanged and counterpart is _ABSENT:
                    counterpart = item
                found += self.items.causes(item, counterpart, warn, f"{path}[{index}]", ratchet)
        return found

    def _old_items(self, old: Any) -> dict[Any, Any]:
        if not self.map_keys or not isinstance(old, list):
            return {}
        return {_key(item, self.map_keys): item for item in old}

    def _run(self, value: Any, old: Any, warn: Warn, path: str, unchanged: bool, found: list[Cause]) -> None:
        scope = {"self": to_cel(self.schema, value, self.place)}
        was = to_cel(self.schema, old, self.place) if old is not _ABSENT and old is not None else _ABSENT
        for rule in self.rules:
            if rule.optional_old:
                scope["oldSelf"] = some(was) if was is not _ABSENT else NONE
            elif rule.transition:
                if was is _ABSENT:
                    continue
                scope["oldSelf"] = was
            cause = self._judge(rule, scope, value, path, was)
            if cause is None:
                continue
            if unchanged and not rule.transition:
                warn(f"{cause['field']}: {cause['message']}")
            else:
                found.append(cause)

    def _judge(self, rule: Rule, scope: dict[str, Any], value: Any, path: str, old: Any) -> Cause | None:
        field = path or "<nil>"
        if rule.program is None or rule.broken:
            return _invalid(field, _type_word(value), f"rule compile error: {rule.broken}")
        try:
            result = rule.program.run(scope)
        except EvalError as error:
            return _invalid(field, _type_word(value), _told(str(error), rule.source))
        if result is True:
            return None
        if result is not False:
            return _invalid(field, _type_word(value), _NOT_BOOL)
        return self._failure(rule, scope, value, path, old)

    def _failure(self, rule: Rule, scope: dict[str, Any], value: Any, path: str, old: Any) -> Cause:
        source = rule.source
        field = (path or "") + (source.get("fieldPath") or "")
        field = field.removeprefix(".") if not path else field
        text = self._message(rule, scope, old)
        match source.get("reason"):
            case "FieldValueForbidden":
                return {"reason": "FieldValueForbidden", "field": field or "<nil>", "message": f"Forbidden: {text}"}
            case "FieldValueRequired":
                return {"reason": "FieldValueRequired", "field": field or "<nil>", "message": f"Required value: {text}"}
            case "FieldValueDuplicate":
                return {
                    "reason": "FieldValueDuplicate", "field": field or "<nil>",
                    "message": f"Duplicate value: {_shown(value)}",
                }  # fmt: skip
        head = "Invalid value: " + (f"{_shown(value)}: " if _is_scalar(value) else "")
        return {"reason": "FieldValueInvalid", "field": field or "<nil>", "message": head + text}

    @staticmethod
    def _message(rule: Rule, scope: dict[str, Any], old: Any) -> str:
        if rule.message is not None:
            if rule.optional_old and old is not _ABSENT:
                scope = {**scope, "oldSelf": old}  # upstream's messages get the old value itself
            try:
                text = rule.message.run(scope)
            except EvalError:
                text = None
            if isinstance(text, str) and text.strip() and "\n" not in text.strip() and len(text) <= 5 * 1024:
                return text.strip()
        return (rule.source.get("message") or "").strip() or f"failed rule: {(rule.source.get('rule') or '').strip()}"


def _told(error: str, source: dict[str, Any]) -> str:
    named = (source.get("message") or "").strip() or (source.get("rule") or "").strip()
    if error == "no such overload":
        return f"'no such overload': call arguments did not match a supported operator, function or macro signature for rule: {named}"
    return f"{error} evaluating rule: {named}"


def _invalid(field: str, word: str, text: str) -> Cause:
    return {"reason": "FieldValueInvalid", "field": field, "message": f"Invalid value: {go_quote(word)}: {text}"}


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, dict | list)


def _shown(value: Any) -> str:
    return show(value)


def _type_word(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, list | dict):
        return "array" if isinstance(value, list) else "object"
    return "string" if isinstance(value, str) else "null"


def _key(item: Any, keys: tuple[str, ...]) -> Any:
    return tuple(repr(item.get(key)) for key in keys) if isinstance(item, dict) else repr(item)


def root_causes(tree: RuleTree, obj: Any, old: Any, warn: Warn) -> list[Cause]:
    return tree.causes(obj, old if old is not None else _ABSENT, warn, "", ratchet=old is not None)
