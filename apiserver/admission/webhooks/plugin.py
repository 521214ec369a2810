"""Both plugins. Mutating webhooks run one after another, each on what the one before left; validating ones together.

A failed call is refused or ignored as the webhook says; a denial is the webhook's own word and always stands. The
plugin of mutating webhooks remembers in ``AdmissionRequest.reinvocation`` which hooks want to see what later ones did;
the chain then goes round once more.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

import orjson
import structlog

from apiserver.admission.interface import AdmissionRequest
from apiserver.admission.webhooks import forms
from apiserver.admission.webhooks.client import CallError, WebhookClient
from apiserver.admission.webhooks.conditions import ConditionError, conditions_hold
from apiserver.admission.webhooks.configuration import Configurations, Webhook
from apiserver.admission.webhooks.matching import Invocation, is_exempt, match, refusal_of_condition
from apiserver.admission.webhooks.review import (
    InvalidReview,
    Verdict,
    build_request,
    denial,
    read_answer,
    review,
)
from apiserver.auth.interface import Attributes, Authorizer
from apiserver.registry.interface import ObjectReader
from machinery.api.table import KindTable
from machinery.meta.errors import ApiError, bad_request, internal
from machinery.meta.patches.json_patch import apply_json_patch

log = structlog.get_logger("apiserver.webhooks")
Object = dict[str, Any]
_VERBS = {"CREATE": "create", "UPDATE": "update", "DELETE": "delete", "CONNECT": "create"}


class FailedCall(Exception):
    """The webhook could not be asked, or its answer made no sense."""


class _Webhooks:
    """What both plugins share: which hooks want the write, and asking one."""

    mutating: bool

    def __init__(
        self, configurations: Configurations, client: WebhookClient, reader: ObjectReader, kinds: KindTable,
        authorizer: Authorizer,
    ) -> None:
        self._configurations = configurations
        self._client = client
        self._reader = reader
        self._kinds = kinds
        self._authorizer = authorizer

    def handles(self, request: AdmissionRequest) -> bool:
        return bool(self._configurations.hooks) and self._configurations.want(request.operation)

    def _namespace_labels(self, name: str) -> Mapping[str, str] | None:
        namespace = self._reader.get("", "namespaces", "", name)
        return None if namespace is None else namespace["metadata"].get("labels") or {}

    def _invocation(self, hook: Webhook, request: AdmissionRequest) -> Invocation | None:
        if request.operation not in hook.operations and "*" not in hook.operations:
            return None
        found = match(hook, request, self._kinds, self._namespace_labels)
        if found is None or not hook.conditions:
            return found
        try:
            return found if conditions_hold(hook.conditions, self._variables(found, request)) else None
        except ConditionError as error:
            if hook.ignore_failures:
                log.info("webhook left out, its condition failed", webhook=hook.name, error=str(error))
                return None
            raise refusal_of_condition(request, str(error)) from error

    def _variables(self, found: Invocation, request: AdmissionRequest) -> Object:
        from apiserver.admission.policies.authorizer import AuthorizerValue  # only conditions need it

        doc = self._request(found, request, "")
        doc.pop("uid", None)
        asked = Attributes(
            request.user, _VERBS[request.operation], "", is_resource=True, api_group=request.group,
            api_version=request.version, resource=request.resource, subresource=request.subresource,
            namespace=request.namespace, name=request.name,
        )  # fmt: skip
        return {
            "object": doc.pop("object"), "oldObject": doc.pop("oldObject"), "request": doc,
            "authorizer": AuthorizerValue(self._authorizer, request.user, asked),
        }  # fmt: skip

    def _request(self, found: Invocation, request: AdmissionRequest, uid: str) -> Object:
        requested = self._kinds.by_resource(request.group, request.version, request.resource)
        assert requested is not None
        obj = forms.shown(request.obj, request, found.kind, self._kinds)
        old = forms.shown(request.old, request, found.kind, self._kinds)
        return build_request(request, requested, found.kind, obj, old, uid)

    async def _ask(self, found: Invocation, request: AdmissionRequest) -> tuple[Verdict, Object]:
        """The verdict, and the object as it was shown. Raises FailedCall."""
        hook = found.hook
        if request.dry_run and hook.side_effects not in ("None", "NoneOnDryRun"):
            raise bad_request(f'admission webhook "{hook.name}" does not support dry run')
        uid = str(uuid.uuid4())
        doc = self._request(found, request, uid)
        try:
            answer = await self._client.post(hook.client, review(doc), hook.timeout_seconds)
            verdict = read_answer(answer, uid, mutating=self.mutating)
        except (CallError, InvalidReview) as error:
            raise FailedCall(f'failed calling webhook "{hook.name}": {error}') from error
        for key, value in verdict.audit_annotations.items():
            request.audit_annotations[f"{hook.name}/{key}"] = value
        request.warnings.extend(verdict.warnings)
        return verdict, doc

    def _tolerate(self, hook: Webhook, request: AdmissionRequest, error: FailedCall, index: int) -> None:
        """Go on without the webhook, or refuse."""
        if not hook.ignore_failures:
            raise internal(str(error)) from error
        log.warning("webhook failed and was left out", webhook=hook.name, error=str(error))
        stage = "mutation" if self.mutating else "validating"
        number = request.reinvocation.round if self.mutating else 0
        request.audit_annotations[
            f"failed-open.{stage}.webhook.admission.k8s.io/round_{number}_index_{index}"
        ] = hook.name


class MutatingWebhooks(_Webhooks):
    name = "MutatingAdmissionWebhook"
    mutating = True

    async def admit(self, request: AdmissionRequest) -> None:
        if is_exempt(request):
            return
        state = request.reinvocation
        if state.round and request.obj is not None and orjson.dumps(request.obj) != state.output:
            state.require()  # another plugin changed the object since the webhooks saw it
        try:
            for index, hook in enumerate(self._configurations.hooks):
                found = self._invocation(hook, request)
                if found is not None and (not state.round or hook.uid in state.wanted):
                    await self._mutate(found, request, index)
        finally:
            state.output = orjson.dumps(request.obj) if request.obj is not None else b""

    async def validate(self, request: AdmissionRequest) -> None:
        """Nothing: mutating webhooks have had their turn."""

    async def _mutate(self, found: Invocation, request: AdmissionRequest, index: int) -> None:
        hook, state = found.hook, request.reinvocation
        changed = False
        try:
            verdict, doc = await self._ask(found, request)
            if not verdict.allowed:
                raise denial(hook.name, verdict.status)
            changed = bool(verdict.patch) and self._apply(verdict, doc["object"], found, request)
        except FailedCall as error:
            self._tolerate(hook, request, error, index)
        self._note(hook, request, index, changed)
        if changed:
            state.require()
        if hook.reinvoke:
            state.invoked.add(hook.uid)

    def _apply(self, verdict: Verdict, obj: Object | None, found: Invocation, request: AdmissionRequest) -> bool:
        if request.obj is None or obj is None:
            raise internal(
                f'admission webhook "{found.hook.name}" attempted to modify the object, which is not supported for this '
                "operation"
            )
        assert verdict.patch is not None
        before = orjson.dumps(request.obj)
        try:
            patched = apply_json_patch(obj, verdict.patch)
        except ApiError as error:
            raise internal(str(error.__cause__ or error)) from error
        if not isinstance(patched, dict):
            raise internal("the patched object is not an object")
        forms.take_patched(patched, request, found.kind, self._kinds)
        return orjson.dumps(request.obj) != before

    @staticmethod
    def _note(hook: Webhook, request: AdmissionRequest, index: int, changed: bool) -> None:
        key = f"mutation.webhook.admission.k8s.io/round_{request.reinvocation.round}_index_{index}"
        request.audit_annotations[key] = orjson.dumps(
            {"configuration": hook.configuration, "webhook": hook.name, "mutated": changed}
        ).decode()


class ValidatingWebhooks(_Webhooks):
    name = "ValidatingAdmissionWebhook"
    mutating = False

    async def admit(self, request: AdmissionRequest) -> None:
        """Nothing: validating webhooks see the object when it is final."""

    async def validate(self, request: AdmissionRequest) -> None:
        if is_exempt(request):
            return
        wanted = [
            (index, found)
            for index, hook in enumerate(self._configurations.hooks)
            if (found := self._invocation(hook, request)) is not None
        ]
        if not wanted:
            return
        answers = await asyncio.gather(
            *(self._judge(found, request, index) for index, found in wanted), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer

    async def _judge(self, found: Invocation, request: AdmissionRequest, index: int) -> None:
        try:
            verdict, _ = await self._ask(found, request)
        except FailedCall as error:
            self._tolerate(found.hook, request, error, index)
            return
        if not verdict.allowed:
            raise denial(found.hook.name, verdict.status)
