"""Admission webhooks, policies and their bindings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from apiserver.admission.webhooks.conditions import condition_mistake
from apiserver.validation.field import Errors, Object
from apiserver.validation.objectmeta import SUBDOMAIN, validate_metadata, validate_selector
from apiserver.validation.rules import Rules, recreate
from machinery.meta import names

_GROUP = "admissionregistration.k8s.io"
_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")
_URL_FORM = "; desired format: https://host[/path]"
REVIEW_VERSIONS = ("v1", "v1beta1")


def _choice(errors: Errors, path: str, value: Any, supported: tuple[str, ...]) -> None:
    if value is not None and value not in supported:
        errors.not_supported(path, value, supported)


# -- rules ---------------------------------------------------------------------------------------------------------


def _wildcard(errors: Errors, path: str, values: list[str], what: str, each: bool) -> None:
    if not values:
        errors.required(path)
    elif "*" in values and len(values) > 1:
        errors.invalid(path, values, f"if '*' is present, must not specify other {what}")
    if each:
        for i, value in enumerate(values):
            if not value:
                errors.required(f"{path}[{i}]")


def validate_rule(errors: Errors, path: str, rule: Object, subresources: bool = True) -> None:
    """What a webhook or policy is called for. Operations come first or last, as their callers like it."""
    _wildcard(errors, path + ".apiGroups", rule.get("apiGroups") or [], "API groups", each=False)
    _wildcard(errors, path + ".apiVersions", rule.get("apiVersions") or [], "API versions", each=True)
    _resources(errors, path + ".resources", rule.get("resources") or [])
    _choice(errors, path + ".scope", rule.get("scope"), _SCOPES)


def _resources(errors: Errors, path: str, resources: list[str]) -> None:
    if not resources:
        errors.required(path)
    wild_resources: set[str] = set()
    wild_subresources: set[str] = set()
    plain: set[str] = set()
    for i, resource in enumerate(resources):
        where = f"{path}[{i}]"
        if not resource:
            errors.required(where)
            continue
        parent, slash, child = resource.partition("/")
        if resource == "*/*":
            if len(resources) > 1:
                errors.invalid(path, resources, "if '*/*' is present, must not specify other resources")
            continue
        if slash and child == "*":
            wild_resources.add(parent)
        elif slash and parent == "*":
            wild_subresources.add(child)
        elif slash:
            if parent in wild_resources:
                errors.invalid(where, resource, f"if '{parent}/*' is present, must not specify {resource}")
            if child in wild_subresources:
                errors.invalid(where, resource, f"if '*/{child}' is present, must not specify {resource}")
        else:
            plain.add(resource)
    if "*" in plain and len(plain) > 1:
        errors.invalid(path, resources, "if '*' is present, must not specify other resources without subresources")


def _operations(errors: Errors, path: str, rule: Object) -> None:
    operations = rule.get("operations") or []
    if not operations:
        errors.required(path + ".operations")
    elif "*" in operations and len(operations) > 1:
        errors.invalid(path + ".operations", operations, "if '*' is present, must not specify other operations")
    for i, operation in enumerate(operations):
        if operation not in _OPERATIONS:
            errors.not_supported(f"{path}.operations[{i}]", operation, _OPERATIONS)


def _match_conditions(
    errors: Errors, path: str, conditions: list[Object], mistake: Callable[[str], str] = lambda expression: ""
) -> None:
    seen: set[str] = set()
    if len(conditions) > 64:
        errors.too_many(path, len(conditions), 64)
    for i, condition in enumerate(conditions):
        where, name = f"{path}[{i}]", condition.get("name") or ""
        if not (condition.get("expression") or "").strip():
            errors.required(where + ".expression")
        else:
            complaint = mistake(condition["expression"])
            if complaint:
                errors.invalid(where + ".expression", condition["expression"], complaint)
        if not name:
            errors.required(where + ".name")
        else:
            errors.invalid_all(where + ".name", name, names.qualified_name(name))
            if name in seen:
                errors.duplicate(where + ".name", name)
            seen.add(name)


# -- webhooks ------------------------------------------------------------------------------------------------------


def _webhook(errors: Errors, path: str, hook: Object, mutating: bool) -> None:
    name = hook.get("name") or ""
    if not name:
        errors.required(path + ".name")
    else:
        errors.invalid_all(path + ".name", name, names.fully_qualified_name(name))
    for i, rule in enumerate(hook.get("rules") or ()):
        where = f"{path}.rules[{i}]"
        _operations(errors, where, rule)
        validate_rule(errors, where, rule)
    _choice(errors, path + ".failurePolicy", hook.get("failurePolicy"), ("Fail", "Ignore"))
    _choice(errors, path + ".matchPolicy", hook.get("matchPolicy"), ("Equivalent", "Exact"))
    effects = hook.get("sideEffects")
    if not effects:
        errors.required(path + ".sideEffects", "must specify one of None, NoneOnDryRun")
    elif effects not in ("None", "NoneOnDryRun"):
        errors.not_supported(path + ".sideEffects", effects, ("None", "NoneOnDryRun"))
    seconds = hook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= 30:
        errors.invalid(path + ".timeoutSeconds", seconds, "the timeout value must be between 1 and 30 seconds")
    for field in ("namespaceSelector", "objectSelector"):
        validate_selector(errors, f"{path}.{field}", hook.get(field))
    if mutating:
        _choice(errors, path + ".reinvocationPolicy", hook.get("reinvocationPolicy"), ("IfNeeded", "Never"))
    validate_client_config(errors, path + ".clientConfig", hook.get("clientConfig") or {})
    _match_conditions(errors, path + ".matchConditions", hook.get("matchConditions") or [], condition_mistake)


def validate_client_config(errors: Errors, path: str, config: Object) -> None:
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        errors.required(path, "exactly one of url or service is required")
    elif url is not None:
        _url(errors, path + ".url", url)
    else:
        _service(errors, path + ".service", service or {})


def _url(errors: Errors, path: str, text: str) -> None:
    parts = urlsplit(text)
    port = parts.netloc.rpartition("@")[2].rpartition(":")[2] if ":" in parts.netloc.rpartition("]")[2] else ""
    if port and not port.isdigit():
        why = f'parse "{text}": invalid port ":{port}" after host'
        errors.required(path, f"url must be a valid URL: {why}{_URL_FORM}")
        return
    if parts.scheme != "https":
        errors.invalid(path, parts.scheme, "'https' is the only allowed URL scheme" + _URL_FORM)
    if not parts.netloc:
        errors.invalid(path, "", "host must be specified" + _URL_FORM)
    if "@" in parts.netloc:
        errors.invalid(path, parts.netloc.rpartition("@")[0], "user information is not permitted in the URL")
    if parts.fragment:
        errors.invalid(path, parts.fragment, "fragments are not permitted in the URL")
    if parts.query:
        errors.invalid(path, parts.query, "query parameters are not permitted in the URL")


def _service(errors: Errors, path: str, service: Object) -> None:
    named = bool(service.get("name"))
    if not named:
        errors.required(path + ".name")
    if not service.get("namespace"):
        # Upstream names the wrong field when only the namespace is missing.
        errors.required(path + (".name" if named else ".namespace"))
    port = service.get("port")
    if port is not None and not 1 <= port <= 65535:
        errors.invalid(path + ".port", port, "port is not valid: must be between 1 and 65535, inclusive")
    urlpath = service.get("path")
    if urlpath in (None, "", "/"):
        return
    if not urlpath.startswith("/"):
        errors.invalid(path + ".path", urlpath, "must start with a '/'")
    steps = urlpath[1:].split("/")
    if not steps[-1]:
        steps.pop()
    for i, step in enumerate(steps):
        if not step:
            errors.invalid(path + ".path", urlpath, f"segment[{i}] may not be empty")
        else:
            for complaint in names.dns1123_subdomain(step):
                errors.invalid(path + ".path", urlpath, f"segment[{i}]: {complaint}")


def validate_review_versions(errors: Errors, path: str, versions: list[str]) -> None:
    if not versions:
        errors.required(path, "must specify one of v1, v1beta1")
        return
    seen: set[str] = set()
    for i, version in enumerate(versions):
        if version in seen:
            errors.invalid(f"{path}[{i}]", version, "duplicate version")
            continue
        seen.add(version)
        errors.invalid_all(f"{path}[{i}]", version, names.dns1035_label(version))
    if not any(version in REVIEW_VERSIONS for version in versions):
        errors.invalid(path, versions, "must include at least one of v1, v1beta1")


def _webhooks(mutating: bool) -> Rules:
    def create(errors: Errors, configuration: Object) -> None:
        validate_metadata(errors, configuration, False, SUBDOMAIN, core=False)
        hooks = configuration.get("webhooks") or []
        seen: set[str] = set()
        for i, hook in enumerate(hooks):
            where = f"webhooks[{i}]"
            _webhook(errors, where, hook, mutating)
            validate_review_versions(
                errors, where + ".admissionReviewVersions", hook.get("admissionReviewVersions") or []
            )
            name = hook.get("name") or ""
            if name and name in seen:
                errors.duplicate(where + ".name", name)
            seen.add(name)

    def update(errors: Errors, configuration: Object, old: Object, subresource: str) -> None:
        create(errors, configuration)

    return Rules(create, update)


# -- policies ------------------------------------------------------------------------------------------------------


def _match_resources(errors: Errors, path: str, match: Object | None) -> None:
    if match is None:
        return
    _choice(errors, path + ".matchPolicy", match.get("matchPolicy"), ("Equivalent", "Exact"))
    for field in ("namespaceSelector", "objectSelector"):
        validate_selector(errors, f"{path}.{field}", match.get(field))
    for field in ("resourceRules", "excludeResourceRules"):
        for i, rule in enumerate(match.get(field) or ()):
            where = f"{path}.{field}[{i}]"
            _operations(errors, where, rule)
            validate_rule(errors, where, rule)
            seen: set[str] = set()
            for j, name in enumerate(rule.get("resourceNames") or ()):
                errors.invalid_all(f"{where}.resourceNames[{j}]", name, names.path_segment(name))
                if name in seen:
                    errors.duplicate(f"{where}.resourceNames[{j}]", name)
                seen.add(name)


def _param_kind(errors: Errors, path: str, kind: Object) -> None:
    api_version, name = kind.get("apiVersion") or "", kind.get("kind") or ""
    if not api_version:
        errors.required(path + ".apiVersion")
    elif api_version.count("/") > 1:
        errors.invalid(path + ".apiVersion", api_version, f"unexpected GroupVersion string: {api_version}")
    else:
        group, _, version = api_version.rpartition("/")
        if group:
            errors.invalid_all(path + ".apiVersion", group, names.dns1123_subdomain(group))
        errors.invalid_all(path + ".apiVersion", version, names.dns1035_label(version))
    if not name:
        errors.required(path + ".kind")
    else:
        for complaint in names.dns1035_label(name.lower()):
            errors.invalid(path + ".kind", name, "may have mixed case, but should otherwise match: " + complaint)


def _policy_common(errors: Errors, spec: Object) -> None:
    policy = spec.get("failurePolicy")
    if policy is None:
        errors.required("spec.failurePolicy")
    else:
        _choice(errors, "spec.failurePolicy", policy, ("Fail", "Ignore"))
    if spec.get("paramKind") is not None:
        _param_kind(errors, "spec.paramKind", spec["paramKind"])
    match = spec.get("matchConstraints")
    if match is None:
        errors.required("spec.matchConstraints")
    else:
        _match_resources(errors, "spec.matchConstraints", match)
        if not match.get("resourceRules"):
            errors.required("spec.matchConstraints.resourceRules")
    _match_conditions(errors, "spec.matchConditions", spec.get("matchConditions") or [])


def create_validating_policy(errors: Errors, policy: Object) -> None:
    validate_metadata(errors, policy, False, SUBDOMAIN, core=False)
    spec = policy.get("spec") or {}
    _policy_common(errors, spec)
    _variables(errors, spec)
    validations, annotations = spec.get("validations") or [], spec.get("auditAnnotations") or []
    if not validations and not annotations:
        text = "validations or auditAnnotations must contain at least one item"
        errors.required("spec.validations", text)
        errors.required("spec.auditAnnotations", text)
    for i, rule in enumerate(validations):
        _validation(errors, f"spec.validations[{i}]", rule)
    name = (policy.get("metadata") or {}).get("name") or ""
    seen: set[str] = set()
    for i, annotation in enumerate(annotations):
        _annotation(errors, f"spec.auditAnnotations[{i}]", annotation, name, seen)


def _variables(errors: Errors, spec: Object) -> None:
    for i, variable in enumerate(spec.get("variables") or ()):
        where, name = f"spec.variables[{i}]", variable.get("name") or ""
        if not name.strip():
            errors.required(where + ".name", "name is not specified")
        elif names.c_identifier(name):
            errors.invalid(where + ".name", name, "must be a valid CEL identifier")
        if not (variable.get("expression") or "").strip():
            errors.required(where + ".expression", "expression is not specified")


def _validation(errors: Errors, path: str, rule: Object) -> None:
    if not (rule.get("expression") or "").strip():
        errors.required(path + ".expression", "expression is not specified")
    message, expression = rule.get("message") or "", rule.get("messageExpression") or ""
    if message and not message.strip():
        errors.invalid(path + ".message", message, "must be non-empty if specified")
    elif "\n" in message.strip():
        errors.invalid(path + ".message", message, "must not contain line breaks")
    if expression and not expression.strip():
        errors.invalid(path + ".messageExpression", expression, "must be non-empty if specified")
    reason = rule.get("reason")
    supported = ("Forbidden", "Invalid", "RequestEntityTooLarge")
    if reason is not None and reason not in supported:
        errors.not_supported(path + ".reason", reason, supported)


def _annotation(errors: Errors, path: str, annotation: Object, name: str, seen: set[str]) -> None:
    key = annotation.get("key") or ""
    errors.invalid_all(path + ".key", f"{name}/{key}", names.qualified_name(f"{name}/{key}"))
    if key in seen:
        errors.duplicate(path + ".key", key)
    seen.add(key)
    if not (annotation.get("valueExpression") or "").strip():
        errors.required(path + ".valueExpression", "valueExpression is not specified")


def create_mutating_policy(errors: Errors, policy: Object) -> None:
    validate_metadata(errors, policy, False, SUBDOMAIN, core=False)
    spec = policy.get("spec") or {}
    _policy_common(errors, spec)
    _variables(errors, spec)
    mutations = spec.get("mutations") or []
    if not mutations:
        errors.required("spec.mutations", "mutations must contain at least one item")
    for i, mutation in enumerate(mutations):
        where, kind = f"spec.mutations[{i}]", mutation.get("patchType") or ""
        if not kind:
            errors.required(where + ".patchType")
        elif kind not in ("ApplyConfiguration", "JSONPatch"):
            errors.not_supported(where + ".patchType", kind, ("ApplyConfiguration", "JSONPatch"))
        else:
            field = "applyConfiguration" if kind == "ApplyConfiguration" else "jsonPatch"
            body = mutation.get(field)
            if body is None:
                errors.required(f"{where}.{field}", f"must be specified when patchType is {kind}")
            elif not (body.get("expression") or "").strip():
                errors.required(f"{where}.{field}.expression")
            other = "jsonPatch" if kind == "ApplyConfiguration" else "applyConfiguration"
            if mutation.get(other) is not None:
                errors.invalid(f"{where}.{other}", f"{{{other}}}", f"must not be specified when patchType is {kind}")
    for rule in (spec.get("matchConstraints") or {}).get("resourceRules") or ():
        if "DELETE" in (rule.get("operations") or ()):
            errors.not_supported("spec.matchConstraints.resourceRules.operations", "DELETE",
                                 ("*", "CONNECT", "CREATE", "UPDATE"))
    policy_of_calls = spec.get("reinvocationPolicy")
    if policy_of_calls is None or policy_of_calls == "":
        errors.required("spec.reinvocationPolicy")
    else:
        _choice(errors, "spec.reinvocationPolicy", policy_of_calls, ("IfNeeded", "Never"))


def _param_ref(errors: Errors, path: str, reference: Object) -> None:
    name, selector = reference.get("name") or "", reference.get("selector")
    if name:
        errors.invalid_all(path + ".name", name, names.path_segment(name))
        if selector is not None:
            for field in ("name", "selector"):
                errors.forbidden(f"{path}.{field}", "name and selector are mutually exclusive")
    if selector is not None:
        validate_selector(errors, path + ".selector", selector)
    elif not name:
        errors.required(path, "one of name or selector must be specified")
    action = reference.get("parameterNotFoundAction")
    if action is None:
        errors.required(path + ".parameterNotFoundAction")
    elif action not in ("Deny", "Allow"):
        errors.not_supported(path + ".parameterNotFoundAction", action, ("Deny", "Allow"))


def _binding(validating: bool) -> Rules:
    def create(errors: Errors, binding: Object) -> None:
        validate_metadata(errors, binding, False, SUBDOMAIN, core=False)
        spec = binding.get("spec") or {}
        name = spec.get("policyName") or ""
        if not name:
            errors.required("spec.policyName")
        else:
            errors.invalid_all("spec.policyName", name, names.dns1123_subdomain(name))
        if spec.get("paramRef") is not None:
            _param_ref(errors, "spec.paramRef", spec["paramRef"])
        _match_resources(
            errors, "spec.matchResources" if validating else "spec.matchResouces", spec.get("matchResources")
        )
        if validating:
            _actions(errors, spec.get("validationActions") or [])

    def update(errors: Errors, binding: Object, old: Object, subresource: str) -> None:
        create(errors, binding)

    return Rules(create, update)


def _actions(errors: Errors, actions: list[str]) -> None:
    if not actions:
        errors.required("spec.validationActions", "at least one validation action is required")
    seen: set[str] = set()
    for i, action in enumerate(actions):
        where = f"spec.validationActions[{i}]"
        if action not in ("Audit", "Deny", "Warn"):
            errors.not_supported(where, action, ("Audit", "Deny", "Warn"))
        if action in seen:
            errors.duplicate(where, action)
        seen.add(action)
    if "Deny" in seen and "Warn" in seen:
        errors.invalid("spec.validationActions", actions,
                       "must not contain both Deny and Warn (repeating the same validation failure information in the "
                       "API response and headers serves no purpose)")


RULES = {
    (_GROUP, "ValidatingWebhookConfiguration"): _webhooks(False),
    (_GROUP, "MutatingWebhookConfiguration"): _webhooks(True),
    (_GROUP, "ValidatingAdmissionPolicy"): recreate(create_validating_policy),
    (_GROUP, "MutatingAdmissionPolicy"): recreate(create_mutating_policy),
    (_GROUP, "ValidatingAdmissionPolicyBinding"): _binding(True),
    (_GROUP, "MutatingAdmissionPolicyBinding"): _binding(False),
}
