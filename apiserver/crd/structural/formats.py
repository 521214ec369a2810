"""String formats that a schema may ask for. Formats that nobody knows are not checked."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from datetime import date
from urllib.parse import urlsplit

from machinery.meta import names

Check = Callable[[str], bool]


def _matches(pattern: str, flags: int = 0) -> Check:
    compiled = re.compile(pattern, flags)
    return lambda text: compiled.search(text) is not None


def _date(text: str) -> bool:
    try:
        return re.fullmatch(r"\d{4}-\d\d-\d\d", text) is not None and bool(date.fromisoformat(text))
    except ValueError:
        return False


_DATETIME = re.compile(r"(\d{4}-\d\d-\d\d)[tT](\d\d):(\d\d):(\d\d)(\.\d+)?([zZ]|[+-]\d\d:\d\d)")


def _datetime(text: str) -> bool:
    match = _DATETIME.fullmatch(text)
    if match is None:
        return False
    return _date(match[1]) and int(match[2]) < 24 and int(match[3]) < 60 and int(match[4]) < 60


_GO_DURATION = re.compile(r"[+-]?(?:0|(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h)(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))*)")
_WORDY_DURATION = re.compile(
    r"(\d+)\s*(ns|nano|nanosecond|nanoseconds|us|µs|micro|microsecond|microseconds|ms|milli|millisecond|milliseconds|s|"
    r"sec|second|seconds|m|min|minute|minutes|h|hr|hour|hours|d|day|days|w|wk|week|weeks)\b", re.IGNORECASE,
)  # fmt: skip


def _duration(text: str) -> bool:
    return _GO_DURATION.fullmatch(text) is not None or _WORDY_DURATION.search(text) is not None


def _address(version: int) -> Check:
    def check(text: str) -> bool:
        try:
            return ipaddress.ip_address(text).version == version
        except ValueError:
            return False

    return check


def _cidr(text: str) -> bool:
    try:
        return "/" in text and bool(ipaddress.ip_interface(text)) and text.rpartition("/")[2].isdigit()
    except ValueError:
        return False


def _uri(text: str) -> bool:
    """Absolute, or a path from the root: what a request line may hold."""
    if not text or any(ord(char) <= 0x20 or ord(char) == 0x7F for char in text):
        return False
    if text.startswith("/"):
        return True
    scheme, colon, _ = text.partition(":")
    if not colon or re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme) is None:
        return False
    try:
        urlsplit(text)
    except ValueError:
        return False
    return True


def _base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return bool(text)


def _uuid(version: str = "") -> Check:
    digit, variant = (version, "[89ab]") if version in ("4", "5") else (version or "[0-9a-f]", "[0-9a-f]")
    return _matches(
        rf"^[0-9a-f]{{8}}-?[0-9a-f]{{4}}-?{digit}[0-9a-f]{{3}}-?{variant}[0-9a-f]{{3}}-?[0-9a-f]{{12}}$", re.IGNORECASE
    )


def _luhn(text: str) -> bool:
    digits = [int(char) for char in re.sub(r"[^0-9]", "", text)]
    if re.fullmatch(
        r"(?:4\d{12}(?:\d{3})?|5[1-5]\d{14}|6(?:011|5\d\d)\d{12}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|(?:2131|1800|35\d{3})"
        r"\d{11})", "".join(map(str, digits)),
    ) is None:  # fmt: skip
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        total += digit if place % 2 == 0 else (digit * 2 - 9 if digit > 4 else digit * 2)
    return total % 10 == 0


def _isbn10(text: str) -> bool:
    plain = re.sub(r"[\s-]", "", text)
    if re.fullmatch(r"\d{9}[\dX]", plain) is None:
        return False
    return sum((10 if char == "X" else int(char)) * (place + 1) for place, char in enumerate(plain)) % 11 == 0


def _isbn13(text: str) -> bool:
    plain = re.sub(r"[\s-]", "", text)
    if re.fullmatch(r"\d{13}", plain) is None:
        return False
    return sum(int(char) * (3 if place % 2 else 1) for place, char in enumerate(plain)) % 10 == 0


_HOST = re.compile(
    r"[a-zA-Z0-9\u00a1-\U0010ffff](?:[a-zA-Z0-9\u00a1-\U0010ffff-]{0,61}[a-zA-Z0-9\u00a1-\U0010ffff])?"
    r"(?:\.[a-zA-Z0-9\u00a1-\U0010ffff](?:[a-zA-Z0-9\u00a1-\U0010ffff-]{0,61}[a-zA-Z0-9\u00a1-\U0010ffff])?)*\.?"
)


def _hostname(text: str) -> bool:
    return len(text) <= 255 and _HOST.fullmatch(text) is not None


def _email(text: str) -> bool:
    local, at, domain = text.rpartition("@")
    if local.startswith('"') and local.endswith('"') and len(local) > 2:
        local = "quoted"
    return bool(at and local and domain) and not re.search(r"[\s<>(),;:\\\"\[\]]", local) and _hostname(domain) and (
        not local.startswith(".") and not local.endswith(".") and ".." not in local
    )


def _anything(text: str) -> bool:
    return True


FORMATS: dict[str, Check] = {
    "datetime": _datetime, "date": _date, "duration": _duration, "ipv4": _address(4), "ipv6": _address(6),
    "cidr": _cidr, "uri": _uri, "byte": _base64, "uuid": _uuid(), "uuid3": _uuid("3"), "uuid4": _uuid("4"),
    "uuid5": _uuid("5"), "email": _email, "hostname": _hostname, "password": _anything,
    "mac": _matches(
        r"^(?:(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}"
        r"|(?:[0-9A-Fa-f]{2}[:-]){7}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{4}\.){3}[0-9A-Fa-f]{4})$"
    ),
    "hexcolor": _matches(r"^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"),
    "rgbcolor": _matches(
        r"^rgb\(\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,"
        r"\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*\)$"
    ),
    "isbn": lambda text: _isbn10(text) or _isbn13(text), "isbn10": _isbn10, "isbn13": _isbn13,
    "creditcard": _luhn, "ssn": _matches(r"^\d{3}[- ]?\d{2}[- ]?\d{4}$"),
    "bsonobjectid": _matches(r"^[0-9a-fA-F]{24}$"),
    "k8sshortname": lambda text: not names.dns1123_label(text),
    "k8slongname": lambda text: not names.dns1123_subdomain(text),
}  # fmt: skip

#: Formats whose name in complaints is not the normalised one.
NAMES_OF_FORMATS = {"datetime": "date-time", "k8sshortname": "k8s-short-name", "k8slongname": "k8s-long-name"}
