"""CustomResourceDefinitions.

Upstream keeps what all versions of a definition share in one place, and so its complaints about a schema, columns,
subresources or selectable fields name that place (`spec.validation`, …) whenever the versions agree, and the
version only when they do not.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from apiserver.validation.admission import validate_client_config, validate_review_versions
from apiserver.validation.field import IMMUTABLE, Errors, Object, size
from apiserver.validation.objectmeta import validate_metadata, validate_metadata_update
from apiserver.validation.rules import Rules
from apiserver.validation.structural import validate_structural
from machinery.meta import names

_MIXED = "may have mixed case, but should otherwise match: "
_STORED_GONE = (
    "missing from spec.versions; {0} was previously a storage version, and must remain in spec.versions until a "
    "storage migration ensures no data remains persisted in {0} and removes {0} from status.storedVersions")
_APPROVAL = "api-approved.kubernetes.io"
_APPROVAL_LINK = "https://github.com/kubernetes/enhancements/pull/1111"


def create_definition(errors: Errors, definition: Object) -> None:
    spec = definition.get("spec") or {}
    plural = (spec.get("names") or {}).get("plural") or ""
    wanted = f"{plural}.{spec.get('group') or ''}"

    def rule(name: str, prefix: bool) -> list[str]:
        wrong = [] if name == wanted else ['must be spec.names.plural+"."+spec.group']
        return names.dns1123_subdomain(name) + wrong

    validate_metadata(errors, definition, False, rule, core=False)
    _definition_spec(errors, spec)
    _approval(errors, definition, spec.get("group") or "")
    _stored_versions(errors, definition, spec)


def _stored_versions(errors: Errors, definition: Object, spec: Object) -> None:
    """What objects may be stored as. The server fills it in from the storage version before this is asked."""
    versions = spec.get("versions") or []
    storage = [version.get("name") or "" for version in versions if version.get("storage")]
    stored = (definition.get("status") or {}).get("storedVersions") or storage[:1]
    if not stored:
        errors.invalid("status.storedVersions", None, "must have at least one stored version")
        return
    known = [version.get("name") or "" for version in versions]
    if storage and storage[-1] not in stored:
        errors.invalid("status.storedVersions", stored, f"must have the storage version {storage[-1]}")
    for i, name in enumerate(stored):
        if name not in known:
            errors.invalid(f"status.storedVersions[{i}]", name, _STORED_GONE.format(name))


def _approval(errors: Errors, definition: Object, group: str) -> None:
    if not (group.endswith((".k8s.io", ".kubernetes.io")) or group in ("k8s.io", "kubernetes.io")):
        return
    text = ((definition.get("metadata") or {}).get("annotations") or {}).get(_APPROVAL) or ""
    where = f"metadata.annotations[{_APPROVAL}]"
    if not text:
        errors.required(where, f'protected groups must have approval annotation "{_APPROVAL}", see {_APPROVAL_LINK}')
    elif not text.startswith("unapproved") and not urlsplit(text).netloc:
        errors.invalid(where, text, f'protected groups must have approval annotation "{_APPROVAL}" with either a URL '
                                    f'or a reason starting with "unapproved", see {_APPROVAL_LINK}')


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
    if spec.get("preserveUnknownFields"):
        errors.invalid("spec.preserveUnknownFields", True,
                       "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
                       "spec.versions[*].schema instead")
    versions = spec.get("versions") or []
    _versions(errors, spec.get("versions"))
    _names(errors, "spec.names", spec.get("names") or {})
    _conversion(errors, spec.get("conversion"))
    for path, shared in _places(versions, "schema", "validation"):
        _schema(errors, path, shared)
    for path, version in _places(versions, "subresources", "subresources"):
        _subresources(errors, path, version)
    for path, version in _places(versions, "additionalPrinterColumns", "additionalPrinterColumns"):
        _columns(errors, path, version.get("additionalPrinterColumns") or [])
    for path, version in _places(versions, "selectableFields", "selectableFields"):
        _selectable(errors, path, version)


def _places(versions: list[Object], field: str, shared: str) -> list[tuple[str, Object]]:
    """Where upstream looks at a field of the versions: in one place if they agree, else in each of them."""
    values = [version.get(field) for version in versions]
    if values and all(value == values[0] for value in values):
        return [(f"spec.{shared}", versions[0])]
    return [(f"spec.versions[{i}].{field}", version) for i, version in enumerate(versions)]


def _schema(errors: Errors, path: str, version: Object) -> None:
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    if schema is None:
        # A schema that nobody has is missing from the versions, not from where they would share it.
        errors.required(
            "spec.versions[0].schema.openAPIV3Schema" if path == "spec.validation" else path + ".openAPIV3Schema"
        )
    else:
        validate_structural(errors, path + ".openAPIV3Schema", schema)


def _subresources(errors: Errors, path: str, version: Object) -> None:
    scale = (version.get("subresources") or {}).get("scale")
    if scale is None:
        return
    for field, needed, roots in (("specReplicasPath", True, ("spec",)), ("statusReplicasPath", True, ("status",)),
                                 ("labelSelectorPath", False, ("spec", "status"))):
        text, where = scale.get(field) or "", f"{path}.scale.{field}"
        if not text:
            if needed:
                errors.required(where)
        elif not re.fullmatch(r"(\.[A-Za-z_][A-Za-z0-9_-]*(\[\d+\])?)+", text):
            errors.invalid(where, text, "must be a simple json path starting with .")
        elif not text.startswith(tuple(f".{root}." for root in roots)):
            under = f"under .{roots[0]}" if len(roots) == 1 else "under either .spec or .status"
            errors.invalid(where, text, f"should be a json path {under}")


def _selectable(errors: Errors, path: str, version: Object) -> None:
    fields = version.get("selectableFields") or []
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    if fields and schema is None:
        errors.invalid(path, "", "may only be set when validations.schema is included")
        return
    seen: set[str] = set()
    for i, field in enumerate(fields):
        where, text = f"{path}[{i}].jsonPath", field.get("jsonPath") or ""
        if not text:
            errors.required(where)
            continue
        complaint = _selectable_complaint(text, schema or {})
        if complaint:
            errors.invalid(where, text, complaint)
        if text in seen:
            errors.duplicate(where, text)
        seen.add(text)


def _selectable_complaint(text: str, schema: Object) -> str:
    if not text.startswith("."):
        head = re.match(r"[^.\[]*", text)
        return f"is an invalid path: expected [ or . but got: {head.group() if head else text}"
    if "[" in text:
        return "is an invalid path: array notation is not allowed"
    steps = text[1:].split(".")
    at: Any = schema
    for step in steps:
        at = (at.get("properties") or {}).get(step)
        if at is None or steps[0] == "metadata":
            return "is an invalid path: does not refer to a valid field"
    if at.get("type") not in ("string", "boolean", "integer"):
        return ("must point to a field of type string, boolean or integer. Enum string fields and strings with formats "
                "are allowed.")
    return ""


def _versions(errors: Errors, given: list[Object] | None) -> None:
    versions = given or []
    seen: set[str] = set()
    for i, version in enumerate(versions):
        where, name = f"spec.versions[{i}]", version.get("name") or ""
        if name in seen:
            errors.invalid("spec.versions", _shown_versions(versions), "must contain unique version names")
        seen.add(name)
        complaints = names.dns1035_label(name)
        if complaints:
            errors.invalid(where + ".name", name, ",".join(complaints))
        _deprecation(errors, where, version)
    if sum(bool(version.get("storage")) for version in versions) != 1:
        errors.invalid("spec.versions", _shown_versions(versions) if versions else given,
                       "must have exactly one version marked as storage version")
    first = (versions[0].get("name") or "") if versions else ""
    if first and names.dns1035_label(first):
        # The name of the first version is also kept where definitions of one version had it.
        errors.invalid("spec.version", first, ",".join(names.dns1035_label(first)))


def _shown_versions(versions: list[Object]) -> list[Object]:
    """Versions as upstream holds them: what they share is elsewhere."""
    return [{
        "Name": version.get(
            "name"
        ) or "", "Served": bool(version.get("served")), "Storage": bool(version.get("storage")),
        "Deprecated": bool(version.get("deprecated")), "DeprecationWarning": version.get("deprecationWarning"),
        "Schema": None, "Subresources": None, "AdditionalPrinterColumns": None, "SelectableFields": None,
    } for version in versions]


def _deprecation(errors: Errors, path: str, version: Object) -> None:
    text, where = version.get("deprecationWarning"), path + ".deprecationWarning"
    if text is None:
        return
    if not version.get("deprecated"):
        errors.invalid(where, text, "can only be set for deprecated versions")
    if not text:
        errors.invalid(where, text, "must not be empty")
    if size(text) > 256:
        errors.invalid(where, text, "must be <= 256 characters long")
    for i, char in enumerate(text):
        if not char.isprintable():
            errors.invalid(where, text, "must only contain printable UTF-8 characters; non-printable character found "
                                        f"at index {i}")
            break


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
    if not conversion:
        return
    strategy, webhook = conversion.get("strategy") or "", conversion.get("webhook")
    if not strategy:
        errors.required("spec.conversion.strategy")
    elif strategy not in ("None", "Webhook"):
        errors.not_supported("spec.conversion.strategy", strategy, ("None", "Webhook"))
    versions = (webhook or {}).get("conversionReviewVersions") or []
    client = (webhook or {}).get("clientConfig")
    if strategy == "Webhook":
        if client is None:
            errors.required("spec.conversion.webhookClientConfig", "required when strategy is set to Webhook")
        else:
            validate_client_config(errors, "spec.conversion.webhookClientConfig", client)
        if versions:
            validate_review_versions(errors, "spec.conversion.conversionReviewVersions", versions)
        else:
            errors.required("spec.conversion.conversionReviewVersions")
        return
    if client is not None:
        errors.forbidden("spec.conversion.webhookClientConfig", "should not be set when strategy is not set to Webhook")
    if versions:
        errors.forbidden(
            "spec.conversion.conversionReviewVersions", "should not be set when strategy is not set to Webhook"
        )


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
    _stored_versions(errors, definition, spec)
    established = any(c.get("type") == "Established" and c.get("status") == "True"
                      for c in (old.get("status") or {}).get("conditions") or ())
    if established:
        for path in (("scope",), ("names", "kind"), ("group",), ("names", "plural")):
            now, was = _at(spec, path), _at(before, path)
            if now != was:
                errors.invalid("spec." + ".".join(path), now, IMMUTABLE)


def _at(spec: Object, path: tuple[str, ...]) -> object:
    value: object = spec
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value or ""


RULES = {("apiextensions.k8s.io", "CustomResourceDefinition"): Rules(create_definition, update_definition)}
