"""Tables keyed by struct and field name only what the schemas have: a typo or a renamed field fails here."""

from __future__ import annotations

import pytest

from machinery.api import enums, gotypes, shape
from machinery.api.schema import SchemaNode, schema_for, walk
from machinery.api.table import KINDS


@pytest.fixture(scope="module")
def fields() -> dict[str, set[str]]:
    """struct -> its fields, over all kinds; structs of one name in several groups are merged."""
    found: dict[str, set[str]] = {}

    def visit(_path: tuple[str, ...], node: SchemaNode) -> None:
        if node.properties is not None:
            found.setdefault(node.name, set()).update(node.properties)

    for kind in KINDS:
        walk(schema_for(kind), visit)
    found["SlicePort"] = found["EndpointPort"]
    return found


#: Types of requests that are no resource of their own.
_REQUESTS = {"Preconditions", "StatusDetails", "Rule"}

NAMED = {
    "gotypes": set(gotypes._NAMED) | gotypes._QUALIFIED_KEYS,
    "enums": set(enums._EXTRA) | enums._PLAIN,
    "plain": shape._PLAIN_BOOLS | shape._PLAIN_INTS,
    "pointers": shape._POINTER_STRINGS | shape._POINTER_STRUCTS,
    "always": shape._ALWAYS_STRUCTS | shape._ALWAYS_INSTANTS | shape._ALWAYS_LISTS | set(shape._ALWAYS_SCALARS),
}


@pytest.mark.parametrize("table", sorted(NAMED))
def test_named_fields_exist(table: str, fields: dict[str, set[str]]) -> None:
    missing = []
    for name in sorted(NAMED[table]):
        struct, _, field = name.partition(".")
        if struct not in _REQUESTS and field not in fields.get(struct, set()):
            missing.append(name)
    assert missing == []


def test_embedded_structs_exist(fields: dict[str, set[str]]) -> None:
    for struct, (_names, direct) in gotypes._EMBEDDED_EXCEPT.items():
        assert direct <= fields[struct], struct


def test_every_enumeration_belongs_to_a_type_that_fields_have() -> None:
    used = set(gotypes._NAMED.values()) | set(enums._EXTRA.values())
    assert set(enums._ENUMS) <= used
