"""An environment: functions and variables in, programs out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from apiserver.cel.checker import Checker
from apiserver.cel.evaluate import BUDGET, Budget, Run, Scope, compile_node
from apiserver.cel.functions import Functions
from apiserver.cel.syntax import MOST_DEPTH, Mistake, Node, parse
from apiserver.cel.types import Type
from apiserver.cel.values import EvalError


class Program:
    """A checked expression, ready to run. Not bound to any input."""

    def __init__(self, source: str, root: Node, result: Type) -> None:
        self.source = source
        self.root = root
        self.result = result
        self._run: Run = compile_node(root)

    def run(self, scope: Scope) -> Any:
        """Raises ``EvalError`` when the expression has no value for this input."""
        try:
            return self._run({**scope, BUDGET: Budget()})
        except RecursionError:
            raise EvalError("expression recursion limit exceeded") from None
        except (TypeError, AttributeError, ValueError, LookupError, ArithmeticError) as error:
            # A value that is not of the type that was declared, met by a function that trusts its types.
            raise EvalError("no such overload") from error

    def mentions(self, name: str) -> bool:
        return _mentions(self.root, name)


def _mentions(node: Node, name: str) -> bool:
    return (node.kind == "ident" and node.name == name) or any(_mentions(one, name) for one in node.children())


@cache
def standard_functions() -> Functions:
    """What rules of custom resources and policies share."""
    return _functions()


@cache
def patch_functions() -> Functions:
    """The same, and what helps to write JSON patches."""
    functions = _functions()
    functions.add("::jsonpatch.escapeKey(string): string", lambda text: text.replace("~", "~0").replace("/", "~1"))
    return functions


def _functions() -> Functions:
    from apiserver.cel.library import kubernetes, standard, texts

    functions = Functions()
    for library in (standard, texts, kubernetes):
        library.add(functions)
    return functions


class Environment:
    def __init__(
        self, variables: Mapping[str, Type], functions: Functions | None = None,
        structs: Mapping[str, Mapping[str, Type] | None] | None = None,
    ) -> None:
        self.structs = structs or {}
        self.variables = dict(variables)
        self.functions = functions or standard_functions()

    def compile(self, source: str) -> Program:
        """Raises ``syntax.Mistake``."""
        try:
            root = parse(source)
            result = Checker(source, self.functions, self.variables, self.structs).check(root)
            return Program(source, root, result)
        except RecursionError:
            raise Mistake(source, [(0, f"expression recursion limit exceeded: {MOST_DEPTH}")]) from None
