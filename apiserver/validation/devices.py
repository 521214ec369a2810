"""Dynamic resource allocation: device classes, claims and their templates, slices."""

from __future__ import annotations

from typing import Any

from apiserver.validation.field import IMMUTABLE, Errors, Object, size
from apiserver.validation.objectmeta import (
    SUBDOMAIN,
    validate_annotations,
    validate_metadata,
    validate_metadata_update,
)
from apiserver.validation.pods.scheduling import validate_node_selector
from apiserver.validation.rules import Rules
from machinery.meta import names

_GROUP = "resource.k8s.io"
_MODES = ("All", "ExactCount")
_NOT_A_REQUEST = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
_VALUES = ("int", "bool", "string", "version", "bools", "ints", "strings", "versions")


def _driver(errors: Errors, path: str, driver: str) -> None:
    if not driver:
        errors.required(path)
        return
    if size(driver) > 63:
        errors.too_long(path, 63)
    errors.invalid_all(path, driver, names.dns1123_subdomain(driver.lower()))


def _selectors(errors: Errors, path: str, selectors: list[Object]) -> None:
    if len(selectors) > 32:
        errors.too_many(path, len(selectors), 32)
    for i, selector in enumerate(selectors):
        if selector.get("cel") is None:
            errors.required(f"{path}[{i}].cel")


def _opaque(errors: Errors, path: str, config: Object) -> None:
    opaque = config.get("opaque")
    if opaque is None:
        errors.required(path + ".opaque")
        return
    _driver(errors, path + ".opaque.driver", opaque.get("driver") or "")
    parameters = opaque.get("parameters")
    if parameters is None:
        errors.required(path + ".opaque.parameters")
    elif not isinstance(parameters, dict):
        errors.invalid(path + ".opaque.parameters", "<value omitted>", "must be a valid JSON object")


def create_class(errors: Errors, entry: Object) -> None:
    validate_metadata(errors, entry, False, SUBDOMAIN)
    spec = entry.get("spec") or {}
    _selectors(errors, "spec.selectors", spec.get("selectors") or [])
    for i, config in enumerate(spec.get("config") or ()):
        _opaque(errors, f"spec.config[{i}]", config)


def update_class(errors: Errors, entry: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, entry, old)
    create_class(errors, entry)


def _claim_spec(errors: Errors, path: str, spec: Object) -> None:
    devices = spec.get("devices") or {}
    requests = devices.get("requests") or []
    known = _request_names(requests)
    if len(requests) > 32:
        errors.too_many(path + ".devices.requests", len(requests), 32)
    seen: set[str] = set()
    for i, request in enumerate(requests):
        where, name = f"{path}.devices.requests[{i}]", request.get("name") or ""
        _request(errors, where, request)
        if name in seen:
            errors.duplicate(where, name)
        seen.add(name)
    for i, constraint in enumerate(devices.get("constraints") or ()):
        _constraint(errors, f"{path}.devices.constraints[{i}]", constraint, known)
    for i, config in enumerate(devices.get("config") or ()):
        where = f"{path}.devices.config[{i}]"
        _references(errors, where, config.get("requests") or [], known)
        _opaque(errors, where, config)


def _request_names(requests: list[Object]) -> frozenset[str]:
    known: set[str] = set()
    for request in requests:
        name = request.get("name") or ""
        known.add(name)
        known.update(f"{name}/{sub.get('name')}" for sub in request.get("firstAvailable") or ())
    return frozenset(known)


def _request(errors: Errors, path: str, request: Object) -> None:
    errors.invalid_all(path + ".name", request.get("name") or "", names.dns1123_label(request.get("name") or ""))
    exact, first = request.get("exactly"), request.get("firstAvailable") or []
    if exact is None and not first:
        errors.required(path, "exactly one of `exactly` or `firstAvailable` is required")
    elif exact is not None and first:
        errors.invalid(
            path, None, "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set"
        )
    elif exact is not None:
        _exact(errors, path + ".exactly", exact)
    else:
        seen: set[str] = set()
        for i, sub in enumerate(first):
            where, name = f"{path}.firstAvailable[{i}]", sub.get("name") or ""
            errors.invalid_all(where + ".name", name, names.dns1123_label(name))
            if name in seen:
                errors.duplicate(where, name)
            seen.add(name)
            _exact(errors, where, sub)


def _exact(errors: Errors, path: str, exact: Object) -> None:
    name, mode, count = exact.get("deviceClassName") or "", exact.get("allocationMode") or "", exact.get("count") or 0
    if not name:
        errors.required(path + ".deviceClassName")
    else:
        errors.invalid_all(path + ".deviceClassName", name, names.dns1123_subdomain(name))
    _selectors(errors, path + ".selectors", exact.get("selectors") or [])
    if mode == "All":
        if count:
            errors.invalid(path + ".count", count, "must not be specified when allocationMode is 'All'")
    elif mode == "ExactCount":
        if count <= 0:
            errors.invalid(path + ".count", count, "must be greater than zero")
    else:
        errors.not_supported(path + ".allocationMode", mode, _MODES)


def _references(errors: Errors, path: str, requests: list[str], known: frozenset[str]) -> None:
    seen: set[str] = set()
    if len(requests) > 32:
        errors.too_many(path + ".requests", len(requests), 32)
    for i, name in enumerate(requests):
        where = f"{path}.requests[{i}]"
        for part in name.split("/")[:2]:
            errors.invalid_all(where, part, names.dns1123_label(part))
        if name not in known:
            errors.invalid(where, name, _NOT_A_REQUEST)
        if name in seen:
            errors.duplicate(where, name)
        seen.add(name)


def _constraint(errors: Errors, path: str, constraint: Object, known: frozenset[str]) -> None:
    _references(errors, path, constraint.get("requests") or [], known)
    match, distinct = constraint.get("matchAttribute"), constraint.get("distinctAttribute")
    if match is not None:
        _qualified(errors, path + ".matchAttribute", match)
    elif distinct is not None:
        _qualified(errors, path + ".distinctAttribute", distinct)
    else:
        errors.required(
            path, 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'
        )


def _qualified(errors: Errors, path: str, name: str) -> None:
    """A fully qualified attribute: domain and C identifier."""
    if not name:
        errors.required(path, "name required")
        return
    domain, slash, identifier = name.partition("/")
    if not slash:
        domain, identifier = "", name
    elif not domain:
        errors.required(path, "the domain must not be empty")
    else:
        errors.invalid_all(path, domain, names.dns1123_subdomain(domain.lower()))
    errors.invalid_all(path, identifier, names.c_identifier(identifier))
    if len(identifier) > 32:
        errors.too_long(path, 32)
    if not slash:
        errors.invalid(path, name, "a fully qualified name must be a domain and a name separated by a slash")


def create_claim(errors: Errors, claim: Object) -> None:
    validate_metadata(errors, claim, True, SUBDOMAIN)
    _claim_spec(errors, "spec", claim.get("spec") or {})


def update_claim(errors: Errors, claim: Object, old: Object, subresource: str) -> None:
    if subresource == "":
        validate_metadata(errors, claim, True, SUBDOMAIN)
    validate_metadata_update(errors, claim, old)
    # What never changes was checked when it came; a change is refused whatever it is.
    if subresource == "" and (claim.get("spec") or {}) != (old.get("spec") or {}):
        errors.invalid("spec", _shown_claim(claim.get("spec") or {}), IMMUTABLE)


def _shown_claim(spec: Object) -> Any:
    devices = spec.get("devices") or {}
    requests, constraints, config = devices.get("requests"), devices.get("constraints"), devices.get("config")
    return {"Devices": {
        "Requests": None if requests is None else [_shown_request(request) for request in requests],
        "Constraints": None if constraints is None else [{
            "Requests": c.get("requests"), "MatchAttribute": c.get("matchAttribute"),
            "DistinctAttribute": c.get("distinctAttribute")} for c in constraints],
        "Config": config}}


def _shown_request(request: Object) -> Any:
    exact = request.get("exactly")
    selectors = None if exact is None else exact.get("selectors")
    return {
        "Name": request.get("name") or "",
        "Exactly": None if exact is None else {
            "DeviceClassName": exact.get("deviceClassName") or "",
            "Selectors": None if selectors is None else [
                {"CEL": None if s.get(
                    "cel"
                ) is None else {"Expression": s["cel"].get("expression") or ""}} for s in selectors],
            "AllocationMode": exact.get("allocationMode") or "", "Count": exact.get("count") or 0,
            "AdminAccess": exact.get("adminAccess"), "Tolerations": exact.get("tolerations"),
            "Capacity": exact.get("capacity")},
        "FirstAvailable": request.get("firstAvailable")}


def create_template(errors: Errors, template: Object) -> None:
    validate_metadata(errors, template, True, SUBDOMAIN)
    spec = template.get("spec") or {}
    meta = spec.get("metadata") or {}
    errors.label_values("spec.metadata.labels", meta.get("labels"))
    if meta.get("annotations"):
        validate_annotations(errors, "spec.metadata.annotations", meta["annotations"])
    _claim_spec(errors, "spec.spec", spec.get("spec") or {})


def update_template(errors: Errors, template: Object, old: Object, subresource: str) -> None:
    create_template(errors, template)
    validate_metadata_update(errors, template, old)
    spec = template.get("spec") or {}
    if spec != (old.get("spec") or {}):
        shown = {key: value for key, value in (spec.get("metadata") or {}).items() if value}
        errors.invalid("spec", {**shown, "Spec": _shown_claim(spec.get("spec") or {})}, IMMUTABLE)


def create_slice(errors: Errors, piece: Object) -> None:
    validate_metadata(errors, piece, False, SUBDOMAIN)
    _slice_spec(errors, piece.get("spec") or {}, None)


def _slice_spec(errors: Errors, spec: Object, before: Object | None) -> None:
    _driver(errors, "spec.driver", spec.get("driver") or "")
    pool = spec.get("pool") or {}
    moved = before is not None and pool.get("name") != (before.get("pool") or {}).get("name")
    _pool(errors, pool, moved)
    if before is not None:
        for field, path in (("driver", "spec.driver"), ("nodeName", "spec.nodeName")):
            if spec.get(field) != before.get(field):
                errors.invalid(path, spec.get(field), IMMUTABLE)
    _where(errors, spec)
    devices = spec.get("devices") or []
    if len(devices) > 128:
        errors.too_many("spec.devices", len(devices), 128)
    seen: set[str] = set()
    for i, device in enumerate(devices):
        where, name = f"spec.devices[{i}]", device.get("name") or ""
        errors.invalid_all(where + ".name", name, names.dns1123_label(name))
        _attributes(errors, where, device)
        if name in seen:
            errors.duplicate(where, name)
        seen.add(name)


def _pool(errors: Errors, pool: Object, moved: bool) -> None:
    name, count = pool.get("name") or "", pool.get("resourceSliceCount") or 0
    if not name:
        errors.required("spec.pool.name")
    else:
        if size(name) > 253:
            errors.too_long("spec.pool.name", 253)
        for part in name.split("/"):
            errors.invalid_all("spec.pool.name", part, names.dns1123_subdomain(part))
    if moved:
        errors.invalid("spec.pool.name", name, IMMUTABLE)
    if count <= 0:
        errors.invalid("spec.pool.resourceSliceCount", count, "must be greater than zero")
    if (pool.get("generation") or 0) < 0:
        errors.invalid("spec.pool.generation", pool["generation"], "must be greater than or equal to zero")


def _where(errors: Errors, spec: Object) -> None:
    """Exactly one way of saying which nodes reach the devices."""
    set_fields = []
    if spec.get("nodeName") is not None:
        if not spec["nodeName"]:
            errors.invalid("spec.nodeName", "", "must be either unset or set to a non-empty string")
        else:
            set_fields.append("`nodeName`")
            errors.invalid_all("spec.nodeName", spec["nodeName"], names.dns1123_subdomain(spec["nodeName"]))
    if spec.get("nodeSelector") is not None:
        set_fields.append("`nodeSelector`")
        validate_node_selector(errors, "spec.nodeSelector", spec["nodeSelector"])
    for field in ("allNodes", "perDeviceNodeSelection"):
        value = spec.get(field)
        if value:
            set_fields.append(f"`{field}`")
        elif value is False:
            errors.invalid(f"spec.{field}", False, "must be either unset or set to true")
    one_of = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
    if not set_fields:
        errors.required("spec", one_of)
    elif len(set_fields) > 1:
        listed = "{" + ", ".join(set_fields) + "}"
        errors.invalid("spec", listed, one_of + ", but multiple fields are set")


def _attributes(errors: Errors, path: str, device: Object) -> None:
    for name, attribute in sorted((device.get("attributes") or {}).items()):
        where = f"{path}.attributes[{name}]"
        _attribute_name(errors, where, name)
        present = [field for field in _VALUES if (attribute or {}).get(field) is not None]
        if len(present) != 1:
            errors.invalid(where, "", "exactly one value must be specified")
        elif present[0] in ("string", "version") and size(attribute[present[0]]) > 64:
            errors.too_long(f"{where}.{present[0]}", 64)
    for name in sorted(device.get("capacity") or {}):
        _attribute_name(errors, f"{path}.capacity[{name}]", name)


def _attribute_name(errors: Errors, path: str, name: str) -> None:
    domain, slash, identifier = name.rpartition("/")
    if slash:
        errors.invalid_all(path, domain, names.dns1123_subdomain(domain))
    if len(identifier) > 32:
        errors.too_long(path, 32)
    errors.invalid_all(path, identifier, names.c_identifier(identifier))


def update_slice(errors: Errors, piece: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, piece, old)
    _slice_spec(errors, piece.get("spec") or {}, old.get("spec") or {})




RULES = {
    (_GROUP, "DeviceClass"): Rules(create_class, update_class),
    (_GROUP, "ResourceClaim"): Rules(create_claim, update_claim),
    (_GROUP, "ResourceClaimTemplate"): Rules(create_template, update_template),
    (_GROUP, "ResourceSlice"): Rules(create_slice, update_slice),
}
