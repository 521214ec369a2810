"""The access reviews: validation of what is asked, and the question that it puts to the authorizer. Pure."""

from __future__ import annotations

import re
from typing import Any

import orjson

from apiserver.auth.interface import Attributes, User
from apiserver.auth.text import quote
from machinery.meta.errors import ApiError, invalid
from machinery.meta.selectors import SelectorError, parse_field_selector, parse_label_selector

Object = dict[str, Any]
Cause = dict[str, Any]

GROUP = "authorization.k8s.io"

_LABEL_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_LABEL_NAME_MESSAGE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


_METADATA_ORDER = (
    "name", "generateName", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp",
    "deletionTimestamp", "labels", "annotations", "ownerReferences", "finalizers", "managedFields",
)  # fmt: skip


def validate(review: Object, *, needs_user: bool, namespace: str | None = None) -> None:
    """``namespace`` is that of the request for a LocalSubjectAccessReview, None for the others."""
    spec = review.get("spec") or {}
    resource, other = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    causes: list[Cause] = []
    if resource is not None and other is not None:
        causes.append(
            _invalid("spec.nonResourceAttributes", _path_value(other),
                     "cannot be specified in combination with resourceAttributes")
        )  # fmt: skip
    if resource is None and other is None:
        causes.append(
            _invalid("spec.resourceAttributes", "null",
                     "exactly one of nonResourceAttributes or resourceAttributes must be specified")
        )  # fmt: skip
    if needs_user and not spec.get("user") and not spec.get("groups"):
        causes.append(_invalid("spec.user", '""', "at least one of user or group must be specified"))
    if resource is not None:
        causes += _selector_causes(resource)
    causes += _metadata_causes(review, namespace)
    if namespace is not None:
        if resource is not None and resource.get("namespace", "") != namespace:
            causes.append(
                _invalid("spec.resourceAttributes.namespace", quote(resource.get("namespace", "")),
                         "must match metadata.namespace")
            )  # fmt: skip
        if other is not None:
            causes.append(
                _invalid("spec.nonResourceAttributes", _path_value(other), "disallowed on this kind of request")
            )
    if causes:
        raise _error(causes)


def attributes(user: User, spec: Object) -> tuple[Attributes, str]:
    """What the review asks, and which selectors were left out because they cannot be read."""
    other = spec.get("nonResourceAttributes")
    if other is not None:
        return Attributes(user, other.get("verb", ""), other.get("path", "")), ""
    asked = spec["resourceAttributes"]
    label_selector, label_ok = _selector(asked.get("labelSelector"), labels=True)
    field_selector, field_ok = _selector(asked.get("fieldSelector"), labels=False)
    ignored = [
        f"spec.resourceAttributes.{name} ignored due to parse error"
        for name, ok in (("fieldSelector", field_ok), ("labelSelector", label_ok))
        if not ok
    ]
    question = Attributes(
        user=user, verb=asked.get("verb", ""), path="", is_resource=True, api_group=asked.get("group", ""),
        api_version=asked.get("version", ""), resource=asked.get("resource", ""),
        subresource=asked.get("subresource", ""), namespace=asked.get("namespace", ""), name=asked.get("name", ""),
        label_selector=label_selector, field_selector=field_selector,
    )  # fmt: skip
    return question, ", ".join(ignored) if len(ignored) < 2 else f"[{', '.join(ignored)}]"


def _selector(selector: Object | None, *, labels: bool) -> tuple[str, bool]:
    if not selector:
        return "", True
    parse = parse_label_selector if labels else parse_field_selector
    raw = selector.get("rawSelector")
    if not raw:
        terms = [_term(requirement, labels=labels) for requirement in selector.get("requirements") or ()]
        if any(term is None for term in terms):
            return "", False
        raw = ",".join(str(term) for term in terms)
    try:
        parse(raw)
    except SelectorError:
        return "", False
    return raw, True


def _term(requirement: Object, *, labels: bool) -> str | None:
    key, values = requirement.get("key", ""), requirement.get("values") or []
    operator = requirement.get("operator")
    if labels:
        words = {"In": f"{key} in ({','.join(values)})", "NotIn": f"{key} notin ({','.join(values)})"}
        words |= {"Exists": key, "DoesNotExist": f"!{key}"}
        return words.get(str(operator))
    if len(values) != 1 or operator not in ("In", "NotIn"):
        return None  # field selectors have no other operators
    value = re.sub(r"([\\,=])", r"\\\1", values[0])
    return f"{key}{'=' if operator == 'In' else '!='}{value}"


def _selector_causes(asked: Object) -> list[Cause]:
    causes: list[Cause] = []
    for name in ("fieldSelector", "labelSelector"):
        selector = asked.get(name)
        if selector is None:
            continue
        path = f"spec.resourceAttributes.{name}"
        raw, requirements = selector.get("rawSelector"), selector.get("requirements") or []
        if raw and requirements:
            causes.append(
                _invalid(f"{path}.rawSelector", quote(raw), "may not specified at the same time as requirements")
            )
        if not raw and not requirements:
            causes.append(
                _required(f"{path}.requirements", f"when {path} is specified, requirements or rawSelector is required")
            )
        for index, requirement in enumerate(requirements):
            causes += _requirement_causes(requirement, f"{path}.requirements[{index}]", labels=name == "labelSelector")
    return causes


def _requirement_causes(requirement: Object, path: str, *, labels: bool) -> list[Cause]:
    causes: list[Cause] = []
    key, operator, values = requirement.get("key", ""), requirement.get("operator"), requirement.get("values")
    if not key and not labels:
        causes.append(_required(f"{path}.key", "must be specified"))
    if operator in ("In", "NotIn") and not values:
        causes.append(_required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    if operator in ("Exists", "DoesNotExist") and values:
        message = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
        causes.append(_cause("FieldValueForbidden", f"{path}.values", f"Forbidden: {message}"))
    if labels and not _LABEL_NAME.fullmatch(key.rpartition("/")[2]):
        causes.append(_invalid(f"{path}.key", quote(key), _LABEL_NAME_MESSAGE))
    return causes


def _metadata_causes(review: Object, namespace: str | None) -> list[Cause]:
    metadata = review.get("metadata") or {}
    allowed = {"managedFields", "creationTimestamp"} | ({"namespace"} if namespace is not None else set())
    if not any(value for key, value in metadata.items() if key not in allowed):
        return []
    message = "must be empty" if namespace is None else "must be empty except for namespace"
    shown = {key: metadata[key] for key in _METADATA_ORDER if metadata.get(key)}
    return [_invalid("metadata", _json(shown), message)]


def _path_value(other: Object) -> str:
    return _json({"Path": other.get("path", ""), "Verb": other.get("verb", "")})


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _invalid(field: str, value: str, message: str) -> Cause:
    return _cause("FieldValueInvalid", field, f"Invalid value: {value}: {message}")


def _required(field: str, message: str) -> Cause:
    return _cause("FieldValueRequired", field, f"Required value: {message}")


def _cause(reason: str, field: str, message: str) -> Cause:
    return {"reason": reason, "message": message, "field": field}


def _error(causes: list[Cause]) -> ApiError:
    # The kind is empty in these errors, upstream too: clients see ``.authorization.k8s.io "" is invalid``.
    return invalid(GROUP, "", "", causes)
