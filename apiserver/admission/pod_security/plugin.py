"""PodSecurity: refuses, warns of and notes pods that break the standards their namespace asks for.

Pods are refused; their templates are only warned about, since it is the pods made of them that count. A namespace that
becomes stricter is told which of its pods would no longer be let in.
"""

from __future__ import annotations

from typing import Any

from apiserver.admission.interface import AdmissionRequest
from apiserver.admission.plugin import PODS, Plugin, refuse
from apiserver.admission.pod_security.policy import (
    PREFIX,
    PRIVILEGED,
    LevelVersion,
    Policy,
    describe,
    findings,
    parse_labels,
)
from apiserver.auth.text import quote
from apiserver.registry.interface import ObjectReader
from machinery.meta.errors import invalid

Object = dict[str, Any]

NAMESPACES = ("", "namespaces")
MAX_CHECKED_PODS = 3000

# resource -> where its pod template is
_TEMPLATES: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "podtemplates"): ("template",),
    ("", "replicationcontrollers"): ("spec", "template"),
    ("apps", "daemonsets"): ("spec", "template"),
    ("apps", "deployments"): ("spec", "template"),
    ("apps", "replicasets"): ("spec", "template"),
    ("apps", "statefulsets"): ("spec", "template"),
    ("batch", "cronjobs"): ("spec", "jobTemplate", "spec", "template"),
    ("batch", "jobs"): ("spec", "template"),
}


class PodSecurity(Plugin):
    name = "PodSecurity"
    resources = frozenset({PODS, NAMESPACES, *_TEMPLATES})
    operations = frozenset({"CREATE", "UPDATE"})
    subresources = frozenset({"", "ephemeralcontainers"})

    def __init__(self, reader: ObjectReader) -> None:
        self._reader = reader

    async def validate(self, request: AdmissionRequest) -> None:
        if request.obj is None:
            return
        if (request.group, request.resource) == NAMESPACES:
            self._check_namespace(request)
            return
        namespace = self._reader.get("", "namespaces", "", request.namespace)
        labels = (namespace["metadata"].get("labels") or {}) if namespace is not None else {}
        if not any(key.startswith(PREFIX) for key in labels):
            return
        policy, _ = parse_labels(labels)
        if policy.is_privileged:
            return
        if (request.group, request.resource) == PODS:
            if request.operation == "CREATE" or is_significant(request.obj, request.old):
                self._check_pod(request, request.obj, policy)
            return
        template = _at(request.obj, _TEMPLATES[request.group, request.resource])
        if template is not None:
            _note(request, template, policy, is_template=True)

    def _check_pod(self, request: AdmissionRequest, pod: Object, policy: Policy) -> None:
        request.audit_annotations[f"{PREFIX}enforce-policy"] = str(policy.enforce)
        found = findings(pod, policy.enforce)
        if found:
            raise refuse(request, f"violates PodSecurity {quote(str(policy.enforce))}: {describe(found)}")
        _note(request, pod, policy)

    def _check_namespace(self, request: AdmissionRequest) -> None:
        assert request.obj is not None
        policy, causes = parse_labels(request.obj["metadata"].get("labels") or {})
        if request.operation == "CREATE":
            if causes:
                raise invalid("", "Namespace", request.obj["metadata"].get("name", ""), causes)
            return
        old, old_causes = parse_labels(((request.old or {}).get("metadata") or {}).get("labels") or {})
        if causes and causes != old_causes:
            raise invalid("", "Namespace", request.name, causes)
        if policy.enforce == old.enforce or policy.enforce.level == PRIVILEGED:
            return
        if policy.enforce.version == old.enforce.version and not policy.enforce.is_stricter_than(old.enforce):
            return
        violations = self._violations(request.name, policy.enforce)
        if violations:
            request.warnings.append(
                f"existing pods in namespace {quote(request.name)} violate the new PodSecurity enforce level "
                f"{quote(str(policy.enforce))}"
            )
            request.warnings.extend(violations)

    def _violations(self, namespace: str, wanted: LevelVersion) -> list[str]:
        """A line for each distinct set of reasons, naming the first pod by name and how many others there are."""
        by_reason: dict[str, list[str]] = {}
        pods = sorted(self._reader.list("", "pods", namespace), key=lambda pod: pod["metadata"]["name"])
        for pod in pods[:MAX_CHECKED_PODS]:
            found = findings(pod, wanted)
            if found:
                reasons = ", ".join(reason for reason, _ in found)
                by_reason.setdefault(reasons, []).append(pod["metadata"]["name"])
        lines = []
        for reasons, names in sorted(by_reason.items(), key=lambda item: item[1][0]):
            others = len(names) - 1
            more = f" (and {others} other {'pod' if others == 1 else 'pods'})" if others else ""
            lines.append(f"{names[0]}{more}: {reasons}")
        return lines


def is_significant(pod: Object, old: Object | None) -> bool:
    """Whether an update changes what the checks look at; most only change labels or images."""
    if old is None:
        return True
    return _relevant(pod) != _relevant(old)


def _relevant(pod: Object) -> Object:
    spec = {key: value for key, value in pod["spec"].items() if key not in ("tolerations", "activeDeadlineSeconds")}
    for field in ("containers", "initContainers", "ephemeralContainers"):
        if field in spec:
            spec[field] = [{k: v for k, v in container.items() if k != "image"} for container in spec[field]]
    annotations = (pod["metadata"].get("annotations") or {}).items()
    return {"spec": spec, "annotations": {key: value for key, value in annotations if "apparmor" in key}}


def _note(request: AdmissionRequest, pod: Object, policy: Policy, *, is_template: bool = False) -> None:
    found = findings(pod, policy.audit)
    if found:
        text = f"would violate PodSecurity {quote(str(policy.audit))}: {describe(found)}"
        request.audit_annotations[f"{PREFIX}audit-violations"] = text
    if policy.warn == policy.enforce and not is_template:
        return  # what would be warned of was just refused
    found = findings(pod, policy.warn)
    if found:
        request.warnings.append(f"would violate PodSecurity {quote(str(policy.warn))}: {describe(found)}")


def _at(obj: Object, path: tuple[str, ...]) -> Object | None:
    value: Any = obj
    for part in path:
        value = (value or {}).get(part)
    return value if isinstance(value, dict) and "spec" in value else None
