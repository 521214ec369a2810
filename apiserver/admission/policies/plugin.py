"""Judging writes by policies, and what becomes of a failure: refuse, warn, note in the audit.

Policies are compiled when they are first asked and forgotten when they change. The engine is loaded with the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from apiserver.admission.interface import AdmissionRequest
from apiserver.admission.plugin import object_name
from apiserver.auth.interface import Attributes, Authorizer
from apiserver.registry.interface import ObjectReader
from machinery.api.kinds import Kind
from machinery.api.table import KindTable
from machinery.meta.errors import ApiError

if TYPE_CHECKING:
    from apiserver.admission.policies.compiled import Policy, Validation
    from apiserver.admission.policies.matching import Constraints

Object = dict[str, Any]
GROUP = "admissionregistration.k8s.io"
POLICIES, BINDINGS = "validatingadmissionpolicies", "validatingadmissionpolicybindings"
_CODES = {"Forbidden": 403, "Invalid": 422, "RequestEntityTooLarge": 413, "Unauthorized": 401}
_VERBS = {"CREATE": "create", "UPDATE": "update", "DELETE": "delete", "CONNECT": "connect"}
MOST_MESSAGE = 5 * 1024


@dataclass(frozen=True, slots=True)
class Failure:
    message: str
    reason: str = "Invalid"
    #: The policy could not judge: what its failure policy says decides.
    error: bool = False


@dataclass(frozen=True, slots=True)
class Binding:
    name: str
    constraints: Constraints
    actions: frozenset[str]
    reference: Object | None


class Policies:
    """What both kinds share: the objects, compiled, and the writes they want."""

    name: str
    resources: tuple[str, str]

    def __init__(self, reader: ObjectReader, kinds: KindTable, authorizer: Authorizer) -> None:
        self._reader = reader
        self._kinds = kinds
        self._authorizer = authorizer
        self._objects: dict[str, Object] = {}
        self._policies: dict[str, Policy] = {}
        self._bindings: dict[str, Object] = {}
        self._bound: dict[str, list[Binding]] | None = None
        policies, bindings = self.resources
        reader.on_change(GROUP, policies, self._take_policy)
        reader.on_change(GROUP, bindings, self._take_binding)

    def _take_policy(self, change: str, obj: Object) -> None:
        name = obj["metadata"]["name"]
        self._policies.pop(name, None)
        if change == "DELETED":
            self._objects.pop(name, None)
        else:
            self._objects[name] = obj

    def _take_binding(self, change: str, obj: Object) -> None:
        name = obj["metadata"]["name"]
        self._bound = None
        if change == "DELETED":
            self._bindings.pop(name, None)
        else:
            self._bindings[name] = obj

    # -- the plugin

    def handles(self, request: AdmissionRequest) -> bool:
        return bool(self._objects and self._bindings) and request.group != GROUP

    def _by_policy(self) -> dict[str, list[Binding]]:
        if self._bound is None:
            from apiserver.admission.policies.matching import Constraints

            bound: dict[str, list[Binding]] = {}
            for name, obj in sorted(self._bindings.items()):
                spec = obj["spec"]
                bound.setdefault(spec["policyName"], []).append(Binding(
                    name, Constraints.read(spec.get("matchResources")),
                    frozenset(spec.get("validationActions") or ()), spec.get("paramRef"),
                ))  # fmt: skip
            self._bound = dict(sorted(bound.items()))
        return self._bound

    def _policy(self, name: str) -> Policy | None:
        found = self._policies.get(name)
        if found is None and name in self._objects:
            from apiserver.admission.policies.compiled import compile_policy

            found = self._policies[name] = compile_policy(self._objects[name])
        return found

    def _namespace_labels(self, name: str) -> Mapping[str, str] | None:
        namespace = self._reader.get("", "namespaces", "", name)
        return None if namespace is None else namespace["metadata"].get("labels") or {}

    def _scope(self, request: AdmissionRequest, kind: Kind) -> Object:
        from apiserver.admission.policies.authorizer import AuthorizerValue
        from apiserver.admission.webhooks import forms
        from apiserver.admission.webhooks.review import build_request

        requested = self._kinds.by_resource(request.group, request.version, request.resource)
        assert requested is not None
        obj = forms.shown(request.obj, request, kind, self._kinds)
        old = forms.shown(request.old, request, kind, self._kinds)
        doc = build_request(request, requested, kind, obj, old, "")
        doc.pop("uid", None)
        namespace = self._reader.get("", "namespaces", "", request.namespace) if request.namespace else None
        asked = Attributes(
            request.user, _VERBS[request.operation], "", is_resource=True, api_group=request.group,
            api_version=request.version, resource=request.resource, subresource=request.subresource,
            namespace=request.namespace, name=request.name,
        )  # fmt: skip
        return {
            "object": doc.pop("object"), "oldObject": doc.pop("oldObject"), "request": doc,
            "namespaceObject": namespace, "authorizer": AuthorizerValue(self._authorizer, request.user, asked),
        }  # fmt: skip


class ValidatingPolicies(Policies):
    name = "ValidatingAdmissionPolicy"
    resources = (POLICIES, BINDINGS)

    async def admit(self, request: AdmissionRequest) -> None:
        """Validating only."""

    async def validate(self, request: AdmissionRequest) -> None:
        refusals: list[tuple[str, Failure]] = []
        for name, bindings in self._by_policy().items():
            policy = self._policy(name)
            if policy is None:
                continue
            kind = policy.constraints.match(request, self._kinds, self._namespace_labels)
            if kind is not None:
                refusals += self._judge(policy, bindings, request, kind)
        if refusals:
            raise self._refusal(request, *refusals[0])

    def _judge(
        self, policy: Policy, bindings: list[Binding], request: AdmissionRequest, kind: Kind
    ) -> list[tuple[str, Failure]]:
        param_kind: Kind | None = None
        if policy.param_kind is not None:
            param_kind = self._kinds.by_api_version(*policy.param_kind)
            if param_kind is None:
                if policy.ignore_failures:
                    return []
                shown = f"{policy.param_kind[0]}, Kind={policy.param_kind[1]}"
                text = f"failed to configure policy: failed to find resource referenced by paramKind: '{shown}'"
                return [(f"ValidatingAdmissionPolicy '{policy.name}' denied request: {text}", Failure(text))]
        refusals: list[tuple[str, Failure]] = []
        scope: Object | None = None
        for binding in bindings:
            if binding.constraints.match(request, self._kinds, self._namespace_labels) is None:
                continue
            if scope is None:
                scope = self._scope(request, kind)
            for failure in self._failures(policy, binding, param_kind, scope, request):
                if failure.error and policy.ignore_failures:
                    continue
                refused = self._act(policy, binding, failure, request)
                if refused:
                    refusals.append((refused, failure))
        return refusals

    def _failures(
        self, policy: Policy, binding: Binding, param_kind: Kind | None, scope: Object, request: AdmissionRequest
    ) -> list[Failure]:
        from apiserver.admission.policies.params import ParamError, find_params

        params: list[Object | None] = [None]
        if param_kind is not None:
            try:
                params = find_params(self._reader, param_kind, binding.reference, request.namespace)
            except ParamError as error:
                return [Failure(f"failed to configure binding: {error}", error=True)]
        failures: list[Failure] = []
        for each in params:
            failures += judge_once(policy, {**scope, "params": each}, request)
        return failures

    def _act(self, policy: Policy, binding: Binding, failure: Failure, request: AdmissionRequest) -> str:
        """What the binding says is to be done; the text of a refusal, "" for none."""
        where = f"ValidatingAdmissionPolicy '{policy.name}' with binding '{binding.name}'"
        if "Audit" in binding.actions:
            note = {"message": failure.message, "policy": policy.name, "binding": binding.name,
                    "validationActions": sorted(binding.actions)}  # fmt: skip
            key = "validation.policy.admission.k8s.io/validation_failure"
            before = orjson.loads(request.audit_annotations.get(key) or b"[]")
            request.audit_annotations[key] = orjson.dumps([*before, note]).decode()
        if "Warn" in binding.actions:
            request.warnings.append(f"Validation failed for {where}: {failure.message}")
        return f"{where} denied request: {failure.message}" if "Deny" in binding.actions else ""

    @staticmethod
    def _refusal(request: AdmissionRequest, text: str, failure: Failure) -> ApiError:
        name = object_name(request)
        resource = f"{request.resource}.{request.group}" if request.group else request.resource
        details: Object = {"name": name}
        if request.group:
            details["group"] = request.group
        details |= {"kind": request.resource, "causes": [{"message": text}]}
        code = _CODES.get(failure.reason, 422)
        return ApiError(code, failure.reason, f'{resource} "{name}" is forbidden: {text}', details)


def judge_once(policy: Policy, scope: Object, request: AdmissionRequest) -> list[Failure]:
    """Conditions, then validations, for one parameter."""
    from apiserver.admission.policies.compiled import Variables
    from apiserver.cel.values import EvalError

    errors: list[Failure] = []
    for condition in policy.conditions:
        try:
            if condition.run(scope) is not True:
                return []
        except EvalError as error:
            errors.append(Failure(f"expression '{condition.source}' resulted in error: {error}", error=True))
    if errors:
        return errors
    scope["variables"] = Variables(policy.variables, scope)
    failures = []
    for validation in policy.validations:
        try:
            if validation.expression.run(scope) is not True:
                failures.append(Failure(_message(validation, scope), validation.reason))
        except EvalError as error:
            text = f"expression '{validation.expression.source}' resulted in error: {error}"
            failures.append(Failure(text, error=True))
    for key, expression in policy.annotations:
        try:
            value = expression.run(scope)
        except EvalError as error:
            failures.append(Failure(f"expression '{expression.source}' resulted in error: {error}", error=True))
            continue
        if isinstance(value, str) and value.strip():
            request.audit_annotations[f"{policy.name}/{key}"] = value.strip()[:10240]
    return failures


def _message(validation: Validation, scope: Object) -> str:
    from apiserver.cel.values import EvalError

    if validation.message_expression is not None:
        try:
            text = validation.message_expression.run(scope)
        except EvalError:
            text = None
        if isinstance(text, str) and text.strip() and "\n" not in text.strip() and len(text) <= MOST_MESSAGE:
            return text.strip()
    return validation.message or f"failed expression: {validation.expression.source.strip()}"
