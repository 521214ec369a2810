"""Arithmetic on keys. Keys compare as UTF-8 bytes in every engine; Python's order of str is the same order."""

from __future__ import annotations


def prefix_end(prefix: str) -> str:
    """The first key that is after every key with ``prefix``; "" (no end) for the empty prefix."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else ""


def after(key: str) -> str:
    """The smallest key that is greater than ``key``."""
    return key + "\0"
