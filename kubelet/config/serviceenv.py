"""The variables by which a container finds services without DNS."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Service = dict[str, Any]


def service_variables(services: Iterable[Service], namespace: str, *, links: bool) -> dict[str, str]:
    """Of every service of the namespace if ``links``; of the API server's own service in any case."""
    variables: dict[str, str] = {}
    chosen: dict[str, Service] = {}
    for service in services:
        name, where = service["metadata"]["name"], service["metadata"].get("namespace")
        if where == "default" and name == "kubernetes":
            chosen.setdefault(name, service)
        elif links and where == namespace:
            chosen[name] = service
    for name in sorted(chosen):
        variables |= _of_service(chosen[name])
    return variables


def _of_service(service: Service) -> dict[str, str]:
    spec = service.get("spec") or {}
    address, ports = spec.get("clusterIP") or "", spec.get("ports") or ()
    if not address or address == "None" or not ports:
        return {}
    prefix = service["metadata"]["name"].upper().replace("-", "_")
    host = f"[{address}]" if ":" in address else address
    variables = {f"{prefix}_SERVICE_HOST": address, f"{prefix}_SERVICE_PORT": str(ports[0]["port"])}
    for index, port in enumerate(ports):
        number, protocol = port["port"], (port.get("protocol") or "TCP")
        url = f"{protocol.lower()}://{host}:{number}"
        if port.get("name"):
            variables[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(number)
        if index == 0:
            variables[f"{prefix}_PORT"] = url
        link = f"{prefix}_PORT_{number}_{protocol.upper()}"
        variables |= {link: url, f"{link}_PROTO": protocol.lower(), f"{link}_PORT": str(number),
                      f"{link}_ADDR": address}  # fmt: skip
    return variables
