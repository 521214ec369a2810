"""Defaults of webhook configurations and admission policies."""

from __future__ import annotations

from typing import Any

from machinery.api.defaults.fill import fill, fill_zero, items, section

Object = dict[str, Any]


def default_webhooks(configuration: Object) -> None:
    for webhook in items(configuration, "webhooks"):
        fill(webhook, "failurePolicy", "Fail")
        fill(webhook, "matchPolicy", "Equivalent")
        fill(webhook, "namespaceSelector", {})
        fill(webhook, "objectSelector", {})
        fill(webhook, "timeoutSeconds", 10)
        _default_rules(webhook, "rules")
        service = (webhook.get("clientConfig") or {}).get("service")
        if service is not None:
            fill(service, "port", 443)


def default_mutating_webhooks(configuration: Object) -> None:
    for webhook in items(configuration, "webhooks"):
        fill(webhook, "reinvocationPolicy", "Never")
    default_webhooks(configuration)


def default_policy(policy: Object) -> None:
    spec = section(policy, "spec")
    fill(spec, "failurePolicy", "Fail")
    if spec.get("matchConstraints") is not None:
        _default_match(spec["matchConstraints"])


def default_policy_binding(binding: Object) -> None:
    resources = (binding.get("spec") or {}).get("matchResources")
    if resources is not None:
        _default_match(resources)


def _default_match(match: Object) -> None:
    fill(match, "matchPolicy", "Equivalent")
    fill(match, "namespaceSelector", {})
    fill(match, "objectSelector", {})
    _default_rules(match, "resourceRules")
    _default_rules(match, "excludeResourceRules")


def _default_rules(owner: Object, field: str) -> None:
    for rule in items(owner, field):
        fill_zero(rule, "scope", "*")


_GROUP = "admissionregistration.k8s.io/v1"
DEFAULTS = {
    (_GROUP, "ValidatingWebhookConfiguration"): default_webhooks,
    (_GROUP, "MutatingWebhookConfiguration"): default_mutating_webhooks,
    (_GROUP, "ValidatingAdmissionPolicy"): default_policy,
    (_GROUP, "ValidatingAdmissionPolicyBinding"): default_policy_binding,
    (_GROUP, "MutatingAdmissionPolicy"): default_policy,
    (_GROUP, "MutatingAdmissionPolicyBinding"): default_policy_binding,
}
