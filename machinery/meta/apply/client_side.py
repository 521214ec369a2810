"""The way from kubectl's client-side apply to server-side apply.

Client-side apply left an annotation with what it last applied. When kubectl comes back with a server-side apply,
the fields in it whose values are still the applied ones are its own: no conflict. The annotation is then kept up to
date, so that going back works.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from machinery.meta.apply.compare import compare, field_set
from machinery.meta.apply.fieldset import FieldSet, difference
from machinery.meta.apply.shape import Shape

KUBECTL: Final = "kubectl"
ANNOTATION: Final = "kubectl.kubernetes.io/last-applied-configuration"


def adopted_fields(live: dict[str, Any], shape: Shape) -> FieldSet:
    """The fields that the annotation makes kubectl's own."""
    text = ((live.get("metadata") or {}).get("annotations") or {}).get(ANNOTATION)
    if not text:
        return {}
    try:
        applied = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(applied, dict):
        return {}
    found = compare(applied, live, shape)
    fields = field_set(shape, applied)
    return difference(difference(difference(fields, found.modified), found.added), found.removed)


def refresh_annotation(obj: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """The object with the annotation rewritten to `config`, if it has one."""
    metadata = obj.get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    if not annotations.get(ANNOTATION):
        return obj
    own = {key: value for key, value in (config.get("metadata") or {}).items() if key != "managedFields"}
    if "annotations" in own:
        own["annotations"] = {k: v for k, v in (own["annotations"] or {}).items() if k != ANNOTATION}
    text = orjson.dumps({**config, "metadata": own}, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    return {**obj, "metadata": {**metadata, "annotations": {**annotations, ANNOTATION: text}}}
