"""Bootstrap tokens: when one has expired. Pure."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any

from machinery.meta.objects import parse_time

Object = dict[str, Any]

TOKEN_TYPE = "bootstrap.kubernetes.io/token"


def remaining_seconds(secret: Object, now: datetime) -> float | None:
    """Zero or less: expired (an unreadable expiration counts as expired); None: it never expires."""
    if secret.get("type") != TOKEN_TYPE:
        return None
    encoded = (secret.get("data") or {}).get("expiration")
    if not encoded:
        return None
    try:
        text = base64.b64decode(encoded, validate=True).decode()
        return (parse_time(text) - now).total_seconds() if text else None
    except (binascii.Error, ValueError):
        return 0.0
