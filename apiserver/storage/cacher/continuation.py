"""The continue token of a paged list: which snapshot, and the key to go on from.

It travels through clients, so it is checked as foreign input, and its complaints are what clients see.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson

VERSION = "meta.k8s.io/v1"


class BadContinue(ValueError):
    """The message is the client's."""


def encode_continue(prefix: str, next_key: str, revision: int) -> str:
    """``next_key`` as CachedList gives it."""
    token = {"v": VERSION, "rv": revision, "start": next_key.removeprefix(prefix)}
    return base64.urlsafe_b64encode(orjson.dumps(token)).rstrip(b"=").decode()


def decode_continue(prefix: str, token: str) -> tuple[str, int]:
    """The start key and the revision (-1: the newest; such a list is not of one snapshot)."""
    fields = _decode(token)
    if (said := fields.get("v")) != VERSION:
        raise BadContinue(f"continue key is not valid: server does not recognize this encoded version {said}")
    revision, start = fields.get("rv", 0), fields.get("start", "")
    if type(revision) is not int or not isinstance(start, str):
        raise BadContinue("continue key is not valid: json: cannot unmarshal into a continue token")
    if not revision:
        raise BadContinue(f"continue key is not valid: incorrect encoded start resourceVersion (version {VERSION})")
    if not start:
        raise BadContinue(f"continue key is not valid: encoded start key empty (version {VERSION})")
    if start.startswith("/") or ".." in start.removesuffix("\0").split("/"):
        # a key must not lead out of the resource it is asked under
        shown = start.removesuffix("\0")
        raise BadContinue(f"continue key is not valid: {shown}")
    return prefix + start, revision


def _decode(token: str) -> dict[str, Any]:
    for index, character in enumerate(token):
        if not (character.isascii() and (character.isalnum() or character in "-_")):
            raise BadContinue(f"continue key is not valid: illegal base64 data at input byte {index}")
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except binascii.Error:
        raise BadContinue(f"continue key is not valid: illegal base64 data at input byte {len(token) - 1}") from None
    try:
        fields = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        first = raw.strip()[:1].decode("utf-8", "replace")
        said = "unexpected end of JSON input"
        if first:
            said = f"invalid character '{first}' looking for beginning of value"
        raise BadContinue(f"continue key is not valid: {said}") from error
    if not isinstance(fields, dict):
        raise BadContinue("continue key is not valid: json: cannot unmarshal into a continue token")
    return fields
