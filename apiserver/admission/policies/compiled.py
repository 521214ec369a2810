"""A policy ready to judge: its expressions compiled once, its variables computed when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apiserver.admission.policies.environment import policy_environment
from apiserver.admission.policies.matching import Constraints
from apiserver.cel.environment import Program
from apiserver.cel.syntax import Mistake
from apiserver.cel.types import DYN, Type
from apiserver.cel.values import EvalError

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Expression:
    """``program`` is None where it does not compile; ``broken`` says why."""

    source: str
    program: Program | None
    broken: str = ""

    def run(self, scope: Object) -> Any:
        if self.program is None:
            raise EvalError(f"compilation error: {self.broken}")
        return self.program.run(scope)


@dataclass(frozen=True, slots=True)
class Validation:
    expression: Expression
    message: str
    message_expression: Expression | None
    reason: str


@dataclass(frozen=True, slots=True)
class Policy:
    name: str
    constraints: Constraints
    conditions: tuple[Expression, ...]
    validations: tuple[Validation, ...]
    annotations: tuple[tuple[str, Expression], ...]
    variables: Mapping[str, Expression]
    mutations: tuple[tuple[str, Expression], ...]
    #: A mutating policy that wants to see what later plugins changed.
    reinvoke: bool
    ignore_failures: bool
    param_kind: tuple[str, str] | None


def compile_policy(obj: Object) -> Policy:
    spec = obj.get("spec") or {}
    kind = spec.get("paramKind")
    params = kind is not None
    variables: dict[str, Expression] = {}
    types: dict[str, Type] = {}
    for each in spec.get("variables") or ():
        made = _expression(each["expression"], params=params, variables=types)
        variables[each["name"]] = made
        types = {**types, each["name"]: made.program.result if made.program is not None else DYN}
    known = types if variables else None
    return Policy(
        obj["metadata"]["name"], Constraints.read(spec.get("matchConstraints")),
        tuple(_expression(each["expression"], params=params, variables=None)
              for each in spec.get("matchConditions") or ()),
        tuple(_validation(each, params, known) for each in spec.get("validations") or ()),
        tuple((each["key"], _expression(each["valueExpression"], params=params, variables=known))
              for each in spec.get("auditAnnotations") or ()),
        variables, tuple(_mutation(each, params, known) for each in spec.get("mutations") or ()),
        spec.get("reinvocationPolicy") == "IfNeeded", spec.get("failurePolicy") == "Ignore",
        (kind.get("apiVersion") or "", kind.get("kind") or "") if kind is not None else None,
    )  # fmt: skip


def _expression(
    source: str, *, params: bool, variables: Mapping[str, Type] | None, authorizer: bool = True, mutation: bool = False
) -> Expression:
    environment = policy_environment(params=params, variables=variables, authorizer=authorizer, mutation=mutation)
    try:
        return Expression(source, environment.compile(source))
    except Mistake as mistake:
        return Expression(source, None, str(mistake))


def _mutation(each: Object, params: bool, variables: Mapping[str, Type] | None) -> tuple[str, Expression]:
    body = each.get("jsonPatch" if each["patchType"] == "JSONPatch" else "applyConfiguration") or {}
    made = _expression(body.get("expression") or "", params=params, variables=variables, mutation=True)
    return each["patchType"], made


def _validation(each: Object, params: bool, variables: Mapping[str, Type] | None) -> Validation:
    message = (each.get("messageExpression") or "").strip()
    return Validation(
        _expression(each["expression"], params=params, variables=variables), (each.get("message") or "").strip(),
        _expression(message, params=params, variables=variables, authorizer=False) if message else None,
        each.get("reason") or "Invalid",
    )  # fmt: skip


class Variables(dict[str, Any]):
    """``variables``: each computed once a request, and only if somebody looks."""

    def __init__(self, expressions: Mapping[str, Expression], scope: Object) -> None:
        super().__init__()
        self._expressions = expressions
        self._scope = scope

    def __contains__(self, name: object) -> bool:
        return name in self._expressions

    def __getitem__(self, name: str) -> Any:
        if not super().__contains__(name):
            try:
                value = self._expressions[name].run(self._scope)
            except EvalError as error:
                raise EvalError(f'composited variable "{name}" fails to evaluate: {error}') from error
            super().__setitem__(name, value)
        return super().__getitem__(name)
