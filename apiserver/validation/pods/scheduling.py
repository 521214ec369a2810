"""Where a pod may run: affinity, tolerations, topology spread, scheduling gates."""

from __future__ import annotations

from apiserver.validation.field import Errors, Object
from apiserver.validation.objectmeta import validate_selector
from machinery.meta import names

_WEIGHT = "must be in the range 1-100"


def validate_affinity(errors: Errors, path: str, affinity: Object | None) -> None:
    if not affinity:
        return
    node = affinity.get("nodeAffinity")
    if node is not None:
        required = node.get("requiredDuringSchedulingIgnoredDuringExecution")
        if required is not None:
            validate_node_selector(
                errors, f"{path}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution", required
            )
        for i, term in enumerate(node.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
            where = f"{path}.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[{i}]"
            weight = term.get("weight") or 0
            if not 1 <= weight <= 100:
                errors.invalid(where + ".weight", weight, _WEIGHT)
            _node_selector_term(errors, where + ".preference", term.get("preference") or {}, required=False)
    for kind in ("podAffinity", "podAntiAffinity"):
        pods = affinity.get(kind)
        if pods is None:
            continue
        for i, term in enumerate(pods.get("requiredDuringSchedulingIgnoredDuringExecution") or ()):
            _pod_term(errors, f"{path}.{kind}.requiredDuringSchedulingIgnoredDuringExecution[{i}]", term)
        for i, weighted in enumerate(pods.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
            where = f"{path}.{kind}.preferredDuringSchedulingIgnoredDuringExecution[{i}]"
            weight = weighted.get("weight") or 0
            if not 1 <= weight <= 100:
                errors.invalid(where + ".weight", weight, _WEIGHT)
            _pod_term(errors, where + ".podAffinityTerm", weighted.get("podAffinityTerm") or {})


def validate_node_selector(errors: Errors, path: str, selector: Object) -> None:
    terms = selector.get("nodeSelectorTerms") or []
    if not terms:
        errors.required(path + ".nodeSelectorTerms", "must have at least one node selector term")
    for i, term in enumerate(terms):
        _node_selector_term(errors, f"{path}.nodeSelectorTerms[{i}]", term, required=True)


def _node_selector_term(errors: Errors, path: str, term: Object, required: bool) -> None:
    for i, requirement in enumerate(term.get("matchExpressions") or ()):
        _node_requirement(errors, f"{path}.matchExpressions[{i}]", requirement)
    for i, requirement in enumerate(term.get("matchFields") or ()):
        _node_field(errors, f"{path}.matchFields[{i}]", requirement)


def _node_requirement(errors: Errors, path: str, requirement: Object) -> None:
    operator, values = requirement.get("operator") or "", requirement.get("values") or []
    if operator in ("In", "NotIn"):
        if not values:
            errors.required(path + ".values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            errors.forbidden(path + ".values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            errors.required(path + ".values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
    else:
        errors.invalid(path + ".operator", operator, "not a valid selector operator")
    key = requirement.get("key") or ""
    errors.invalid_all(path + ".key", key, names.qualified_name(key))
    for i, value in enumerate(values):
        errors.invalid_all(f"{path}.values[{i}]", value, names.label_value(value))


def _node_field(errors: Errors, path: str, requirement: Object) -> None:
    operator, values = requirement.get("operator") or "", requirement.get("values") or []
    if operator in ("In", "NotIn"):
        if len(values) != 1:
            errors.required(
                path + ".values", "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
            )
    else:
        errors.invalid(path + ".operator", operator, "not a valid selector operator")
    key = requirement.get("key") or ""
    if key != "metadata.name":
        errors.invalid(path + ".key", key, "not a valid field selector key")
        return
    for i, value in enumerate(values):
        errors.invalid_all(f"{path}.values[{i}]", value, names.dns1123_subdomain(value))


def _pod_term(errors: Errors, path: str, term: Object) -> None:
    validate_selector(errors, path + ".labelSelector", term.get("labelSelector"))
    validate_selector(errors, path + ".namespaceSelector", term.get("namespaceSelector"))
    _match_label_keys(errors, path, term, "matchLabelKeys")
    _match_label_keys(errors, path, term, "mismatchLabelKeys")
    for namespace in term.get("namespaces") or ():
        errors.invalid_all(path + ".namespace", namespace, names.dns1123_label(namespace))
    key = term.get("topologyKey") or ""
    if not key:
        errors.required(path + ".topologyKey", "can not be empty")
    errors.invalid_all(path + ".topologyKey", key, names.qualified_name(key))


def _match_label_keys(errors: Errors, path: str, term: Object, field: str) -> None:
    keys = term.get(field)
    if not keys:
        return
    where = f"{path}.{field}"
    if term.get("labelSelector") is None:
        errors.forbidden(where, "must not be specified when labelSelector is not set")
        return
    selector = term["labelSelector"]
    used = set(selector.get("matchLabels") or {}) | {e.get("key") for e in selector.get("matchExpressions") or ()}
    for i, key in enumerate(keys):
        errors.invalid_all(f"{where}[{i}]", key, names.qualified_name(key))
        if key in used and "topologySpreadConstraints" in path:
            errors.invalid(f"{where}[{i}]", key, "exists in both matchLabelKeys and labelSelector")


def validate_tolerations(errors: Errors, path: str, tolerations: list[Object]) -> None:
    for i, toleration in enumerate(tolerations):
        where = f"{path}[{i}]"
        key, operator = toleration.get("key") or "", toleration.get("operator") or ""
        effect, value = toleration.get("effect") or "", toleration.get("value") or ""
        if key:
            errors.invalid_all(where + ".key", key, names.qualified_name(key))
        if not key and operator != "Exists":
            errors.invalid(where + ".operator", operator,
                           "operator must be Exists when `key` is empty, which means \"match all values and all keys\"")
        if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
            errors.invalid(where + ".effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
        if operator in ("Equal", ""):
            complaints = names.label_value(value)
            if complaints:
                errors.invalid(where + ".operator", value, ";".join(complaints))
        elif operator == "Exists":
            if value:
                errors.invalid(where + ".operator", value, "value must be empty when `operator` is 'Exists'")
        else:
            errors.not_supported(where + ".operator", operator, ("Equal", "Exists"))
        if effect and effect not in ("NoSchedule", "PreferNoSchedule", "NoExecute"):
            errors.not_supported(where + ".effect", effect, ("NoSchedule", "PreferNoSchedule", "NoExecute"))


def validate_spread(errors: Errors, path: str, constraints: list[Object]) -> None:
    for i, constraint in enumerate(constraints):
        where = f"{path}[{i}]"
        skew = constraint.get("maxSkew") or 0
        if skew <= 0:
            errors.invalid(where + ".maxSkew", skew, "must be greater than zero")
        key, when = constraint.get("topologyKey") or "", constraint.get("whenUnsatisfiable") or ""
        if not key:
            errors.required(where + ".topologyKey", "can not be empty")
        else:
            errors.invalid_all(where + ".topologyKey", key, names.qualified_name(key))
        if when not in ("DoNotSchedule", "ScheduleAnyway"):
            errors.not_supported(where + ".whenUnsatisfiable", when, ("DoNotSchedule", "ScheduleAnyway"))
        pair = (key, when)
        if any((c.get("topologyKey") or "", c.get("whenUnsatisfiable") or "") == pair for c in constraints[i + 1:]):
            errors.duplicate(where + ".{topologyKey, whenUnsatisfiable}", f"{{{key}, {when}}}")
        domains = constraint.get("minDomains")
        if domains is not None:
            if domains <= 0:
                errors.invalid(where + ".minDomains", domains, "must be greater than zero")
            if when != "DoNotSchedule":
                errors.invalid(where + ".minDomains", domains,
                               f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}")
        for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            policy = constraint.get(field)
            if policy is not None and policy not in ("Honor", "Ignore"):
                errors.not_supported(f"{where}.{field}", policy, ("Honor", "Ignore"))
        _match_label_keys(errors, where, constraint, "matchLabelKeys")
        validate_selector(errors, where + ".labelSelector", constraint.get("labelSelector"))
