"""How bindings, certificates and admission print."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from machinery.api.printers.cells import NONE, UNSET, age, format_selector, name_of, spec_of, status_of
from machinery.api.printers.columns import AGE, NAME, Cells, Column, Printer, wide
from machinery.api.printers.durations import human_duration

Object = dict[str, Any]


def _binding_row(binding: Object, now: datetime) -> Cells:
    role = binding.get("roleRef") or {}
    names: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for subject in binding.get("subjects") or ():
        kind, name = subject.get("kind"), subject.get("name", "")
        if kind in names:
            names[kind].append(f"{subject.get('namespace', '')}/{name}" if kind == "ServiceAccount" else name)
    reference = f"{role.get('kind', '')}/{role.get('name', '')}"
    return [name_of(binding), reference, age(binding, now), *(", ".join(words) for words in names.values())]


def _signing_request_row(request: Object, now: datetime) -> Cells:
    spec = spec_of(request)
    seconds = spec.get("expirationSeconds")
    return [
        name_of(request), age(request, now), spec.get("signerName", ""), spec.get("username", ""),
        NONE if seconds is None else human_duration(seconds), signing_request_words(request),
    ]  # fmt: skip


def signing_request_words(request: Object) -> str:
    """``Pending``, ``Approved,Issued``, ``Denied`` …"""
    status = status_of(request)
    types = {condition.get("type") for condition in status.get("conditions") or ()}
    words = ["Denied" if "Denied" in types else "Approved" if "Approved" in types else "Pending"]
    if "Failed" in types:
        words.append("Failed")
    if status.get("certificate"):
        words.append("Issued")
    return ",".join(words)


def _webhooks_row(configuration: Object, now: datetime) -> Cells:
    return [name_of(configuration), len(configuration.get("webhooks") or ()), age(configuration, now)]


def _policy_row(policy: Object, now: datetime) -> Cells:
    spec = spec_of(policy)
    parameters = spec.get("paramKind")
    word = f"{parameters.get('apiVersion', '')}/{parameters.get('kind', '')}" if parameters else UNSET
    rules = spec.get("mutations") if policy.get("kind") == "MutatingAdmissionPolicy" else spec.get("validations")
    return [name_of(policy), len(rules or ()), word, age(policy, now)]


def _policy_binding_row(binding: Object, now: datetime) -> Cells:
    spec = spec_of(binding)
    reference = spec.get("paramRef")
    word = UNSET
    if reference:
        namespace, name = reference.get("namespace"), reference.get("name")
        word = f"{namespace}/{name}" if namespace and name else name or format_selector(reference.get("selector"))
    return [name_of(binding), spec.get("policyName", ""), word, age(binding, now)]


def _service_row(service: Object, now: datetime) -> Cells:
    reference = spec_of(service).get("service")
    word = f"{reference.get('namespace', '')}/{reference.get('name', '')}" if reference else "Local"
    available = "Unknown"
    for condition in status_of(service).get("conditions") or ():
        if condition.get("type") == "Available":
            available = condition.get("status", "")
            if available != "True":
                available = f"{available} ({condition.get('reason', '')})"
    return [name_of(service), word, available, age(service, now)]


def _subject_columns(owner: str, role_text: str) -> tuple[Column, ...]:
    return (
        NAME, Column("Role", text=role_text), AGE, wide("Users", text=f"Users in the {owner}"),
        wide("Groups", text=f"Groups in the {owner}"), wide("ServiceAccounts", text=f"ServiceAccounts in the {owner}"),
    )  # fmt: skip


_UNRESOLVED = "If the RoleRef cannot be resolved, the Authorizer must return an error."
_RBAC, _ADMISSION = "rbac.authorization.k8s.io/v1", "admissionregistration.k8s.io/v1"
_WEBHOOKS = Printer(
    (
        NAME,
        Column(
            "Webhooks", "integer",
            text="Webhooks indicates the number of webhooks registered in this configuration",
        ),
        AGE,
    ),
    _webhooks_row,
)  # fmt: skip
_PARAM_KIND = Column("ParamKind", text="ParamKind specifies the kind of resources used to parameterize this policy")
_BINDING = Printer(
    (
        NAME,
        Column("PolicyName", text="PolicyName indicates the policy definition which the policy binding binded to"),
        Column("ParamRef", text="ParamRef indicates the param resource which sets the configuration param"), AGE,
    ),
    _policy_binding_row,
)  # fmt: skip
_CSR = "certificates.v1.CertificateSigningRequestSpec."

PRINTERS = {
    (_RBAC, "RoleBinding"): Printer(
        _subject_columns(
            "roleBinding",
            "RoleRef can reference a Role in the current namespace or a ClusterRole in the global namespace. "
            + _UNRESOLVED,
        ),
        _binding_row,
    ),
    (_RBAC, "ClusterRoleBinding"): Printer(
        _subject_columns(
            "clusterRoleBinding", "RoleRef can only reference a ClusterRole in the global namespace. " + _UNRESOLVED
        ),
        _binding_row,
    ),
    ("certificates.k8s.io/v1", "CertificateSigningRequest"): Printer(
        (
            NAME, AGE, Column("SignerName", doc=_CSR + "signerName"), Column("Requestor", doc=_CSR + "request"),
            Column("RequestedDuration", doc=_CSR + "expirationSeconds"),
            Column("Condition", doc="certificates.v1.CertificateSigningRequestStatus.conditions"),
        ),
        _signing_request_row,
    ),
    (_ADMISSION, "ValidatingWebhookConfiguration"): _WEBHOOKS,
    (_ADMISSION, "MutatingWebhookConfiguration"): _WEBHOOKS,
    (_ADMISSION, "ValidatingAdmissionPolicy"): Printer(
        (
            NAME,
            Column(
                "Validations", "integer",
                text="Validations indicates the number of validation rules defined in this configuration",
            ),
            _PARAM_KIND, AGE,
        ),
        _policy_row,
    ),
    (_ADMISSION, "MutatingAdmissionPolicy"): Printer(
        (
            NAME,
            Column(
                "Mutations", "integer",
                text="Mutation indicates the number of mutations rules defined in this configuration",
            ),
            _PARAM_KIND, AGE,
        ),
        _policy_row,
    ),
    (_ADMISSION, "ValidatingAdmissionPolicyBinding"): _BINDING,
    (_ADMISSION, "MutatingAdmissionPolicyBinding"): _BINDING,
    ("apiregistration.k8s.io/v1", "APIService"): Printer(
        (
            NAME, Column("Service", text="The reference to the service that hosts this API endpoint."),
            Column("Available", text="Whether this service is available."), AGE,
        ),
        _service_row,
    ),
}  # fmt: skip
