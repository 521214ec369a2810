"""What an expression may cost at most, estimated from its types and the sizes that a schema allows.

Units and factors are upstream's: one for a look-up or a call, a tenth for each code unit that is walked, a list made ten,
a map thirty. Where the size of a text or a list is unknown it counts as endless, and so does the cost.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from apiserver.cel.syntax import Node
from apiserver.cel.types import SCALARS, Type

ENDLESS = 2**64 - 1
_TRAVERSAL, _REGEX = 0.1, 0.25
_LIST, _MAP, _STRUCT = 10, 30, 40


class Range(NamedTuple):
    least: int
    most: int

    def __add__(self, other: object) -> Range:
        assert isinstance(other, Range)
        return Range(_cap(self.least + other.least), _cap(self.most + other.most))

    def times(self, other: Range) -> Range:
        return Range(_cap(self.least * other.least), _cap(self.most * other.most))

    def scaled(self, factor: float) -> Range:
        return Range(_scale(self.least, factor), _scale(self.most, factor))

    def union(self, other: Range) -> Range:
        return Range(min(self.least, other.least), max(self.most, other.most))


NOTHING, ONE, UNKNOWN = Range(0, 0), Range(1, 1), Range(0, ENDLESS)


def _cap(value: int) -> int:
    return min(value, ENDLESS)


def _scale(value: int, factor: float) -> int:
    scaled = math.ceil(value * factor)
    return ENDLESS if scaled >= ENDLESS * factor and value >= ENDLESS else min(scaled, ENDLESS)


class Priced(NamedTuple):
    cost: Range
    #: Size of the value, where it is known.
    size: Range | None


def estimate(root: Node) -> Range:
    return _Coster().price(root).cost


class _Coster:
    def __init__(self) -> None:
        self._locals: list[dict[str, tuple[Range | None, Type]]] = []

    def price(self, node: Node) -> Priced:
        found: Priced = getattr(self, f"_{node.kind}")(node)
        if found.size is None:
            return Priced(found.cost, _size_of(node.type))
        return found

    def _const(self, node: Node) -> Priced:
        size = Range(len(node.value), len(node.value)) if isinstance(node.value, str | bytes) else None
        return Priced(NOTHING, size)

    def _ident(self, node: Node) -> Priced:
        return Priced(ONE, None)

    def _select(self, node: Node) -> Priced:
        assert node.target is not None
        cost = self.price(node.target).cost
        of = node.target.type
        return Priced(cost + ONE if of.fields is not None or of.name == "map" else cost, None)

    def _test(self, node: Node) -> Priced:
        assert node.target is not None
        return Priced(self.price(node.target).cost + ONE, None)

    def _list(self, node: Node) -> Priced:
        cost = sum((self.price(one).cost for one in node.args), Range(_LIST, _LIST))
        return Priced(cost, Range(len(node.args), len(node.args)))

    def _map(self, node: Node) -> Priced:
        cost = sum((self.price(one).cost for one in node.args), Range(_MAP, _MAP))
        return Priced(cost, Range(len(node.args) // 2, len(node.args) // 2))

    def _struct(self, node: Node) -> Priced:
        return Priced(sum((self.price(one).cost for one in node.args), Range(_STRUCT, _STRUCT)), None)

    # -- calls

    def _call(self, node: Node) -> Priced:
        parts = [self.price(one) for one in node.children()]
        costs = [part.cost for part in parts]
        name = node.name
        if name in ("_&&_", "_||_"):
            return Priced(Range(costs[0].least, (costs[0] + costs[1]).most), None)
        if name == "_?_:_":
            sizes = [part.size for part in parts[1:]]
            both = sizes[0].union(sizes[1]) if sizes[0] is not None and sizes[1] is not None else None
            return Priced(costs[0] + costs[1].union(costs[2]), both)
        own, size = self._own(node, [part.size or UNKNOWN for part in parts])
        return Priced(sum(costs, own), size)

    def _own(self, node: Node, sizes: list[Range]) -> tuple[Range, Range | None]:
        name, first = node.name, node.children()[0].type if node.children() else None
        texts = first is not None and first.name in ("string", "bytes")
        if name == "_+_" and texts:
            both = sizes[0] + sizes[1]
            return both.scaled(_TRAVERSAL), both
        if name == "_+_" and first is not None and first.name == "list":
            return ONE, sizes[0] + sizes[1]
        if name in ("_==_", "_!=_") or (texts and name in ("_<_", "_<=_", "_>_", "_>=_")):
            most = min(sizes[0].most, sizes[1].most)
            return Range(1 if most else 0, most).scaled(_TRAVERSAL), None
        if name == "@in" and node.args[1].type.name == "list":
            return sizes[1], None
        if name == "matches":
            return (sizes[0] + ONE).scaled(_TRAVERSAL).times(sizes[1].scaled(_REGEX)), None
        if name == "contains" and texts:
            return sizes[0].scaled(_TRAVERSAL).times(sizes[1].scaled(_TRAVERSAL)), None
        if name in ("startsWith", "endsWith"):
            return sizes[1].scaled(_TRAVERSAL), None
        if name == "format":
            return sizes[0].scaled(_TRAVERSAL), None
        if name in ("find", "findAll"):
            cost = (sizes[0] + ONE).scaled(_TRAVERSAL).times(sizes[1].scaled(_REGEX))
            return cost, Range(0, sizes[0].most)
        return self._library(node, name, sizes, texts)

    @staticmethod
    def _library(node: Node, name: str, sizes: list[Range], texts: bool) -> tuple[Range, Range | None]:
        if name in ("isSorted", "sum", "max", "min", "indexOf", "lastIndexOf", "sort", "distinct") and sizes:
            if texts:
                return sizes[0].scaled(_TRAVERSAL), None
            item = node.target.type.params[0] if node.target is not None and node.target.type.params else None
            each = ONE
            if item is not None and item.name in ("string", "bytes"):
                each = each + (_size_of(item) or UNKNOWN).scaled(_TRAVERSAL)
            return sizes[0].times(each), None
        if name in ("lowerAscii", "upperAscii", "trim", "replace", "substring", "strings.quote", "quote", "reverse"):
            kept = sizes[0] if name != "substring" and name != "trim" else Range(0, sizes[0].most)
            if name == "replace" and len(sizes) > 2:
                kept = Range(0, _cap(sizes[0].most * max(sizes[2].most, 1)))
            return sizes[0].scaled(_TRAVERSAL), kept
        if name == "split":
            return sizes[0].scaled(_TRAVERSAL), Range(0, sizes[0].most)
        if name == "join":
            item = node.target.type.params[0] if node.target is not None and node.target.type.params else None
            each = (_size_of(item) if item is not None else None) or UNKNOWN
            between = sizes[1] if len(sizes) > 1 else NOTHING
            whole = sizes[0].times(each) + sizes[0].times(between)
            return whole.scaled(_TRAVERSAL), whole
        if name in ("url", "isURL", "ip", "isIP", "cidr", "isCIDR", "quantity", "isQuantity", "semver", "isSemver"):
            return (sizes[0].scaled(_TRAVERSAL) if texts else ONE), None
        if name == "validate":
            return sizes[1].scaled(_TRAVERSAL) + ONE, None
        if name == "charAt":
            return ONE, ONE
        return ONE, None

    # -- loops

    def _loop(self, node: Node) -> Priced:
        assert node.target is not None
        over = self.price(node.target)
        name = node.name
        if name in ("optMap", "optFlatMap"):
            inner = self.price(node.args[0]).cost
            return Priced(over.cost + ONE + ONE + inner.union(ONE), None)
        bodies = sum((self.price(one).cost for one in node.args), NOTHING)
        count = over.size or UNKNOWN
        least = bodies.least
        if name == "all":
            step, start = Range(1 + 2, _cap(1 + bodies.most + 2)), ONE
        elif name == "exists":
            step, start = Range(1 + 3, _cap(1 + bodies.most + 3)), ONE
        elif name == "exists_one":
            step, start = Range(least + 1, _cap(bodies.most + 2)), Range(2, 2)
        elif name in ("transformMap", "transformMapEntry"):
            step, start = Range(least + 1, _cap(bodies.most + 3)), Range(_MAP + 1, _MAP + 1)
        else:
            step, start = Range(least + 1, _cap(bodies.most + 1 + 1 + _LIST)), Range(_LIST + 1, _LIST + 1)
        made = over.cost + start + count.times(step)
        sized = name in ("map", "filter", "transformList", "sortBy", "transformMap", "transformMapEntry")
        return Priced(made, Range(0 if name == "filter" else count.least, count.most) if sized else None)


def _size_of(type_: Type) -> Range | None:
    if type_.name in SCALARS or (type_.name == "optional_type" and type_.params[0].name in SCALARS):
        return ONE
    return Range(0, type_.size) if type_.size is not None else None
