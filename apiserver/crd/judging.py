"""What is wrong with the schemas of a definition beyond their structure: defaults and rules.

Asked only when the structure is sound, and on update only of schemas that changed: what was accepted once stays.
"""

from __future__ import annotations

from collections.abc import Callable

from apiserver.crd.defaulting import default_causes, places_of_schemas, unrecognized_formats
from apiserver.crd.structural.shape import has_rules
from apiserver.crd.structural.validate import Cause
from apiserver.validation.field import Errors, Object
from apiserver.validation.structural import validate_structural


def definition_causes(definition: Object, old: Object | None, warn: Callable[[str], None]) -> list[Cause]:
    known = [schema for _, schema in places_of_schemas(old)] if old is not None else []
    causes: list[Cause] = []
    for path, schema in places_of_schemas(definition):
        for text in unrecognized_formats(schema) if old is None else ():
            warn(text)
        if schema in known:
            continue
        errors = Errors()
        validate_structural(errors, path, schema)
        if errors:
            continue
        found = default_causes(path, schema)
        if not found and has_rules(schema):
            from apiserver.crd.rule_checks import rule_causes

            found = rule_causes(path, schema)
        causes += found
    return causes
