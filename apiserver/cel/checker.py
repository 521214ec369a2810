"""Types of every place of an expression, and what does not fit, in upstream's words.

The checker annotates the tree: each node gets its type, calls their possible overloads, and ``a.b`` that names a
variable or a function of a namespace becomes what it means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from apiserver.cel.functions import Functions, Overload
from apiserver.cel.library import standard
from apiserver.cel.syntax import Mistake, Node
from apiserver.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DYN,
    INT,
    NULL,
    STRING,
    UINT,
    Bindings,
    Type,
    join,
    list_of,
    map_of,
    match,
    optional_of,
    substitute,
    type_of,
)
from apiserver.cel.values import EvalError, UInt

_TYPE_NAMES = {
    "bool": BOOL, "int": INT, "uint": UINT, "double": DOUBLE, "string": STRING, "bytes": BYTES, "list": list_of(DYN),
    "map": map_of(DYN, DYN), "null_type": NULL,
}  # fmt: skip
_HOMOGENEOUS_EXEMPT = "format"
_LITERAL_TESTS: Mapping[str, Callable[[str], object]] = {
    "matches": standard.pattern, "duration": standard.duration, "timestamp": standard.timestamp,
}  # fmt: skip


class Checker:
    def __init__(
        self, source: str, functions: Functions, variables: Mapping[str, Type],
        structs: Mapping[str, Mapping[str, Type] | None] | None = None,
    ) -> None:
        #: Messages that may be made: the first word of their name, and their fields (None: any).
        self.structs = structs or {}
        self.source = source
        self.functions = functions
        self.mistakes: list[tuple[int, str]] = []
        self._scopes: list[Mapping[str, Type]] = [variables]

    def check(self, root: Node) -> Type:
        result = self.visit(root)
        if self.mistakes:
            raise Mistake(self.source, sorted(self.mistakes, key=lambda one: one[0]))
        self._literals(root, exempt=False)
        if self.mistakes:
            raise Mistake(self.source, self.mistakes)
        return result

    def fail(self, place: int, text: str) -> Type:
        self.mistakes.append((place, text))
        return Type("!error!")

    def visit(self, node: Node) -> Type:
        node.type = getattr(self, f"_{node.kind}")(node)
        return node.type

    def _lookup(self, name: str) -> Type | None:
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        return None

    # -- kinds of nodes --------------------------------------------------------------------------------------------------

    def _const(self, node: Node) -> Type:
        value = node.value
        if value is None:
            return NULL
        if isinstance(value, bool):
            return BOOL
        if isinstance(value, UInt):
            return UINT
        if isinstance(value, int):
            return INT
        return DOUBLE if isinstance(value, float) else STRING if isinstance(value, str) else BYTES

    def _ident(self, node: Node) -> Type:
        found = self._lookup(node.name)
        if found is not None:
            return found
        if node.name in _TYPE_NAMES:
            return type_of(_TYPE_NAMES[node.name])
        return self.fail(node.place, f"undeclared reference to '{node.name}' (in container '')")

    def _select(self, node: Node) -> Type:
        path = dotted(node)
        if path is not None:
            known = self._lookup(path)
            if known is not None:
                node.kind, node.name, node.target = "ident", path, None
                return known
            if path in ("google.protobuf.Timestamp", "google.protobuf.Duration") and self._lookup("google") is None:
                node.kind, node.name, node.target = "ident", path, None
                return type_of(Type(path))
        assert node.target is not None
        return self._field(node, self.visit(node.target))

    def _field(self, node: Node, of: Type) -> Type:
        if of.name == "optional_type":
            inner = self._field(node, of.params[0])
            return inner if inner.name in ("optional_type", "!error!") else optional_of(inner)
        if of.fields is not None:
            for name in (node.name, unescape(node.name)):
                if name is not None and name in of.fields:
                    node.name = name
                    return of.fields[name]
            return self.fail(node.place, f"undefined field '{node.name}'")
        if of.name == "map":
            return of.params[1]
        if of.is_dyn or of.is_param or of.name == "!error!":
            return DYN
        return self.fail(node.place, f"type '{of}' does not support field selection")

    def _test(self, node: Node) -> Type:
        assert node.target is not None
        self._field(node, self.visit(node.target))
        return BOOL

    def _list(self, node: Node) -> Type:
        types = [self.visit(one) for one in node.args]
        for at, optional in enumerate(node.optional):
            if optional and types[at].name == "optional_type":
                types[at] = types[at].params[0]
        return list_of(join(types), size=len(types))

    def _map(self, node: Node) -> Type:
        keys = [self.visit(one) for one in node.args[::2]]
        values = [self.visit(one) for one in node.args[1::2]]
        for at, optional in enumerate(node.optional):
            if optional and values[at].name == "optional_type":
                values[at] = values[at].params[0]
        return map_of(join(keys), join(values), size=len(keys))

    def _struct(self, node: Node) -> Type:
        for one in node.args:
            self.visit(one)
        root, _, rest = node.name.partition(".")
        if root not in self.structs or (rest and self.structs[root] is not None):
            return self.fail(node.place, f"undeclared reference to '{node.name}' (in container '')")
        fields = self.structs[root]
        for name, one in zip(node.names, node.args, strict=True) if fields is not None else ():
            wanted = (fields or {}).get(name)
            if wanted is None:
                self.fail(one.place, f"undefined field '{name}'")
            elif not match(wanted, one.type, {}):
                self.fail(one.place, f"expected type of field '{name}' is '{wanted}' but provided type is '{one.type}'")
        return Type(node.name)

    # -- calls -----------------------------------------------------------------------------------------------------------

    def _call(self, node: Node) -> Type:
        name = node.name
        if name in ("_&&_", "_||_"):
            for one in node.args:
                self.visit(one)
            wrong = [one for one in node.args if not match(BOOL, one.type, {}) and one.type.name != "!error!"]
            return self._overload_mistake(node, node.args, False) if wrong else BOOL
        if name == "_?_:_":
            return self._conditional(node)
        if name == "_?._":
            return self._optional_field(node)
        if node.target is not None:
            path = dotted(node.target)
            if path is not None and self._lookup(path.partition(".")[0]) is None:
                full = f"{path}.{name}"
                if self.functions.plain(full):
                    node.name, node.target = full, None
                    return self._resolve(node, self.functions.plain(full), node.args, member=False)
            self.visit(node.target)
            found = self.functions.members(name)
            if not self.functions.knows(name):
                for one in node.args:
                    self.visit(one)
                return self.fail(node.place, f"undeclared reference to '{name}' (in container '')")
            return self._resolve(node, found, [node.target, *node.args], member=True)
        found = self.functions.plain(name)
        if not self.functions.knows(name):
            for one in node.args:
                self.visit(one)
            return self.fail(node.place, f"undeclared reference to '{name}' (in container '')")
        return self._resolve(node, found, node.args, member=False)

    def _conditional(self, node: Node) -> Type:
        condition, yes, no = (self.visit(one) for one in node.args)
        if "!error!" in (condition.name, yes.name, no.name):
            return DYN
        bound: Bindings = {}
        if not match(BOOL, condition, {}) or not (match(Type("A"), yes, bound) and match(Type("A"), no, bound)):
            return self._overload_mistake(node, node.args, False)
        return bound["A"]

    def _optional_field(self, node: Node) -> Type:
        of = self.visit(node.args[0])
        self.visit(node.args[1])
        inner = of.params[0] if of.name == "optional_type" else of
        probe = Node("select", node.args[1].place, node.args[1].value)
        found = self._field(probe, inner)
        node.args[1].value = probe.name
        return found if found.name in ("optional_type", "!error!") else optional_of(found)

    def _resolve(self, node: Node, overloads: list[Overload], args: list[Node], *, member: bool) -> Type:
        for one in args:
            if not (member and one is node.target):
                self.visit(one)
        if any(one.type.name == "!error!" for one in args):
            return Type("!error!")
        results: list[Type] = []
        for overload in overloads:
            if len(overload.args) != len(args):
                continue
            bound: Bindings = {}
            if all(match(wanted, one.type, bound) for wanted, one in zip(overload.args, args, strict=True)):
                node.overloads.append(overload)
                results.append(substitute(overload.result, bound))
        if not results:
            return self._overload_mistake(node, args, member)
        first = results[0]
        return first if all(one == first for one in results) else DYN

    def _overload_mistake(self, node: Node, args: list[Node], member: bool) -> Type:
        shown = [str(one.type) for one in args]
        applied = f"{shown[0]}.({', '.join(shown[1:])})" if member else f"({', '.join(shown)})"
        return self.fail(node.place, f"found no matching overload for '{node.name}' applied to '{applied}'")

    # -- loops -----------------------------------------------------------------------------------------------------------

    def _loop(self, node: Node) -> Type:
        assert node.target is not None
        over = self.visit(node.target)
        if node.name in ("optMap", "optFlatMap"):
            inner = over.params[0] if over.name == "optional_type" else DYN
            return self._with({node.names[0]: inner}, lambda: self._optional_result(node))
        if over.name == "list":
            first, second = over.params[0], over.params[0]
            both = (INT, over.params[0])
        elif over.name == "map":
            first, second = over.params[0], over.params[1]
            both = (over.params[0], second)
        else:
            first, both = DYN, (DYN, DYN)
            if not over.is_dyn and over.name != "!error!" and not over.is_param:
                self.fail(
                    node.target.place,
                    f"expression of type '{over}' cannot be range of a comprehension (must be list, map, or dynamic)",
                )
        names = dict(zip(node.names, both, strict=True)) if len(node.names) == 2 else {node.names[0]: first}
        return self._with(names, lambda: self._loop_result(node, over))

    def _with(self, names: Mapping[str, Type], inside: Callable[[], Type]) -> Type:
        self._scopes.append(names)
        try:
            return inside()
        finally:
            self._scopes.pop()

    def _optional_result(self, node: Node) -> Type:
        found = self.visit(node.args[0])
        return optional_of(found) if node.name == "optMap" else found

    def _loop_result(self, node: Node, over: Type) -> Type:
        types = [self.visit(one) for one in node.args]
        name = node.name
        tests = types if name in ("all", "exists", "exists_one", "filter") else types[:-1]
        for one, found in zip(node.args, tests, strict=False):
            if not match(BOOL, found, {}) and found.name != "!error!":
                self._loop_mistake(node, one, found)
        if name in ("all", "exists", "exists_one"):
            return BOOL
        if name == "filter":
            return list_of(over.params[0] if over.name in ("list", "map") else DYN, size=over.size)
        if name == "sortBy":
            return over
        if name in ("map", "transformList"):
            return list_of(types[-1], size=over.size)
        key = over.params[0] if over.name == "map" else INT
        if name == "transformMapEntry":
            return types[-1]
        return map_of(key, types[-1], size=over.size)

    def _loop_mistake(self, node: Node, test: Node, found: Type) -> None:
        """A test that gives no truth value is told as what upstream makes of the loop: a chain of operators."""
        if node.name in ("all", "exists"):
            operator, place, applied = "_&&_" if node.name == "all" else "_||_", node.place, f"(bool, {found})"
        else:
            kept = "int" if node.name == "exists_one" else "list(dyn)"
            operator, place, applied = "_?_:_", test.place, f"({found}, {kept}, {kept})"
        self.fail(place, f"found no matching overload for '{operator}' applied to '{applied}'")

    # -- literals --------------------------------------------------------------------------------------------------------

    def _literals(self, node: Node, *, exempt: bool) -> None:
        """What only literals can get wrong: patterns, instants, spans, lists and maps of several types."""
        if (node.kind == "call" and len(node.args) == 1) or node.name == "matches":
            self._literal_argument(node)
        if node.kind in ("list", "map") and not exempt:
            self._homogeneous(node)
        inner_exempt = exempt or (node.kind == "call" and node.name == _HOMOGENEOUS_EXEMPT)
        for one in node.children():
            self._literals(one, exempt=inner_exempt)

    def _literal_argument(self, node: Node) -> None:
        if not node.args or node.args[-1].kind != "const" or not isinstance(node.args[-1].value, str):
            return
        test = _LITERAL_TESTS.get(node.name)
        if test is None:
            return
        try:
            test(node.args[-1].value)
        except EvalError:
            self.fail(node.args[-1].place, f"invalid {node.name} argument")

    def _homogeneous(self, node: Node) -> None:
        groups = [node.args] if node.kind == "list" else [node.args[::2], node.args[1::2]]
        for group in groups:
            first: Type | None = None
            for at, one in enumerate(group):
                found = one.type
                if at < len(node.optional) and node.optional[at] and found.name == "optional_type":
                    found = found.params[0]
                if first is None:
                    first = found
                elif not (match(first, found, {}) or match(found, first, {})):
                    self.fail(one.place, f"expected type '{first}' but found '{found}'")
                    break


def dotted(node: Node) -> str | None:
    """``a.b.c`` as one name, if it is nothing but names."""
    if node.kind == "ident":
        return node.name
    if node.kind == "select" and node.target is not None:
        inner = dotted(node.target)
        return f"{inner}.{node.name}" if inner is not None else None
    return None


_ESCAPES = (("__dot__", "."), ("__dash__", "-"), ("__slash__", "/"), ("__underscores__", "__"))


def unescape(name: str) -> str | None:
    """The property that an escaped identifier means."""
    if name.startswith("__") and name.endswith("__") and len(name) > 4:
        word = name[2:-2]
        if word.isalpha() and word.islower():
            return word
    out = name
    for escaped, plain in _ESCAPES:
        out = out.replace(escaped, plain)
    return out
