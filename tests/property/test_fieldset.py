"""Laws of field sets, against plain sets of paths."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from machinery.meta.apply import fieldset
from machinery.meta.apply.fieldset import FieldSet

Paths = frozenset[tuple[str, ...]]

element = st.sampled_from(["f:a", "f:b", 'k:{"n":1}', 'v:"x"'])
paths = st.frozensets(st.lists(element, min_size=1, max_size=4).map(tuple), max_size=8)


def build(members: Paths) -> FieldSet:
    out: FieldSet = {}
    for path in members:
        out = fieldset.union(out, fieldset.from_path(*path))
    return out


def members(fields: FieldSet) -> Paths:
    return frozenset(fieldset.iterate(fields))


@given(paths)
def test_a_set_holds_what_was_put_in(a: Paths) -> None:
    assert members(build(a)) == a
    assert all(fieldset.contains(build(a), path) for path in a)


@given(paths, paths)
def test_algebra(a: Paths, b: Paths) -> None:
    x, y = build(a), build(b)
    assert members(fieldset.union(x, y)) == a | b
    assert members(fieldset.difference(x, y)) == a - b
    assert members(fieldset.intersection(x, y)) == a & b
    below = {path for path in a if any(path[:len(other)] == other for other in b)}
    assert members(fieldset.without(x, y)) == a - below


@given(paths, paths)
def test_arguments_are_left_alone(a: Paths, b: Paths) -> None:
    x, y = build(a), build(b)
    for operation in (fieldset.union, fieldset.difference, fieldset.intersection, fieldset.without):
        operation(x, y)
    assert (members(x), members(y)) == (a, b)
