"""APIServices."""

from __future__ import annotations

from apiserver.validation.field import Errors, Object
from apiserver.validation.objectmeta import validate_metadata, validate_metadata_update
from apiserver.validation.rules import Rules
from machinery.meta import names


def create_service(errors: Errors, service: Object) -> None:
    spec = service.get("spec") or {}
    group, version = spec.get("group") or "", spec.get("version") or ""
    wanted = f"{version}.{group}"

    def rule(name: str, prefix: bool) -> list[str]:
        if not prefix and not names.path_segment(name) and name != wanted:
            return [f'must be `spec.version+"."+spec.group`: "{wanted}"']
        return names.path_segment(name)

    validate_metadata(errors, service, False, rule, core=False)
    if group:
        errors.invalid_all("spec.group", group, names.dns1123_subdomain(group))
    elif version != "v1":
        errors.required("spec.group", "only v1 may have an empty group and it better be legacy kube")
    errors.invalid_all("spec.version", version, names.dns1035_label(version))
    high, low = spec.get("groupPriorityMinimum") or 0, spec.get("versionPriority") or 0
    if not 0 < high <= 20000:
        errors.invalid("spec.groupPriorityMinimum", high, "must be positive and less than 20000")
    if not 0 < low <= 1000:
        errors.invalid("spec.versionPriority", low, "must be positive and less than 1000")
    backend = spec.get("service")
    if backend is None:
        if spec.get("caBundle"):
            errors.invalid("spec.caBundle", "0 bytes", "local APIServices may not have a caBundle")
        if spec.get("insecureSkipTLSVerify"):
            errors.invalid("spec.insecureSkipTLSVerify", True, "local APIServices may not have insecureSkipTLSVerify")
    else:
        for field in ("namespace", "name"):
            if not backend.get(field):
                errors.required(f"spec.service.{field}")
        port = backend.get("port")
        if port is not None and not 1 <= port <= 65535:
            errors.invalid("spec.service.port", port, "port is not valid: must be between 1 and 65535, inclusive")
        if spec.get("insecureSkipTLSVerify") and spec.get("caBundle"):
            errors.invalid("spec.insecureSkipTLSVerify", True, "may not be true if caBundle is present")


def update_service(errors: Errors, service: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, service, old, core=False)
    if subresource != "status":
        create_service(errors, service)


RULES = {("apiregistration.k8s.io", "APIService"): Rules(create_service, update_service)}
