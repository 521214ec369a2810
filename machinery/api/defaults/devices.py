"""Defaults of resource.k8s.io: requests for devices."""

from __future__ import annotations

from typing import Any

from machinery.api.defaults.fill import fill_zero, items, section

Object = dict[str, Any]


def default_claim(claim: Object) -> None:
    _default_claim_spec(section(claim, "spec"))


def default_claim_template(template: Object) -> None:
    _default_claim_spec(section(section(template, "spec"), "spec"))


def _default_claim_spec(spec: Object) -> None:
    for request in items(section(spec, "devices"), "requests"):
        if request.get("exactly") is not None:
            _default_request(request["exactly"])
        for alternative in items(request, "firstAvailable"):
            _default_request(alternative)


def _default_request(request: Object) -> None:
    fill_zero(request, "allocationMode", "ExactCount")
    if request["allocationMode"] == "ExactCount":
        fill_zero(request, "count", 1)
    for toleration in items(request, "tolerations"):
        fill_zero(toleration, "operator", "Equal")


DEFAULTS = {
    ("resource.k8s.io/v1", "ResourceClaim"): default_claim,
    ("resource.k8s.io/v1", "ResourceClaimTemplate"): default_claim_template,
}
