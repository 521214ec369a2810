"""Mutating policies: changes written in CEL, as parts of an object to be merged in or as a JSON patch.

Parts are merged as server-side apply merges them: keyed lists by their keys, atomic ones whole. Each mutation sees what
the ones before it made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apiserver.admission.interface import AdmissionRequest
from apiserver.admission.policies.plugin import Binding, Policies
from machinery.api.kinds import Kind
from machinery.meta.errors import ApiError
from machinery.meta.objects import deep_copy

if TYPE_CHECKING:
    from apiserver.admission.policies.compiled import Expression, Policy

Object = dict[str, Any]


class MutatingPolicies(Policies):
    name = "MutatingAdmissionPolicy"
    resources = ("mutatingadmissionpolicies", "mutatingadmissionpolicybindings")

    async def admit(self, request: AdmissionRequest) -> None:
        if request.obj is None or request.operation == "DELETE":
            return
        for name, bindings in self._by_policy().items():
            policy = self._policy(name)
            if policy is None or (request.reinvocation.round and not policy.reinvoke):
                continue
            kind = policy.constraints.match(request, self._kinds, self._namespace_labels)
            if kind is None:
                continue
            for binding in bindings:
                if binding.constraints.match(request, self._kinds, self._namespace_labels) is not None:
                    self._apply(policy, binding, request, kind)

    async def validate(self, request: AdmissionRequest) -> None:
        """Mutating only."""

    def _apply(self, policy: Policy, binding: Binding, request: AdmissionRequest, kind: Kind) -> None:
        from apiserver.admission.policies.params import find_params
        from apiserver.cel.values import EvalError

        try:
            params: list[Object | None] = [None]
            if policy.param_kind is not None:
                param_kind = self._kinds.by_api_version(*policy.param_kind)
                if param_kind is None:
                    shown = f"{policy.param_kind[0]}, Kind={policy.param_kind[1]}"
                    raise EvalError(f"failed to find resource referenced by paramKind: '{shown}'")
                params = find_params(self._reader, param_kind, binding.reference, request.namespace)
            for each in params:
                self._mutate(policy, each, request, kind)
        except EvalError as error:
            if policy.ignore_failures:
                return
            text = f"policy '{policy.name}' with binding '{binding.name}' denied request: {error}"
            raise ApiError(403, "Invalid", text, None) from error

    def _mutate(self, policy: Policy, params: Object | None, request: AdmissionRequest, kind: Kind) -> None:
        from apiserver.admission.policies.compiled import Variables
        from apiserver.admission.webhooks.forms import take_patched
        from apiserver.cel.values import EvalError

        scope = {**self._scope(request, kind), "params": params}
        for condition in policy.conditions:
            try:
                if condition.run(scope) is not True:
                    return
            except EvalError as error:
                raise EvalError(f"expression '{condition.source}' resulted in error: {error}") from error
        for patch_type, expression in policy.mutations:
            scope["variables"] = Variables(policy.variables, scope)
            changed = self._changed(patch_type, expression, scope, kind)
            if changed is not None:
                take_patched(changed, request, kind, self._kinds)
                scope = {**self._scope(request, kind), "params": params}

    def _changed(self, patch_type: str, expression: Expression, scope: Object, kind: Kind) -> Object | None:
        """The object after one mutation; None when it leaves it alone."""
        from apiserver.cel.values import EvalError

        try:
            value = expression.run(scope)
        except EvalError as error:
            raise EvalError(f"expression '{expression.source}' resulted in error: {error}") from error
        if patch_type == "JSONPatch":
            return _patched(scope["object"], value)
        return _merged(scope["object"], value, kind)


def _patched(obj: Object, operations: list[Object]) -> Object | None:
    import orjson

    from apiserver.cel.values import EvalError
    from machinery.meta.patches.json_patch import apply_json_patch, parse_json_patch

    if not operations:
        return None
    try:
        steps = parse_json_patch(orjson.dumps([plain(each) for each in operations]))
    except ApiError as error:
        raise EvalError(f"JSON Patch: {error.message}") from error
    try:
        changed: Object = apply_json_patch(deep_copy(obj), steps)
    except ApiError as error:
        if any(each.get("op") == "test" for each in operations):
            return None  # what was tested for is not so: there is nothing to change
        raise EvalError(f"JSON Patch: {error.message}") from error
    return changed


def _merged(obj: Object, parts: Any, kind: Kind) -> Object:
    from apiserver.registry.pipeline import Schemas
    from machinery.meta.apply.merge import merge
    from machinery.meta.apply.shape import ANY, shape_of

    check_names(parts, "Object")
    schema = Schemas.of(kind)
    merged: Object = merge(shape_of(schema) if schema is not None else ANY, obj, plain(parts))
    return merged


def check_names(value: Any, path: str) -> None:
    """Parts are called after where they stand. Raises EvalError."""
    from apiserver.cel.values import EvalError, Struct

    if isinstance(value, list):
        for one in value:
            check_names(one, path)
    elif isinstance(value, Struct):
        if value.name != path:
            raise EvalError(
                f'type mismatch: unexpected type name "{value.name}", expected "{path}", which matches field name path from '
                "root Object type"
            )
        for name, one in value.items():
            check_names(one, f"{path}.{name}")


def plain(value: Any) -> Any:
    """As JSON."""
    from apiserver.cel.values import Duration, Timestamp

    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, Duration | Timestamp) else value
