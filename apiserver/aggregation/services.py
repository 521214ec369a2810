"""From a service to an address that this server can reach.

The API server's machine need not have a service proxy, so a ready endpoint is taken itself; a service without any is an
answer, too. Only ExternalName is left to the resolver of names.
"""

from __future__ import annotations

import random
from typing import Any

from apiserver.registry.interface import ObjectReader

Object = dict[str, Any]


class ServiceError(Exception):
    """There is no way to the service; the message is what clients read."""


def resolve_service(
    reader: ObjectReader, namespace: str, name: str, port: int, rng: random.Random | None = None
) -> tuple[str, int]:
    """(address, port) of one ready endpoint of ``port``, which is a port of the service."""
    service = reader.get("", "services", namespace, name)
    if service is None:
        raise ServiceError(f'service "{name}" not found')
    spec = service.get("spec") or {}
    if spec.get("type") == "ExternalName":
        return str(spec["externalName"]), port
    wanted = next((each for each in spec.get("ports") or () if each.get("port") == port), None)
    if wanted is None:
        raise ServiceError(f'no service port {port} found for service "{name}"')
    found = _ready(reader, namespace, name, wanted.get("name") or "")
    if not found:
        raise ServiceError(f'no endpoints available for service "{name}"')
    return (rng or random).choice(found)


def _ready(reader: ObjectReader, namespace: str, name: str, port_name: str) -> list[tuple[str, int]]:
    found = []
    for each in reader.list("discovery.k8s.io", "endpointslices", namespace):
        if (each["metadata"].get("labels") or {}).get("kubernetes.io/service-name") != name:
            continue
        numbers = [port["port"] for port in each.get("ports") or () if (port.get("name") or "") == port_name]
        for endpoint in each.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is not False:
                found += [(address, number) for address in endpoint["addresses"] for number in numbers]
    if found:
        return found
    endpoints = reader.get("", "endpoints", namespace, name) or {}  # written by hand, and nobody has mirrored them
    return [
        (address["ip"], port["port"])
        for subset in endpoints.get("subsets") or ()
        for port in subset.get("ports") or () if (port.get("name") or "") == port_name
        for address in subset.get("addresses") or ()
    ]  # fmt: skip
