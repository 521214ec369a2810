"""CustomResourceDefinitions and APIServices."""

from __future__ import annotations

from apiserver.validation.admission import validate_client_config
from apiserver.validation.field import IMMUTABLE, Errors, Object
from apiserver.validation.objectmeta import validate_metadata, validate_metadata_update
from apiserver.validation.rules import Rules
from machinery.meta import names

_MIXED = "may have mixed case, but should otherwise match: "


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


def create_definition(errors: Errors, definition: Object) -> None:
    spec = definition.get("spec") or {}
    plural = (spec.get("names") or {}).get("plural") or ""
    wanted = f"{plural}.{spec.get('group') or ''}"

    def rule(name: str, prefix: bool) -> list[str]:
        return [] if name == wanted else ['must be spec.names.plural+"."+spec.group']

    validate_metadata(errors, definition, False, rule, core=False)
    _definition_spec(errors, spec)


def _definition_spec(errors: Errors, spec: Object) -> None:
    group, scope = spec.get("group") or "", spec.get("scope") or ""
    if not group:
        errors.required("spec.group")
    else:
        complaints = names.dns1123_subdomain(group)
        if complaints:
            errors.invalid("spec.group", group, ",".join(complaints))
        elif "." not in group:
            errors.invalid("spec.group", group, "should be a domain with at least one dot")
    if not scope:
        errors.required("spec.scope")
    elif scope not in ("Cluster", "Namespaced"):
        errors.not_supported("spec.scope", scope, ("Cluster", "Namespaced"))
    versions = spec.get("versions") or []
    _versions(errors, spec.get("versions"))
    _names(errors, "spec.names", spec.get("names") or {})
    _conversion(errors, spec.get("conversion"))
    columns = [version.get("additionalPrinterColumns") or [] for version in versions]
    if columns and all(one == columns[0] for one in columns):
        # What all versions share is one thing to upstream, and so is a mistake in it.
        _columns(errors, "spec.additionalPrinterColumns", columns[0])
        columns = []
    for i, one in enumerate(columns):
        _columns(errors, f"spec.versions[{i}].additionalPrinterColumns", one)
    for i, version in enumerate(versions):
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if schema is None and spec.get("preserveUnknownFields") is not True:
            errors.required(f"spec.versions[{i}].schema.openAPIV3Schema")


def _versions(errors: Errors, given: list[Object] | None) -> None:
    versions = given or []
    seen: set[str] = set()
    stored = 0
    unique = True
    for i, version in enumerate(versions):
        name = version.get("name") or ""
        stored += bool(version.get("storage"))
        if name in seen:
            unique = False
        seen.add(name)
        complaints = names.dns1035_label(name)
        if complaints:
            errors.invalid(f"spec.versions[{i}].name", name, ",".join(complaints))
    if not unique:
        errors.invalid("spec.versions", [v.get("name") for v in versions], "must contain unique version names")
    if stored != 1:
        errors.invalid("spec.versions", [v.get("name") for v in versions] if versions else given,
                       "must have exactly one version marked as storage version")


def _names(errors: Errors, path: str, given: Object) -> None:
    plural, singular = given.get("plural") or "", given.get("singular") or ""
    kind, list_kind = given.get("kind") or "", given.get("listKind") or ""
    for field, value, lower in (("plural", plural, False), ("singular", singular, False), ("kind", kind, True),
                                ("listKind", list_kind, True)):
        if not value:
            errors.required(f"{path}.{field}")
            continue
        complaints = names.dns1035_label(value.lower() if lower else value)
        if complaints:
            errors.invalid(f"{path}.{field}", value, (_MIXED if lower else "") + ",".join(complaints))
    for field in ("shortNames", "categories"):
        for i, name in enumerate(given.get(field) or ()):
            complaints = names.dns1035_label(name)
            if complaints:
                errors.invalid(f"{path}.{field}[{i}]", name, ",".join(complaints))
    if kind and kind == list_kind:
        errors.invalid(path + ".listKind", list_kind, "kind and listKind may not be the same")


def _conversion(errors: Errors, conversion: Object | None) -> None:
    if conversion is None:
        return
    strategy, webhook = conversion.get("strategy") or "", conversion.get("webhook")
    if not strategy:
        errors.required("spec.conversion.strategy")
    elif strategy not in ("None", "Webhook"):
        errors.not_supported("spec.conversion.strategy", strategy, ("None", "Webhook"))
    if strategy == "Webhook":
        if webhook is None or webhook.get("clientConfig") is None:
            errors.required("spec.conversion.webhookClientConfig", "required when strategy is set to Webhook")
        else:
            validate_client_config(errors, "spec.conversion.webhookClientConfig", webhook["clientConfig"])
        if webhook is not None and not webhook.get("conversionReviewVersions"):
            errors.required("spec.conversion.conversionReviewVersions")
    elif webhook is not None:
        errors.forbidden("spec.conversion.webhookClientConfig", "should not be set when strategy is not set to Webhook")


_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")


def _columns(errors: Errors, path: str, columns: list[Object]) -> None:
    for i, column in enumerate(columns):
        where, kind, form = f"{path}[{i}]", column.get("type") or "", column.get("format") or ""
        if not column.get("name"):
            errors.required(where + ".name")
        if not kind:
            errors.required(where + ".type", f"must be one of {','.join(_COLUMN_TYPES)}")
        elif kind not in _COLUMN_TYPES:
            errors.invalid(where + ".type", kind, f"must be one of {','.join(_COLUMN_TYPES)}")
        if form and form not in _COLUMN_FORMATS:
            errors.invalid(where + ".format", form, f"must be one of {','.join(_COLUMN_FORMATS)}")
        text = column.get("jsonPath") or ""
        if not text:
            errors.required(where + ".JSONPath")
        elif not text.startswith("."):
            errors.invalid(where + ".JSONPath", text, "must be a simple json path starting with .")


def update_definition(errors: Errors, definition: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, definition, old, core=False)
    if subresource == "status":
        return
    spec, before = definition.get("spec") or {}, old.get("spec") or {}
    _definition_spec(errors, spec)
    established = any(c.get("type") == "Established" and c.get("status") == "True"
                      for c in (old.get("status") or {}).get("conditions") or ())
    if established:
        for path in (("group",), ("scope",), ("names", "plural"), ("names", "kind")):
            now, was = _at(spec, path), _at(before, path)
            if now != was:
                errors.invalid("spec." + ".".join(path), now, IMMUTABLE)


def _at(spec: Object, path: tuple[str, ...]) -> object:
    value: object = spec
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value or ""


RULES = {
    ("apiregistration.k8s.io", "APIService"): Rules(create_service, update_service),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): Rules(create_definition, update_definition),
}
