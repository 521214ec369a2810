"""Validation by schema, in the words and the order of upstream's library.

A value meets the checks of its schema in a fixed order: type, combinations (anyOf, oneOf, allOf, not), text, format,
number, list, enumeration, object. A failed type does not stop the others: each looks only at values of its own sort.

On update what did not change is not judged again (ratcheting): a subtree that is equal to the old one passes, whatever
the schema has come to say since. Properties, map values and items of keyed lists are compared with their counterpart;
other items have none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from apiserver.crd.structural.formats import FORMATS, NAMES_OF_FORMATS
from apiserver.crd.structural.patterns import compile_pattern
from apiserver.validation.field import show, to_json
from machinery.meta.go_format import go_float, go_quote

Cause = dict[str, Any]
Schema = dict[str, Any]

_NONE: Any = object()  # no old value to compare with
_RANGES = {"int32": 2**31, "int64": 2**63, "": 2**63}
_UNSIGNED = {"uint32": 2**32, "uint64": 2**64}


class Validator:
    """One schema, compiled."""

    __slots__ = (
        "_additional", "_all", "_any", "_enum", "_items", "_map_keys", "_not", "_one", "_pattern", "_properties",
        "_schema", "_types", "format",
    )  # fmt: skip

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._types: tuple[str, ...] = (schema["type"],) if schema.get("type") else ()
        if schema.get("x-kubernetes-int-or-string"):
            self._types = ("integer", "string")
        self.format = _known_format(schema.get("format") or "")
        self._properties = {name: Validator(one) for name, one in (schema.get("properties") or {}).items()}
        items = schema.get("items")
        self._items = Validator(items) if isinstance(items, dict) else None
        additional = schema.get("additionalProperties")
        self._additional = Validator(additional) if isinstance(additional, dict) else None
        self._any = [Validator(one) for one in schema.get("anyOf") or ()]
        self._one = [Validator(one) for one in schema.get("oneOf") or ()]
        self._all = [Validator(one) for one in schema.get("allOf") or ()]
        self._not = Validator(schema["not"]) if isinstance(schema.get("not"), dict) else None
        self._enum = schema.get("enum")
        self._pattern = compile_pattern(schema["pattern"]) if schema.get("pattern") else None
        keyed = schema.get("x-kubernetes-list-type") == "map"
        self._map_keys = tuple(schema.get("x-kubernetes-list-map-keys") or ()) if keyed else ()

    def validate(self, value: Any, path: str = "", old: Any = _NONE) -> list[Cause]:
        causes: list[Cause] = []
        self._run(value, path, old, causes)
        return causes

    # -- the chain of checks; answers how many were made, which is how the best of several branches is chosen

    def _run(self, value: Any, path: str, old: Any, causes: list[Cause]) -> int:
        if old is not _NONE and same(value, old):
            return 0
        made = 0
        if self._types or self._schema.get("format"):
            made += 1
            self._check_type(value, path, causes)
        if value is None:
            return made + self._check_enum(value, path, causes)
        made += self._check_combinations(value, path, causes)
        if isinstance(value, str):
            made += 1
            self._check_string(value, path, causes)
            if self.format:
                made += 1
                if not FORMATS[self.format](value):
                    shown = NAMES_OF_FORMATS.get(self.format, self.format)
                    causes.append(type_invalid(path, value, f"must be of type {shown}: {go_quote(value)}"))
        elif _is_number(value):
            made += 1
            self._check_number(value, path, causes)
        elif isinstance(value, list):
            made += 1 + self._check_list(value, path, old, causes)
        made += self._check_enum(value, path, causes)
        if isinstance(value, dict):
            made += 1 + self._check_object(value, path, old, causes)
        return made

    def _check_type(self, value: Any, path: str, causes: list[Cause]) -> None:
        types, schema = self._types, self._schema
        if value is None:
            if types and not schema.get("nullable"):
                causes.append(type_error(path, ",".join(types), "null"))
            return
        found, form = json_type(value)
        whole = found == "number" and float(value).is_integer() and abs(value) <= 2**53 and "integer" in types
        wider = found == "integer" and "number" in types
        named = schema.get("format") or ""
        if named and not isinstance(value, str | list):
            if not (found in types or form == named or whole or wider):
                causes.append(type_error(path, named, form))
                return
        if named and isinstance(value, str | list) and not ("number" in types or "integer" in types):
            return
        if types and not (found in types or whole or wider):
            causes.append(type_error(path, ",".join(types), found))

    def _check_combinations(self, value: Any, path: str, causes: list[Cause]) -> int:
        made = 1
        if self._any:
            valid, best, _, count = _best(self._any, value, path)
            made += count
            if not valid:
                causes.append(unnamed(f'"{path}" must validate at least one schema (anyOf)'))
                causes += best
        if self._one:
            valid, best, _, count = _best(self._one, value, path, stop=False)
            made += count
            if valid != 1:
                found = f"Found {valid} valid alternatives" if valid else "Found none valid"
                causes.append(unnamed(f'"{path}" must validate one and only one schema (oneOf). {found}'))
                causes += best if not valid else ()
        if self._all:
            validated = 0
            for branch in self._all:
                found_here: list[Cause] = []
                made += branch._run(value, path, _NONE, found_here)
                validated += not found_here
                causes += found_here
            if validated < len(self._all):
                tail = ". None validated" if not validated else ""
                causes.append(unnamed(f'"{path}" must validate all the schemas (allOf){tail}'))
        if self._not is not None and not self._not.validate(value, path):
            causes.append(unnamed(f'"{path}" must not validate the schema (not)'))
        return made

    def _check_string(self, value: str, path: str, causes: list[Cause]) -> None:
        schema = self._schema
        longest, shortest = schema.get("maxLength"), schema.get("minLength")
        if longest is not None and len(value) > longest:
            causes.append({
                "reason": "FieldValueTooLong", "field": path,
                "message": f"Too long: may not be more than {longest} bytes",
            })  # fmt: skip
            return
        if shortest is not None and len(value) < shortest:
            causes.append(in_body(path, value, f"should be at least {shortest} chars long"))
            return
        if self._pattern is not None and not self._pattern(value):
            causes.append(in_body(path, value, f"should match '{schema['pattern']}'"))

    def _check_number(self, value: float, path: str, causes: list[Cause]) -> None:
        schema, types = self._schema, self._types
        kind = types[0] if len(types) == 1 else ""
        problem = _out_of_range(value, kind, schema.get("format") or "")
        if problem:
            causes.append(unnamed(f"Checked value must be of type {problem} in {path}"))
        factor, lowest, highest = schema.get("multipleOf"), schema.get("minimum"), schema.get("maximum")
        if isinstance(value, int):  # bounds of whole numbers are whole to upstream
            factor, lowest, highest = _whole(factor), _whole(lowest), _whole(highest)
        if factor is not None:
            if factor <= 0:
                causes.append(plain(path, factor, f"factor MultipleOf declared for {path} must be positive: {number(factor)}"))
            elif not _is_multiple(value, factor):
                causes.append(in_body(path, value, f"should be a multiple of {number(factor)}"))
        if lowest is not None:
            if schema.get("exclusiveMinimum") and value <= lowest:
                causes.append(in_body(path, value, f"should be greater than {number(lowest)}"))
            elif value < lowest:
                causes.append(in_body(path, value, f"should be greater than or equal to {number(lowest)}"))
        if highest is not None:
            if schema.get("exclusiveMaximum") and value >= highest:
                causes.append(in_body(path, value, f"should be less than {number(highest)}"))
            elif value > highest:
                causes.append(in_body(path, value, f"should be less than or equal to {number(highest)}"))

    def _check_list(self, value: list[Any], path: str, old: Any, causes: list[Cause]) -> int:
        schema, made = self._schema, 0
        if self._items is not None:
            before = self._old_items(old)
            for index, item in enumerate(value):
                counterpart = before.get(key_of(item, self._map_keys), _NONE) if before else _NONE
                made += self._items._run(item, f"{path}[{index}]", counterpart, causes)
        fewest, most = schema.get("minItems"), schema.get("maxItems")
        if fewest is not None and len(value) < fewest:
            causes.append(in_body(path, len(value), f"should have at least {fewest} items"))
        elif most is not None and len(value) > most:
            causes.append(too_many(path, len(value), most))
        return made

    def _old_items(self, old: Any) -> dict[str, Any]:
        if not self._map_keys or not isinstance(old, list):
            return {}
        return {key_of(item, self._map_keys): item for item in old}

    def _check_enum(self, value: Any, path: str, causes: list[Cause]) -> int:
        if self._enum is None:
            return 0
        if not any(same(value, one) for one in self._enum):
            listed = ", ".join(show(one) for one in self._enum)
            causes.append({
                "reason": "FieldValueNotSupported", "field": path,
                "message": f"Unsupported value: {show(value)}: supported values: {listed}",
            })  # fmt: skip
        return 1

    def _check_object(self, value: dict[str, Any], path: str, old: Any, causes: list[Cause]) -> int:
        schema, made = self._schema, 0
        fewest, most = schema.get("minProperties"), schema.get("maxProperties")
        if fewest is not None and len(value) < fewest:
            causes.append(in_body(path, len(value), f"should have at least {fewest} properties"))
            return made
        if most is not None and len(value) > most:
            causes.append(too_many(path, len(value), most))
            return made
        before = old if isinstance(old, dict) else {}
        prefix = f"{path}." if path else ""
        for name in sorted(value):
            checker = self._properties.get(name) or self._additional
            if checker is not None:
                made += checker._run(value[name], prefix + name, before.get(name, _NONE), causes)
        for name in schema.get("required") or ():
            if name not in value:
                causes.append({
                    "reason": "FieldValueRequired", "field": prefix + name, "message": "Required value",
                })  # fmt: skip
        return made


def _best(
    branches: Iterable[Validator], value: Any, path: str, *, stop: bool = True
) -> tuple[int, list[Cause], int, int]:
    """(how many branches hold, the complaints of the one that came furthest, its score, checks made)."""
    valid, best, score, made = 0, [], -1, 0
    for branch in branches:
        found: list[Cause] = []
        count = branch._run(value, path, _NONE, found)
        made += count
        if not found:
            valid += 1
            if stop:
                break
        elif count > score:
            best, score = found, count
    return valid, best, score, made


# -- values --------------------------------------------------------------------------------------------------------------


def json_type(value: Any) -> tuple[str, str]:
    """The type of a value and the format that upstream's decoder gives it."""
    if isinstance(value, bool):
        return "boolean", ""
    if isinstance(value, int):
        return ("integer", "int64") if -(2**63) <= value < 2**63 else ("number", "float64")
    if isinstance(value, float):
        return "number", "float64"
    if isinstance(value, str):
        return "string", ""
    return ("array", "") if isinstance(value, list) else ("object", "")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: a truth value is no number."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def key_of(item: Any, keys: tuple[str, ...]) -> str:
    return to_json([item.get(key) for key in keys]) if isinstance(item, dict) else to_json(item)


def _known_format(name: str) -> str:
    plain_name = name.replace("-", "")
    return plain_name if plain_name in FORMATS else ""


def _out_of_range(value: float, kind: str, form: str) -> str:
    """How upstream names the type that the value does not fit; "" when it fits."""
    if kind == "integer":
        limit, low = (_UNSIGNED[form], 0) if form in _UNSIGNED else (_RANGES.get(form, 2**63), -_RANGES.get(form, 2**63))
        if not float(value).is_integer() or not low <= value < limit:
            return f"integer with format {form}" if form else "integer (default format)"
    elif kind == "number" and form == "float" and abs(value) > 3.4028234663852886e38:
        return "number with format float"
    return ""


def _whole(bound: float | None) -> int | None:
    return None if bound is None else int(bound)


def _is_multiple(value: float, factor: float) -> bool:
    if isinstance(value, int) and isinstance(factor, int):
        return value % factor == 0
    quotient = value / factor
    return math.isclose(quotient, round(quotient), rel_tol=0, abs_tol=1e-12)


def number(value: float) -> str:
    return go_float(value) if isinstance(value, float) else str(value)


# -- causes --------------------------------------------------------------------------------------------------------------


def plain(path: str, value: Any, text: str) -> Cause:
    return {"reason": "FieldValueInvalid", "field": path or "<nil>", "message": f"Invalid value: {show(value)}: {text}"}


def in_body(path: str, value: Any, text: str) -> Cause:
    return plain(path, value, f"{path} in body {text}")


def type_invalid(path: str, value: Any, text: str) -> Cause:
    message = f"Invalid value: {show(value)}: {path} in body {text}"
    return {"reason": "FieldValueTypeInvalid", "field": path or "<nil>", "message": message}


def type_error(path: str, wanted: str, found: str) -> Cause:
    return type_invalid(path, found, f'must be of type {wanted}: "{found}"')


def unnamed(text: str) -> Cause:
    """What is wrong with a value as a whole; upstream gives such complaints no field."""
    return {"reason": "FieldValueInvalid", "field": "<nil>", "message": f'Invalid value: "": {text}'}


def too_many(path: str, count: int, most: int) -> Cause:
    plural = "s" if most != 1 else ""
    return {
        "reason": "FieldValueTooMany", "field": path,
        "message": f"Too many: {count}: must have at most {most} item{plural}",
    }  # fmt: skip


