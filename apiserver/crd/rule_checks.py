"""Whether the rules of a definition make sense and can be afforded: told when the definition is written.

A rule is priced by the sizes that the schema allows, times how often its place can occur; one rule has a limit, and all
rules of a schema together have another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from apiserver.cel.costs import ENDLESS, estimate
from apiserver.cel.environment import Program
from apiserver.cel.syntax import Mistake
from apiserver.crd.rule_types import MOST_REQUEST, place_of, smallest
from apiserver.crd.rules import conversion_error, rule_environment
from apiserver.validation.field import Errors

Schema = dict[str, Any]
RULE_LIMIT, TOTAL_LIMIT = 10_000_000, 100_000_000
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_ADVICE = (
    "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
)
_MOST_NAMED = 4


@dataclass(slots=True)
class _Bill:
    """What all rules of one schema cost."""

    total: int = 0
    dearest: list[tuple[int, str]] = field(default_factory=list)

    def add(self, path: str, cost: int) -> None:
        self.total = min(self.total + cost, ENDLESS)
        if cost:
            self.dearest = sorted([*self.dearest, (cost, path)], key=lambda one: -one[0])[:_MOST_NAMED]


def rule_causes(path: str, schema: Schema) -> Errors:
    errors, bill = Errors(), _Bill()
    _walk(errors, bill, path, schema, root=True, times=1, apart="")
    if bill.total > TOTAL_LIMIT:
        for _, where in bill.dearest:
            errors.forbidden(where, "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema")
        what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
        errors.forbidden(path, _excess(what, bill.total, TOTAL_LIMIT))
    return errors


def _walk(
    errors: Errors, bill: _Bill, path: str, schema: Schema, *, root: bool, times: int | None, apart: str
) -> None:
    """``times``: how often this place can occur, None if only the size of a request bounds it. ``apart``: the list in
    which old and new items cannot be told to be the same."""
    for name, inner in sorted((schema.get("properties") or {}).items()):
        _walk(errors, bill, f"{path}.properties[{name}]", inner, root=False, times=times, apart=apart)
    items, additional = schema.get("items"), schema.get("additionalProperties")
    if isinstance(additional, dict):
        many = _times(times, schema.get("maxProperties"))
        _walk(errors, bill, path + ".additionalProperties", additional, root=False, times=many, apart=apart)
    if isinstance(items, dict):
        many = _times(times, schema.get("maxItems"))
        below = apart or ("" if schema.get("x-kubernetes-list-type") == "map" else path)
        _walk(errors, bill, path + ".items", items, root=False, times=many, apart=below)
    rules = schema.get("x-kubernetes-validations") or ()
    for i, rule in enumerate(rules):
        where = f"{path}.x-kubernetes-validations[{i}]"
        before = len(errors)
        _form(errors, where, rule, schema)
        if len(errors) == before:
            _compiled(errors, bill, where, rule, schema, root, times, apart)


def _times(times: int | None, most: int | None) -> int | None:
    return None if times is None or most is None else min(times * most, ENDLESS)


def _form(errors: Errors, where: str, rule: Schema, schema: Schema) -> None:
    text, message = rule.get("rule") or "", rule.get("message") or ""
    if not text.strip():
        pass  # told with the structure of the schema
    elif message and not message.strip():
        errors.invalid(where + ".message", message, "must be non-empty if specified")
    elif "\n" in message.strip():
        errors.invalid(where + ".message", message, "message must not contain line breaks")
    elif "\n" in text.strip() and not message.strip():
        errors.required(where + ".message", "message must be specified if rule contains line breaks")
    expression = rule.get("messageExpression") or ""
    if expression and not expression.strip():
        errors.required(where + ".messageExpression", "messageExpression must be non-empty if specified")
    reason = rule.get("reason")
    if reason is not None and reason not in _REASONS:
        errors.not_supported(where + ".reason", reason, _REASONS)
    path = rule.get("fieldPath") or ""
    if path and not path.strip():
        errors.invalid(where + ".fieldPath", path, "must be non-empty if specified")
    elif path and not leads_somewhere(path, schema):
        errors.invalid(where + ".fieldPath", path, "must be a valid path")


_STEP = re.compile(r"\.([A-Za-z_][\w-]*)|\['((?:[^'\\]|\\.)+)'\]")


def leads_somewhere(path: str, schema: Schema) -> bool:
    at = 0
    node: Any = schema
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None or not isinstance(node, dict):
            return False
        name = match[1] or match[2]
        additional = node.get("additionalProperties")
        node = (node.get("properties") or {}).get(name) or (additional if isinstance(additional, dict) else None)
        if node is None:
            return False
        at = match.end()
    return bool(path)


def _compiled(
    errors: Errors, bill: _Bill, where: str, rule: Schema, schema: Schema, root: bool, times: int | None, apart: str
) -> None:
    shown = {
        "Rule": rule.get("rule") or "", "Message": rule.get("message") or "",
        "MessageExpression": rule.get("messageExpression") or "", "Reason": rule.get("reason"),
        "FieldPath": rule.get("fieldPath") or "", "OptionalOldSelf": rule.get("optionalOldSelf"),
    }  # fmt: skip
    place = place_of(schema, root=root)
    environment = rule_environment(place.type, bool(rule.get("optionalOldSelf")))
    most = times if times is not None else MOST_REQUEST // (smallest(schema) + 1)
    program: Program | None = None
    try:
        program = environment.compile(rule["rule"])
        problem = "" if program.result.name in ("bool",) else "cel expression must evaluate to a bool"
        problem = problem or conversion_error(program)
    except Mistake as mistake:
        problem = f"compilation failed: {mistake}"
    if program is not None and not problem:
        _charge(errors, bill, where + ".rule", program, most, "estimated rule cost")
    if problem:
        errors.invalid(where + ".rule", shown, problem)
    uses_old = program is not None and not problem and program.mentions("oldSelf")
    expression = (rule.get("messageExpression") or "").strip()
    if expression:
        try:
            message = environment.compile(expression)
            if message.result.name != "string":
                errors.invalid(where + ".messageExpression", shown, "messageExpression must evaluate to a string")
            else:
                _charge(errors, bill, where + ".messageExpression", message, most, "estimated messageExpression cost")
                uses_old = uses_old or message.mentions("oldSelf")
        except Mistake as mistake:
            errors.invalid(where + ".messageExpression", shown, f"messageExpression compilation failed: {mistake}")
    if uses_old and apart and not rule.get("optionalOldSelf"):
        errors.invalid(where + ".rule", rule["rule"],
                       f"oldSelf cannot be used on the uncorrelatable portion of the schema within {apart}")
    elif not uses_old and rule.get("optionalOldSelf") is not None:
        errors.invalid(where + ".optionalOldSelf", rule["optionalOldSelf"], "may not be set if oldSelf is not used in rule")


def _charge(errors: Errors, bill: _Bill, where: str, program: Program, times: int, what: str) -> None:
    cost = min(estimate(program.root).most * times, ENDLESS)
    if cost > RULE_LIMIT:
        errors.forbidden(where, _excess(what, cost, RULE_LIMIT))
    bill.add(where, cost)


def _excess(what: str, cost: int, limit: int) -> str:
    factor = cost / limit
    shown = f"{factor:.1f}x" if factor <= 100 else "more than 100x"
    return f"{what} exceeds budget by factor of {shown} {_ADVICE}"
