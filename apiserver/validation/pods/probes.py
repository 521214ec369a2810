"""Probes and lifecycle hooks: exactly one handler, and numbers that make sense."""

from __future__ import annotations

from typing import Any

from apiserver.validation.field import PORT_RANGE, Errors, Object
from machinery.meta import names

_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_MORE_THAN_ONE = "may not specify more than 1 handler type"


def validate_port_reference(errors: Errors, path: str, port: Any) -> None:
    """A number or the name of a port."""
    if isinstance(port, str):
        errors.invalid_all(path, port, names.port_name(port))
    elif not 1 <= (port or 0) <= 65535:
        errors.invalid(path, port or 0, PORT_RANGE)


def validate_handler(errors: Errors, path: str, handler: Object, grace_seconds: int, hook: bool = False) -> None:
    present = [key for key in _HANDLERS if handler.get(key) is not None and (hook or key != "sleep")]
    for key in present[1:]:
        errors.forbidden(f"{path}.{key}", _MORE_THAN_ONE)
    if present:
        key = present[0]
        where, body = f"{path}.{key}", handler[key]
        if key == "exec" and not body.get("command"):
            errors.required(where + ".command")
        elif key == "httpGet":
            _http(errors, where, body)
        elif key == "tcpSocket" or key == "grpc":
            validate_port_reference(errors, where + ".port", body.get("port"))
        elif key == "sleep":
            seconds = body.get("seconds") or 0
            if seconds < 0 or seconds > grace_seconds:
                errors.invalid(where, seconds,
                               f"must be non-negative and less than terminationGracePeriodSeconds ({grace_seconds})")
    else:
        errors.required(path, "must specify a handler type")


def _http(errors: Errors, path: str, body: Object) -> None:
    if not body.get("path"):
        errors.required(path + ".path")
    validate_port_reference(errors, path + ".port", body.get("port"))
    if (body.get("scheme") or "") not in ("HTTP", "HTTPS"):
        errors.not_supported(path + ".scheme", body.get("scheme") or "", ("HTTP", "HTTPS"))
    for header in body.get("httpHeaders") or ():
        name = header.get("name") or ""
        errors.invalid_all(path + ".httpHeaders", name, names.http_header_name(name))


def validate_probe(errors: Errors, path: str, probe: Object | None, kind: str) -> None:
    if probe is None:
        return
    validate_handler(errors, path, probe, 0)
    for name in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        errors.not_negative(f"{path}.{name}", probe.get(name))
    grace = probe.get("terminationGracePeriodSeconds")
    if kind == "readinessProbe":
        if grace is not None:
            errors.invalid(path + ".terminationGracePeriodSeconds", grace, "must not be set for readinessProbes")
        return
    if grace is not None and grace <= 0:
        errors.invalid(path + ".terminationGracePeriodSeconds", grace, "must be greater than 0")
    threshold = probe.get("successThreshold") or 0
    if threshold != 1:
        errors.invalid(path + ".successThreshold", threshold, "must be 1")


def validate_lifecycle(errors: Errors, path: str, lifecycle: Object | None, grace_seconds: int) -> None:
    for hook in ("postStart", "preStop"):
        handler = (lifecycle or {}).get(hook)
        if handler is not None:
            validate_handler(errors, f"{path}.{hook}", handler, grace_seconds, hook=True)
