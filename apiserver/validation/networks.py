"""Addresses, ranges and port references: the checks of network kinds."""

from __future__ import annotations

import ipaddress
from typing import Any

from apiserver.validation.field import PORT_RANGE, Errors
from machinery.meta import names

IP_TEXT = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
CIDR_TEXT = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def is_ip(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def validate_ip(errors: Errors, path: str, value: str) -> None:
    if not is_ip(value):
        errors.invalid(path, value, IP_TEXT)


def validate_non_special_ip(errors: Errors, path: str, value: str, addresses: bool = True) -> None:
    """An address that packets can be sent to."""
    try:
        ip = ipaddress.ip_address(value)
    except ValueError:
        errors.invalid(path, value, "must be a valid IP address")
        return
    if ip.is_unspecified:
        errors.invalid(path, value, f"may not be unspecified ({value})")
    if ip.is_loopback:
        errors.invalid(path, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    if ip.is_link_local:
        errors.invalid(path, value, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    if ip.is_multicast and str(ip).startswith(("224.0.0.", "ff02:")):
        errors.invalid(path, value, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")


def validate_cidr(errors: Errors, path: str, value: str) -> bool:
    try:
        if "/" not in value:
            raise ValueError(value)
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        errors.invalid(path, value, CIDR_TEXT)
        return False
    return True


def validate_port_or_name(errors: Errors, path: str, port: Any) -> None:
    if isinstance(port, str):
        errors.invalid_all(path, port, names.port_name(port))
    elif not 1 <= (port or 0) <= 65535:
        errors.invalid(path, port or 0, PORT_RANGE)
