"""Defaults of custom resource definitions and API services."""

from __future__ import annotations

from typing import Any

from machinery.api.defaults.fill import fill, fill_zero, section

Object = dict[str, Any]


def default_definition(definition: Object) -> None:
    spec = section(definition, "spec")
    names = section(spec, "names")
    kind = names.get("kind") or ""
    fill_zero(names, "singular", kind.lower())
    if not names.get("listKind") and kind:
        names["listKind"] = f"{kind}List"
    conversion = section(spec, "conversion")
    fill_zero(conversion, "strategy", "None")
    service = ((conversion.get("webhook") or {}).get("clientConfig") or {}).get("service")
    if service is not None:
        fill(service, "port", 443)


def default_api_service(service: Object) -> None:
    reference = (service.get("spec") or {}).get("service")
    if reference is not None:
        fill(reference, "port", 443)


DEFAULTS = {
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"): default_definition,
    ("apiregistration.k8s.io/v1", "APIService"): default_api_service,
}
