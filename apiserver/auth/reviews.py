"""The virtual resources of authentication and authorization: requests that are questions, answered and not stored.

Each is an async function ``(user, obj, ...) -> obj`` of decoded objects; the endpoint has checked version, kind and
fields, and writes the answer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.auth import access_review
from apiserver.auth.authentication import RequestAuthenticator
from apiserver.auth.authorization import UnionAuthorizer
from apiserver.auth.interface import User
from apiserver.auth.rbac.authorizer import RbacAuthorizer
from apiserver.auth.text import aggregate
from apiserver.auth.token_request import TokenRequests
from apiserver.auth.tokens.interface import TokenError
from apiserver.auth.users import node_name
from machinery.meta.errors import bad_request
from machinery.meta.objects import format_time
from machinery.runtime.clock import Clock

Object = dict[str, Any]


class Reviews:
    def __init__(
        self,
        authenticator: RequestAuthenticator,
        authorizer: UnionAuthorizer,
        rbac: RbacAuthorizer | None,
        token_requests: TokenRequests | None,
        clock: Clock,
        *,
        node_authorizer: bool = True,
    ) -> None:
        self._authenticator, self._authorizer, self._rbac = authenticator, authorizer, rbac
        self._token_requests = token_requests
        self._clock = clock
        self._node_authorizer = node_authorizer

    async def token_review(self, user: User, obj: Object) -> Object:
        spec = obj.get("spec") or {}
        token = spec.get("token")
        if not token:
            raise bad_request("token is required for TokenReview in authentication")
        audiences = tuple(spec.get("audiences") or self._authenticator.tokens.api_audiences)
        sent = (obj.get("status") or {}).get("user") or {}
        try:
            found = self._authenticator.review(token, audiences)
        except TokenError as error:
            return {**obj, "status": {"user": sent, "error": str(error)}}
        if found is None:
            return {**obj, "status": {"user": sent}}
        status: Object = {"authenticated": True, "user": user_info(found[0])}
        if found[1]:
            status["audiences"] = list(found[1])
        return {**obj, "status": status}

    async def subject_access_review(self, user: User, obj: Object) -> Object:
        access_review.validate(obj, needs_user=True)
        return self._access(_subject(obj["spec"]), obj)

    async def local_subject_access_review(self, user: User, obj: Object, namespace: str) -> Object:
        access_review.validate(obj, needs_user=True, namespace=namespace)
        return self._access(_subject(obj["spec"]), obj)

    async def self_subject_access_review(self, user: User, obj: Object) -> Object:
        access_review.validate(obj, needs_user=False)
        return self._access(user, obj)

    async def self_subject_rules_review(self, user: User, obj: Object) -> Object:
        namespace = (obj.get("spec") or {}).get("namespace") or ""
        if not namespace:
            raise bad_request("no namespace on request")
        rules, errors = self._rbac.rules_for(user, namespace) if self._rbac is not None else ([], [])
        # What a node may do depends on its pods: no list of rules tells it.
        incomplete = self._node_authorizer and node_name(user) is not None
        if incomplete:
            errors = [*errors, "node authorizer does not support user rule resolution"]
        status: Object = {
            "resourceRules": [
                _pick(rule, "apiGroups", "resources", "resourceNames") for rule in rules if rule.get("resources")
            ],
            "nonResourceRules": [_pick(rule, "nonResourceURLs") for rule in rules if rule.get("nonResourceURLs")],
            "incomplete": incomplete,
        }
        if errors:
            status["evaluationError"] = aggregate(errors)
        return {**_type_of(obj), "metadata": {}, "spec": {}, "status": status}

    async def self_subject_review(self, user: User, obj: Object) -> Object:
        metadata = {"creationTimestamp": format_time(self._clock.now())}
        return {**_type_of(obj), "metadata": metadata, "status": {"userInfo": user_info(user)}}

    async def token_request(self, user: User, obj: Object, namespace: str, name: str) -> Object:
        if self._token_requests is None:
            raise bad_request("this server has no key to sign tokens with")
        now: datetime = self._clock.now()
        return await self._token_requests.create(obj, namespace, name, now)

    def _access(self, subject: User, obj: Object) -> Object:
        question, ignored = access_review.attributes(subject, obj["spec"])
        decision = self._authorizer.explain(question)
        status: Object = {"allowed": decision.allowed}
        if decision.denied:
            status["denied"] = True
        if decision.reason:
            status["reason"] = decision.reason
        if ignored:
            status["evaluationError"] = ignored
        return {**obj, "status": status}


def user_info(user: User) -> Object:
    info: Object = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    if user.groups:
        info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {key: list(user.extra[key]) for key in sorted(user.extra)}
    return info


def _subject(spec: Object) -> User:
    extra = {key.lower(): tuple(values or ()) for key, values in (spec.get("extra") or {}).items()}
    return User(spec.get("user") or "", spec.get("uid") or "", tuple(spec.get("groups") or ()), extra)


def _type_of(obj: Object) -> Object:
    return {field: obj[field] for field in ("kind", "apiVersion") if field in obj}


def _pick(rule: Object, *fields: str) -> Object:
    return {field: list(rule[field]) for field in ("verbs", *fields) if rule.get(field)}
