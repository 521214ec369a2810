"""Trees become closures over the variables: one call a node, nothing looked up twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apiserver.cel.functions import Overload
from apiserver.cel.syntax import Node
from apiserver.cel.values import NONE, EvalError, Optional, Struct, TypeValue, some, type_name

Scope = dict[str, Any]
Run = Callable[[Scope], Any]

_NO_OVERLOAD = "no such overload"
#: Where a run keeps what it has left; no expression can name it.
BUDGET = ""
MOST_STEPS = 1_000_000


class Budget:
    """Turns of loops that one run may still take: the estimate is made for the worst case, this is what happens."""

    __slots__ = ("left",)

    def __init__(self, steps: int = MOST_STEPS) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise EvalError("operation cancelled: actual cost limit exceeded")


def compile_node(node: Node) -> Run:
    return _KINDS[node.kind](node)


def _const(node: Node) -> Run:
    value = node.value
    return lambda scope: value


_TYPE_WORDS = frozenset(("bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type",
                         "google.protobuf.Timestamp", "google.protobuf.Duration"))  # fmt: skip


def _ident(node: Node) -> Run:
    name = node.name
    as_type = TypeValue(name) if name in _TYPE_WORDS else None

    def run(scope: Scope) -> Any:
        if name in scope:
            return scope[name]
        if as_type is not None:
            return as_type
        raise EvalError(f"no such attribute(s): {name}")

    return run


def _select(node: Node) -> Run:
    assert node.target is not None
    of, name = compile_node(node.target), node.name

    def run(scope: Scope) -> Any:
        value = of(scope)
        if isinstance(value, dict):
            if name in value:
                return value[name]
            raise EvalError(f"no such key: {name}")
        if isinstance(value, Optional):
            inner = value.value if value.present else None
            return some(inner[name]) if isinstance(inner, dict) and name in inner else NONE
        raise EvalError(_NO_OVERLOAD)

    return run


def _test(node: Node) -> Run:
    assert node.target is not None
    of, name = compile_node(node.target), node.name

    def run(scope: Scope) -> bool:
        value = of(scope)
        if isinstance(value, Optional):
            value = value.value if value.present else {}
        if not isinstance(value, dict):
            raise EvalError(_NO_OVERLOAD)
        return name in value

    return run


def _list(node: Node) -> Run:
    parts = [compile_node(one) for one in node.args]
    if not any(node.optional):
        return lambda scope: [part(scope) for part in parts]

    def run(scope: Scope) -> list[Any]:
        out = []
        for part, optional in zip(parts, node.optional, strict=True):
            value = part(scope)
            if not optional:
                out.append(value)
            elif value.present:
                out.append(value.value)
        return out

    return run


def _map(node: Node) -> Run:
    parts = [compile_node(one) for one in node.args]
    pairs = list(zip(parts[::2], parts[1::2], node.optional, strict=True))

    def run(scope: Scope) -> dict[Any, Any]:
        out: dict[Any, Any] = {}
        for key_of, value_of, optional in pairs:
            key, value = key_of(scope), value_of(scope)
            if key in out:
                raise EvalError(f"insert failed: key {key} already exists")
            if not optional:
                out[key] = value
            elif value.present:
                out[key] = value.value
        return out

    return run


def _struct(node: Node) -> Run:
    parts = [(name, compile_node(one)) for name, one in zip(node.names, node.args, strict=True)]
    return lambda scope: Struct(node.name, {name: part(scope) for name, part in parts})


# -- calls ---------------------------------------------------------------------------------------------------------------


def _call(node: Node) -> Run:
    if node.name == "_&&_":
        return _junction(node, False)
    if node.name == "_||_":
        return _junction(node, True)
    if node.name == "_?_:_":
        return _conditional(node)
    if node.name == "_?._":
        return _optional_select(node)
    args = [compile_node(one) for one in node.children()]
    overloads: list[Overload] = node.overloads
    dynamic = len(overloads) > 1 or any(one.type.is_dyn for one in node.children())
    if not dynamic and len(overloads) == 1:
        act = overloads[0].run
        if len(args) == 1:
            only = args[0]
            return lambda scope: act(only(scope))
        if len(args) == 2:
            left, right = args
            return lambda scope: act(left(scope), right(scope))
        return lambda scope: act(*[part(scope) for part in args])

    def run(scope: Scope) -> Any:
        values = tuple([part(scope) for part in args])
        for overload in overloads:
            if overload.accepts(values):
                return overload.run(*values)
        raise EvalError(_NO_OVERLOAD)

    return run


def _junction(node: Node, decisive: bool) -> Run:
    """An error on one side does not matter where the other side decides."""
    left, right = (compile_node(one) for one in node.args)

    def run(scope: Scope) -> Any:
        error: EvalError | None = None
        try:
            first = left(scope)
            if first is decisive:
                return first
            if not isinstance(first, bool):
                error = EvalError(_NO_OVERLOAD)
        except EvalError as caught:
            error = caught
        second = right(scope) if error is None else _quietly(right, scope, error)
        if second is decisive:
            return second
        if error is not None:
            raise error
        if not isinstance(second, bool):
            raise EvalError(_NO_OVERLOAD)
        return not decisive

    return run


def _quietly(part: Run, scope: Scope, error: EvalError) -> Any:
    try:
        return part(scope)
    except EvalError:
        raise error from None


def _conditional(node: Node) -> Run:
    test, yes, no = (compile_node(one) for one in node.args)

    def run(scope: Scope) -> Any:
        chosen = test(scope)
        if not isinstance(chosen, bool):
            raise EvalError(_NO_OVERLOAD)
        return yes(scope) if chosen else no(scope)

    return run


def _optional_select(node: Node) -> Run:
    of, name = compile_node(node.args[0]), node.args[1].value

    def run(scope: Scope) -> Optional:
        value = of(scope)
        if isinstance(value, Optional):
            if not value.present:
                return NONE
            value = value.value
        return some(value[name]) if isinstance(value, dict) and name in value else NONE

    return run


# -- loops ---------------------------------------------------------------------------------------------------------------


def _loop(node: Node) -> Run:
    assert node.target is not None
    over = compile_node(node.target)
    bodies = [compile_node(one) for one in node.args]
    if node.name in ("optMap", "optFlatMap"):
        return _optional_loop(node, over, bodies[0])
    names = node.names
    act = _LOOPS[node.name]

    def items(scope: Scope) -> list[Scope]:
        many = over(scope)
        if isinstance(many, dict):
            pairs = list(many.items()) if len(names) == 2 else [(key, key) for key in many]
        elif isinstance(many, list):
            pairs = list(enumerate(many))
        else:
            raise EvalError(f"got '{type_name(many)}', expected iterable type")
        budget = scope.get(BUDGET)
        if budget is not None:
            budget.spend(len(pairs))
        if len(names) == 2:
            return [{**scope, names[0]: key, names[1]: value} for key, value in pairs]
        return [{**scope, names[0]: value} for _, value in pairs]

    return lambda scope: act(names, items(scope), bodies)


def _optional_loop(node: Node, over: Run, body: Run) -> Run:
    name, flat = node.names[0], node.name == "optFlatMap"

    def run(scope: Scope) -> Optional:
        value = over(scope)
        if not isinstance(value, Optional):
            raise EvalError(_NO_OVERLOAD)
        if not value.present:
            return NONE
        result = body({**scope, name: value.value})
        return result if flat else some(result)

    return run


def _decide(scopes: list[Scope], body: Run, decisive: bool) -> Any:
    error: EvalError | None = None
    for scope in scopes:
        try:
            found = body(scope)
        except EvalError as caught:
            error = error or caught
            continue
        if found is decisive:
            return found
        if not isinstance(found, bool):
            error = error or EvalError(_NO_OVERLOAD)
    if error is not None:
        raise error
    return not decisive


def _all(names: Any, scopes: list[Scope], bodies: list[Run]) -> Any:
    return _decide(scopes, bodies[0], False)


def _exists(names: Any, scopes: list[Scope], bodies: list[Run]) -> Any:
    return _decide(scopes, bodies[0], True)


def _exists_one(names: Any, scopes: list[Scope], bodies: list[Run]) -> bool:
    return sum(bodies[0](scope) is True for scope in scopes) == 1


def _filter(names: Any, scopes: list[Scope], bodies: list[Run]) -> list[Any]:
    return [scope[names[0]] for scope in scopes if _true(bodies[0](scope))]


def _true(value: Any) -> bool:
    if not isinstance(value, bool):
        raise EvalError(_NO_OVERLOAD)
    return value


def _transform(names: Any, scopes: list[Scope], bodies: list[Run]) -> list[Any]:
    *tests, body = bodies
    return [body(scope) for scope in scopes if all(_true(test(scope)) for test in tests)]


def _transform_map(names: Any, scopes: list[Scope], bodies: list[Run]) -> dict[Any, Any]:
    *tests, body = bodies
    return {scope[names[0]]: body(scope) for scope in scopes if all(_true(test(scope)) for test in tests)}


def _transform_entries(names: Any, scopes: list[Scope], bodies: list[Run]) -> dict[Any, Any]:
    out: dict[Any, Any] = {}
    for entry in _transform(names, scopes, bodies):
        for key, value in entry.items():
            if key in out:
                raise EvalError(f"insert failed: key {key} already exists")
            out[key] = value
    return out


def _sort_by(names: Any, scopes: list[Scope], bodies: list[Run]) -> list[Any]:
    return [scope[names[0]] for scope in sorted(scopes, key=bodies[0])]


_LOOPS: dict[str, Callable[[Any, list[Scope], list[Run]], Any]] = {
    "all": _all, "exists": _exists, "exists_one": _exists_one, "filter": _filter, "map": _transform,
    "transformList": _transform, "transformMap": _transform_map, "transformMapEntry": _transform_entries,
    "sortBy": _sort_by,
}  # fmt: skip
_KINDS: dict[str, Callable[[Node], Run]] = {
    "const": _const, "ident": _ident, "select": _select, "test": _test, "list": _list, "map": _map, "call": _call,
    "loop": _loop, "struct": _struct,
}  # fmt: skip

