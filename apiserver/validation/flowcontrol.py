"""Flow schemas and priority levels."""

from __future__ import annotations

import math

from apiserver.validation.field import Errors, Object
from apiserver.validation.objectmeta import SUBDOMAIN, validate_metadata
from apiserver.validation.rules import CreateRule, Rules
from machinery.meta import names

_GROUP = "flowcontrol.apiserver.k8s.io"
_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")
_METHODS = ("ByNamespace", "ByUser")


def create_schema(errors: Errors, schema: Object) -> None:
    validate_metadata(errors, schema, False, SUBDOMAIN)
    spec = schema.get("spec") or {}
    name, precedence = (schema.get("metadata") or {}).get("name") or "", spec.get("matchingPrecedence") or 0
    if precedence <= 0:
        errors.invalid("spec.matchingPrecedence", precedence, "must be a positive value")
    if precedence > 10000:
        errors.invalid("spec.matchingPrecedence", precedence, "must not be greater than 10000")
    if precedence == 1 and name != "exempt":
        errors.invalid("spec.matchingPrecedence", 1, "only the schema named 'exempt' may have matchingPrecedence 1")
    method = spec.get("distinguisherMethod")
    if method is not None and (method.get("type") or "") not in _METHODS:
        errors.not_supported("spec.distinguisherMethod.type", {"Type": method.get("type") or ""}, _METHODS)
    level = (spec.get("priorityLevelConfiguration") or {}).get("name") or ""
    if level:
        errors.invalid_all("spec.priorityLevelConfiguration.name", level, names.dns1123_subdomain(level))
    else:
        errors.required("spec.priorityLevelConfiguration.name", "must reference a priority level")
    for i, rule in enumerate(spec.get("rules") or ()):
        _rule(errors, f"spec.rules[{i}]", rule)
    if name in _MANDATORY and spec != _fixed("flow_schemas", name):
        errors.invalid("spec", _internal_schema(spec), f"spec of '{name}' must equal the fixed value")
    _conditions(errors, schema)


def _conditions(errors: Errors, obj: Object) -> None:
    for i, condition in enumerate((obj.get("status") or {}).get("conditions") or ()):
        if not condition.get("type"):
            errors.required(f"status.conditions[{i}].type")


_MANDATORY = ("catch-all", "exempt")


def _fixed(table: str, name: str) -> Object:
    from apiserver.flowcontrol import bootstrap

    objects: list[Object] = getattr(bootstrap, table)()
    return next(obj["spec"] for obj in objects if obj["metadata"]["name"] == name)


def _internal_schema(spec: Object) -> Object:
    """The spec as upstream's own types print."""
    method = spec.get("distinguisherMethod")
    return {
        "PriorityLevelConfiguration": {"Name": spec["priorityLevelConfiguration"].get("name") or ""},
        "MatchingPrecedence": spec.get("matchingPrecedence") or 0,
        "DistinguisherMethod": {"Type": method.get("type") or ""} if method is not None else None,
        "Rules": [_internal_rule(rule) for rule in spec.get("rules") or ()] or None,
    }


def _internal_rule(rule: Object) -> Object:
    return {
        "Subjects": [_internal_subject(each) for each in rule.get("subjects") or ()] or None,
        "ResourceRules": [{
            "Verbs": each.get("verbs"), "APIGroups": each.get("apiGroups"), "Resources": each.get("resources"),
            "ClusterScope": bool(each.get("clusterScope")), "Namespaces": each.get("namespaces"),
        } for each in rule.get("resourceRules") or ()] or None,
        "NonResourceRules": [{"Verbs": each.get("verbs"), "NonResourceURLs": each.get("nonResourceURLs")}
                             for each in rule.get("nonResourceRules") or ()] or None,
    }  # fmt: skip


def _internal_subject(subject: Object) -> Object:
    user, group, account = (subject.get(name) for name in ("user", "group", "serviceAccount"))
    return {
        "Kind": subject.get("kind") or "",
        "User": {"Name": user.get("name") or ""} if user is not None else None,
        "Group": {"Name": group.get("name") or ""} if group is not None else None,
        "ServiceAccount": {"Namespace": account.get("namespace") or "", "Name": account.get("name") or ""}
        if account is not None else None,
    }  # fmt: skip


def _rule(errors: Errors, path: str, rule: Object) -> None:
    subjects, resources, others = (rule.get(f) or [] for f in ("subjects", "resourceRules", "nonResourceRules"))
    if not subjects:
        errors.required(path + ".subjects", "subjects must contain at least one value")
    for i, subject in enumerate(subjects):
        _subject(errors, f"{path}.subjects[{i}]", subject)
    if not resources and not others:
        errors.required(path, "at least one of resourceRules and nonResourceRules has to be non-empty")
    for i, entry in enumerate(resources):
        _resource_rule(errors, f"{path}.resourceRules[{i}]", entry)
    for i, entry in enumerate(others):
        _other_rule(errors, f"{path}.nonResourceRules[{i}]", entry)


def _subject(errors: Errors, path: str, subject: Object) -> None:
    kind = subject.get("kind") or ""
    fields = {"User": "user", "Group": "group", "ServiceAccount": "serviceAccount"}
    if kind not in fields:
        errors.not_supported(path + ".kind", kind, tuple(sorted(fields)))
        return
    for other, field in fields.items():
        if other == kind:
            body = subject.get(field)
            if body is None:
                errors.required(f"{path}.{field}", f"{field} is required when subject kind is '{kind}'")
            elif kind == "ServiceAccount":
                _account(errors, f"{path}.{field}", body)
            elif not body.get("name"):
                errors.required(f"{path}.{field}.name")
        elif subject.get(field) is not None:
            errors.forbidden(f"{path}.{field}", f"{field} is forbidden when subject kind is not '{other}'")


def _account(errors: Errors, path: str, account: Object) -> None:
    name, namespace = account.get("name") or "", account.get("namespace") or ""
    if not name:
        errors.required(path + ".name")
    elif name != "*":
        errors.invalid_all(path + ".name", name, names.dns1123_subdomain(name))
    if not namespace:
        errors.required(path + ".namespace", "must specify namespace for service account")
    else:
        errors.invalid_all(path + ".namespace", namespace, names.dns1123_label(namespace))


def _verbs(errors: Errors, path: str, verbs: list[str]) -> None:
    if not verbs:
        errors.required(path + ".verbs", "verbs must contain at least one value")
    elif "*" in verbs:
        if len(verbs) > 1:
            errors.invalid(path + ".verbs", verbs, "if '*' is present, must not specify other verbs")
    elif any(verb not in _VERBS for verb in verbs):
        errors.not_supported(path + ".verbs", verbs, _VERBS)


def _star(errors: Errors, path: str, values: list[str], what: str) -> None:
    if "*" in values and len(values) > 1:
        errors.invalid(path, values, f"if '*' is present, must not specify other {what}")


def _resource_rule(errors: Errors, path: str, rule: Object) -> None:
    groups, resources, namespaces = (rule.get(f) or [] for f in ("apiGroups", "resources", "namespaces"))
    _verbs(errors, path, rule.get("verbs") or [])
    if not groups:
        errors.required(path + ".apiGroups", "resource rules must supply at least one api group")
    _star(errors, path + ".apiGroups", groups, "api groups")
    if not resources:
        errors.required(path + ".resources", "resource rules must supply at least one resource")
    _star(errors, path + ".resources", resources, "resources")
    if not namespaces and not rule.get("clusterScope"):
        errors.required(
            path + ".namespaces", "resource rules that are not cluster scoped must supply at least one namespace"
        )
    elif "*" in namespaces:
        _star(errors, path + ".namespaces", namespaces, "namespaces")
    else:
        for i, namespace in enumerate(namespaces):
            for complaint in names.dns1123_label(namespace):
                errors.invalid(f"{path}.namespaces[{i}]", namespace,
                               f"each member of this list must be '*' or a DNS-1123 label; {complaint}")


def _other_rule(errors: Errors, path: str, rule: Object) -> None:
    urls = rule.get("nonResourceURLs") or []
    _verbs(errors, path, rule.get("verbs") or [])
    if not urls:
        errors.required(path + ".nonResourceURLs", "nonResourceURLs must contain at least one value")
    elif "*" in urls:
        if len(urls) > 1:
            errors.invalid(
                path + ".nonResourceURLs", urls, "if '*' is present, must not specify other non-resource URLs"
            )
    else:
        for i, url in enumerate(urls):
            complaint = _url_complaint(url)
            if complaint:
                errors.invalid(f"{path}.nonResourceURLs[{i}]", url, complaint)


def _url_complaint(url: str) -> str:
    if not url:
        return "must not be empty"
    if url == "/":
        return ""
    if not url.startswith("/"):
        return "must start with slash"
    if " " in url:
        return "must not contain white-space"
    if "//" in url:
        return "must not contain double slash"
    stem = url.removesuffix("*") if url.endswith("/*") else url
    return "wildcard can only do suffix matching" if "*" in stem else ""


def create_level(errors: Errors, level: Object) -> None:
    validate_metadata(errors, level, False, SUBDOMAIN)
    name, spec = (level.get("metadata") or {}).get("name") or "", level.get("spec") or {}
    kind = spec.get("type") or ""
    if (name == "exempt" and kind != "Exempt") or (name != "exempt" and kind == "Exempt"):
        errors.invalid("spec.type", kind, "must be 'Exempt' if and only if `name` is 'exempt'")
    limited, exempt = spec.get("limited"), spec.get("exempt")
    if kind == "Exempt":
        if limited is not None:
            errors.forbidden("spec.limited", "must be nil if the type is not Limited")
        if exempt is not None:
            _shares(errors, "spec.exempt", exempt)
    elif kind == "Limited":
        if exempt is not None:
            errors.forbidden("spec.exempt", "must be nil if the type is Limited")
        if limited is None:
            errors.required("spec.limited", "must not be empty when type is Limited")
        else:
            _limited(errors, "spec.limited", limited)
    else:
        errors.not_supported("spec.type", kind, ("Exempt", "Limited"))
    _check_fixed_level(errors, name, spec)
    _conditions(errors, level)


def _check_fixed_level(errors: Errors, name: str, spec: Object) -> None:
    if name not in _MANDATORY:
        return
    fixed, but = _fixed("priority_levels", name), ""
    if name == "exempt":
        spec = {key: value for key, value in spec.items() if key != "exempt"}
        fixed, but = {"type": "Exempt"}, " except the 'spec.exempt' field"
    if spec != fixed:
        errors.invalid("spec", _internal_level(spec), f"spec of '{name}'{but} must equal the fixed value")


def _internal_level(spec: Object) -> Object:
    """The spec as upstream's own types print."""
    limited, exempt = spec.get("limited"), spec.get("exempt")
    return {
        "Type": spec.get("type") or "",
        "Limited": _internal_limited(limited) if limited is not None else None,
        "Exempt": {"NominalConcurrencyShares": exempt.get("nominalConcurrencyShares"),
                   "LendablePercent": exempt.get("lendablePercent")} if exempt is not None else None,
    }  # fmt: skip


def _internal_limited(limited: Object) -> Object:
    response = limited.get("limitResponse") or {}
    queuing = response.get("queuing")
    return {
        "NominalConcurrencyShares": limited.get("nominalConcurrencyShares") or 0,
        "LimitResponse": {
            "Type": response.get("type") or "",
            "Queuing": {
                "Queues": queuing.get("queues") or 0, "HandSize": queuing.get("handSize") or 0,
                "QueueLengthLimit": queuing.get("queueLengthLimit") or 0,
            } if queuing is not None else None,
        },
        "LendablePercent": limited.get("lendablePercent"),
        "BorrowingLimitPercent": limited.get("borrowingLimitPercent"),
    }  # fmt: skip


def _shares(errors: Errors, path: str, part: Object) -> None:
    shares, lendable = part.get("nominalConcurrencyShares"), part.get("lendablePercent")
    if shares is not None and shares < 0:
        errors.invalid(path + ".nominalConcurrencyShares", shares, "must be a non-negative integer")
    if lendable is not None and not 0 <= lendable <= 100:
        errors.invalid(path + ".lendablePercent", lendable, "must be between 0 and 100, inclusive")


def _limited(errors: Errors, path: str, limited: Object) -> None:
    _shares(errors, path, limited)
    borrowing = limited.get("borrowingLimitPercent")
    if borrowing is not None and borrowing < 0:
        errors.invalid(path + ".borrowingLimitPercent", borrowing, "if specified, must be a non-negative integer")
    response = limited.get("limitResponse") or {}
    where, kind, queuing = path + ".limitResponse", response.get("type") or "", response.get("queuing")
    if kind == "Reject":
        if queuing is not None:
            errors.forbidden(where + ".queuing", "must be nil if limited.limitResponse.type is not Limited")
    elif kind == "Queue":
        if queuing is None:
            errors.required(where + ".queuing", "must not be empty if limited.limitResponse.type is Limited")
        else:
            _queuing(errors, where + ".queuing", queuing)
    else:
        errors.not_supported(where + ".type", kind, ("Queue", "Reject"))


def _queuing(errors: Errors, path: str, queuing: Object) -> None:
    length, queues, hand = (queuing.get(f) or 0 for f in ("queueLengthLimit", "queues", "handSize"))
    if length <= 0:
        errors.invalid(path + ".queueLengthLimit", length, "must be positive")
    if queues <= 0:
        errors.invalid(path + ".queues", queues, "must be positive")
    elif queues > 10_000_000:
        errors.invalid(path + ".queues", queues, "must not be greater than 10000000")
    if hand <= 0:
        errors.invalid(path + ".handSize", hand, "must be positive")
    elif hand > queues:
        errors.invalid(path + ".handSize", hand, f"should not be greater than queues ({queues})")
    elif queues > 0 and _entropy_bits(queues, hand) > 60:
        errors.invalid(path + ".handSize", hand,
                       f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than 60")


def _entropy_bits(deck: int, hand: int) -> int:
    """Bits that dealing a hand from a deck takes."""
    product = 1
    for i in range(hand):
        product *= deck - i
        if product >= 1 << 64:
            return 65
    return math.ceil(math.log2(product)) if product > 1 else 0


def _judged_whole(create: CreateRule) -> Rules:
    """An update, of status too, is judged like a creation."""
    return Rules(create, lambda errors, obj, old, subresource: create(errors, obj))


RULES = {
    (_GROUP, "FlowSchema"): _judged_whole(create_schema),
    (_GROUP, "PriorityLevelConfiguration"): _judged_whole(create_level),
}
