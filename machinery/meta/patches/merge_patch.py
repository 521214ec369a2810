"""JSON merge patch (RFC 7396): maps merge, null deletes, everything else replaces."""

from __future__ import annotations

from typing import Any

import orjson

from machinery.meta.errors import bad_request
from machinery.meta.go_format import go_type
from machinery.meta.patches.json_patch import json_complaint


def parse_merge_patch(body: bytes, prefix: str = "error decoding patch: ") -> dict[str, Any]:
    """Decode a request body; strategic merge patches are refused in the same words without the prefix."""
    try:
        patch = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(prefix + json_complaint(body, error)) from None
    if patch is None and prefix:
        raise bad_request("Invalid JSON Patch")
    if patch is not None and not isinstance(patch, dict):
        raise bad_request(
            f"{prefix}json: cannot unmarshal {go_type(patch)} into Go value of type map[string]interface {{}}")
    return patch or {}


def apply_merge_patch(document: Any, patch: Any) -> Any:
    """A new document; parts that the patch does not touch are shared with the old one."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = apply_merge_patch(merged.get(key), value)
        else:
            merged[key] = value
    return merged
