"""Mistakes of a policy's expressions, told when the policy is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apiserver.admission.policies.environment import policy_environment
from apiserver.cel.syntax import Mistake
from apiserver.cel.types import DYN, Type
from apiserver.validation.field import Errors

Object = dict[str, Any]
#: Where a mutation's expression stands, and what it must give.
_BODIES = {"ApplyConfiguration": ("applyConfiguration", "Object"), "JSONPatch": ("jsonPatch", "list(JSONPatch)")}


def policy_causes(policy: Object) -> Errors:
    spec = policy.get("spec") or {}
    errors = Errors()
    params = spec.get("paramKind") is not None
    types: dict[str, Type] = {}
    for i, each in enumerate(spec.get("variables") or ()):
        source = each.get("expression") or ""
        result = _check(errors, f"spec.variables[{i}].expression", source, (), params=params, variables=types)
        types = {**types, each.get("name") or "": result or DYN}
    variables = types if spec.get("variables") else None
    for i, each in enumerate(spec.get("matchConditions") or ()):
        _check(errors, f"spec.matchConditions[{i}].expression", each.get("expression") or "", ("bool",), params=params)
    for i, each in enumerate(spec.get("validations") or ()):
        where = f"spec.validations[{i}]"
        _check(errors, where + ".expression", each.get("expression") or "", ("bool",), params=params, variables=variables)
        _check(errors, where + ".messageExpression", each.get("messageExpression") or "", ("string",), params=params,
               variables=variables, authorizer=False)  # fmt: skip
    for i, each in enumerate(spec.get("auditAnnotations") or ()):
        where = f"spec.auditAnnotations[{i}].valueExpression"
        _check(errors, where, each.get("valueExpression") or "", ("string", "null_type"), params=params,
               variables=variables)  # fmt: skip
    for i, each in enumerate(spec.get("mutations") or ()):
        field, wanted = _BODIES.get(each.get("patchType") or "", ("", ""))
        body = each.get(field) or {}
        _check(errors, f"spec.mutations[{i}].{field}.expression", body.get("expression") or "", (wanted,),
               params=params, variables=variables, mutation=True)  # fmt: skip
    return errors


def _check(
    errors: Errors, where: str, source: str, wanted: tuple[str, ...], *, params: bool,
    variables: Mapping[str, Type] | None = None, authorizer: bool = True, mutation: bool = False,
) -> Type | None:
    """The type, None where there is none. ``wanted`` empty: any will do."""
    if not source.strip():
        return None
    environment = policy_environment(params=params, variables=variables, authorizer=authorizer, mutation=mutation)
    try:
        result = environment.compile(source).result
    except Mistake as mistake:
        errors.invalid(where, source, f"compilation failed: {mistake}")
        return None
    name = {"null": "null_type"}.get(result.name, str(result) if mutation else result.name)
    if wanted and name not in wanted:
        shown = wanted[0] if len(wanted) == 1 else f"one of [{' '.join(wanted)}]"
        errors.invalid(where, source, f"must evaluate to {shown} but got {result}")
    return result
