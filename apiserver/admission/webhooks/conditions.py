"""matchConditions: expressions over ``object``, ``oldObject`` and ``request`` that must all hold for a call.

The engine is loaded when the first condition is compiled; servers without any never pay for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apiserver.cel.environment import Environment, Program


class ConditionError(Exception):
    """A condition could not be evaluated; the message is what clients read."""


@cache
def _environment() -> Environment:
    from apiserver.admission.policies.environment import authorizer_type, request_type
    from apiserver.cel.environment import Environment
    from apiserver.cel.types import DYN

    return Environment({"object": DYN, "oldObject": DYN, "request": request_type(), "authorizer": authorizer_type()})


@lru_cache(1024)
def _compiled(expression: str) -> Program:
    return _environment().compile(expression)


def condition_mistake(expression: str) -> str:
    """Why the expression is no condition; "" if it is one."""
    from apiserver.cel.syntax import Mistake

    try:
        program = _compiled(expression)
    except Mistake as mistake:
        return f"compilation failed: {mistake}"
    return "" if str(program.result) == "bool" else f"must evaluate to bool but got {program.result}"


def conditions_hold(expressions: Sequence[str], variables: dict[str, Any]) -> bool:
    """False as soon as one does not hold, also where another fails: then there is nothing to call for."""
    from apiserver.cel.syntax import Mistake
    from apiserver.cel.values import EvalError

    failures = []
    for expression in expressions:
        try:
            if not _compiled(expression).run(variables):
                return False
        except (EvalError, Mistake) as error:
            failures.append(f"expression '{expression}' resulted in error: {error}")
    if failures:
        raise ConditionError(failures[0] if len(failures) == 1 else f"[{', '.join(failures)}]")
    return True
