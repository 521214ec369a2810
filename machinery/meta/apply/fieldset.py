"""Sets of fields, in the very form in which they are stored: FieldsV1.

A set is the dict that managedFields carries: keys `f:name`, `k:{"key":"value"}`, `v:value`, `i:index`. What lies
behind a key says what is in the set: `{}` the field itself, `{".": {}, …}` the field itself and some below it,
anything else only some below it. Working on that form means that reading and writing an entry costs nothing and
that set algebra touches only what differs.

Sets are values: no function here changes its arguments, and results may share parts with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

FieldSet = dict[str, Any]

SELF = "."


def is_member(child: FieldSet) -> bool:
    """Whether what lies behind a key says that the field itself is in the set."""
    return not child or SELF in child


def union(a: FieldSet, b: FieldSet) -> FieldSet:
    if not a or a is b:
        return b
    if not b:
        return a
    out = dict(a)
    for key, theirs in b.items():
        ours = out.get(key)
        out[key] = theirs if ours is None else _union_below(ours, theirs)
    return out


def _union_below(a: FieldSet, b: FieldSet) -> FieldSet:
    if a is b:
        return a
    if not a:
        return b if is_member(b) else {SELF: {}, **b}
    if not b:
        return a if SELF in a else {SELF: {}, **a}
    return union(a, b)


def difference(a: FieldSet, b: FieldSet) -> FieldSet:
    """The fields of `a` that are not in `b`. A field's parents and children are fields of their own."""
    if not b or not a:
        return a
    out = dict(a)
    for key, theirs in b.items():
        ours = a.get(key)
        if ours is None or key == SELF:
            continue
        member = is_member(ours) and not is_member(theirs)
        below = difference({k: v for k, v in ours.items() if k != SELF}, theirs)
        left = _compose(member, below)
        if left is None:
            del out[key]
        else:
            out[key] = left
    return out


def without(a: FieldSet, b: FieldSet) -> FieldSet:
    """The fields of `a` that are neither in `b` nor below a field of `b`."""
    if not b or not a:
        return a
    out = dict(a)
    for key, theirs in b.items():
        ours = a.get(key)
        if ours is None or key == SELF:
            continue
        if is_member(theirs):
            del out[key]
            continue
        left = _compose(is_member(ours), without({k: v for k, v in ours.items() if k != SELF}, theirs))
        if left is None:
            del out[key]
        else:
            out[key] = left
    return out


def intersection(a: FieldSet, b: FieldSet) -> FieldSet:
    out: FieldSet = {}
    small, large = (a, b) if len(a) <= len(b) else (b, a)
    for key, ours in small.items():
        theirs = large.get(key)
        if theirs is None or key == SELF:
            continue
        both = _compose(is_member(ours) and is_member(theirs), intersection(ours, theirs))
        if both is not None:
            out[key] = both
    return out


def _compose(member: bool, below: FieldSet) -> FieldSet | None:
    if member:
        return {SELF: {}, **below} if below else {}
    return below or None


def iterate(fields: FieldSet, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every path in the set: the members of a level first, then what lies below it."""
    keys = sorted(key for key in fields if key != SELF)
    for key in keys:
        if is_member(fields[key]):
            yield (*prefix, key)
    for key in keys:
        if fields[key]:
            yield from iterate(fields[key], (*prefix, key))


def contains(fields: FieldSet, path: tuple[str, ...]) -> bool:
    for key in path:
        child = fields.get(key)
        if child is None:
            return False
        fields = child
    return is_member(fields)


def from_path(*path: str) -> FieldSet:
    """The set of one path."""
    out: FieldSet = {}
    for key in reversed(path):
        out = {key: out}
    return out


def is_well_formed(fields: Any) -> bool:
    """Whether a client's FieldsV1 is one."""
    if not isinstance(fields, dict):
        return False
    return all(
        (key == SELF or key[:2] in ("f:", "k:", "v:", "i:")) and is_well_formed(child) for key, child in fields.items())


def in_order(fields: FieldSet) -> FieldSet:
    """The same set with its keys sorted, as it is shown to people."""
    if not fields:
        return fields
    return {key: in_order(fields[key]) for key in sorted(fields)}


def path_text(path: tuple[str, ...]) -> str:
    """A path as conflicts name it: `.spec.containers[name="c"].image`."""
    return "".join(map(element_text, path))


def element_text(key: str) -> str:
    kind, rest = key[0], key[2:]
    if kind == "f":
        return "." + rest
    if kind == "k":
        # `{"a":1,"b":"x"}` -> `[a=1,b="x"]`: the values stay as they are written.
        return "[" + ",".join(f"{name}={value}" for name, value in _key_fields(rest)) + "]"
    return f"[={rest}]" if kind == "v" else f"[{rest}]"


def _key_fields(text: str) -> list[tuple[str, str]]:
    import orjson

    return [(name, orjson.dumps(value).decode()) for name, value in orjson.loads(text).items()]
