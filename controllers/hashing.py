"""Short stable hashes of templates: ``pod-template-hash``, ``controller-revision-hash``.

The hash is FNV over canonical JSON, written in the alphabet of generated names, so that it is a valid label value and
name suffix. It must only be stable and differ between templates; no one may rely on its value.
"""

from __future__ import annotations

import json
from typing import Any

from machinery.meta.objects import SAFE_ALPHABET

Object = dict[str, Any]


def prune(value: Any) -> Any:
    """Without nulls and empty maps and lists: what two servers may or may not write for "nothing"."""
    if isinstance(value, dict):
        pruned = {key: prune(item) for key, item in value.items()}
        return {key: item for key, item in pruned.items() if item is not None and item != {} and item != []}
    if isinstance(value, list):
        return [prune(item) for item in value]
    return value


def semantically_equal(left: Any, right: Any) -> bool:
    return bool(prune(left) == prune(right))


def canonical_json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def fnv32(data: bytes) -> int:
    value = 0x811C9DC5
    for byte in data:
        value = (value * 0x01000193) & 0xFFFFFFFF
        value ^= byte
    return value


def safe_encode(text: str) -> str:
    return "".join(SAFE_ALPHABET[ord(char) % len(SAFE_ALPHABET)] for char in text)


def hash_bytes(data: bytes, collision_count: int | None = None) -> str:
    if collision_count is not None:
        data += str(collision_count).encode()
    return safe_encode(str(fnv32(data)))


def template_hash(template: Object, collision_count: int | None = None) -> str:
    return hash_bytes(canonical_json(prune(template)), collision_count)
