"""AdmissionReview (admission.k8s.io/v1), both ways. Pure.

What an answer must hold is checked here, so that a sloppy webhook fails with a reason instead of being half believed.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

from apiserver.admission.interface import AdmissionRequest
from apiserver.auth.interface import User
from machinery.api.kinds import Kind
from machinery.meta.errors import ApiError
from machinery.meta.patches.json_patch import parse_json_patch

Object = dict[str, Any]
API_VERSION = "admission.k8s.io/v1"


class InvalidReview(Exception):
    """The answer is no review, or not of this request."""

    def __init__(self, why: str) -> None:
        super().__init__(f"received invalid webhook response: {why}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """``patch`` is the parsed JSON patch; None when there is none. ``status`` explains a refusal."""

    allowed: bool
    status: Object | None = None
    patch: list[Any] | None = None
    warnings: tuple[str, ...] = ()
    audit_annotations: dict[str, str] = field(default_factory=dict)


def group_version_kind(kind: Kind, subresource: str) -> dict[str, str]:
    """What the body of a request is: the kind of the resource, or that of its subresource."""
    sub = kind.subresource(subresource) if subresource else None
    if sub is None or not sub.kind:
        return {"group": kind.group, "version": kind.version, "kind": kind.kind}
    if sub.version:
        return {"group": sub.group, "version": sub.version, "kind": sub.kind}
    return {"group": kind.group, "version": kind.version, "kind": sub.kind}


def build_request(
    request: AdmissionRequest, requested: Kind, invoked: Kind, obj: Object | None, old: Object | None, uid: str
) -> Object:
    """``requested`` is the row of the URL, ``invoked`` the equivalent one that the rule names."""
    sub = request.subresource
    doc: Object = {
        "uid": uid,
        "kind": group_version_kind(invoked, sub),
        "resource": {"group": invoked.group, "version": invoked.version, "resource": invoked.plural},
    }
    if sub:
        doc["subResource"] = sub
    doc["requestKind"] = group_version_kind(requested, sub)
    doc["requestResource"] = {"group": requested.group, "version": requested.version, "resource": requested.plural}
    if sub:
        doc["requestSubResource"] = sub
    if request.name:
        doc["name"] = request.name
    if request.namespace:
        doc["namespace"] = request.namespace
    return doc | {
        "operation": request.operation,
        "userInfo": user_info(request.user),
        "object": obj,
        "oldObject": old,
        "dryRun": request.dry_run,
        "options": options_of(request),
    }


def user_info(user: User) -> Object:
    doc: Object = {"username": user.name}
    if user.uid:
        doc["uid"] = user.uid
    if user.groups:
        doc["groups"] = list(user.groups)
    if user.extra:
        doc["extra"] = {key: list(values) for key, values in user.extra.items()}
    return doc


_OPTIONS = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}


def options_of(request: AdmissionRequest) -> Object | None:
    if request.operation == "CONNECT":
        return None
    options = {name: value for name, value in request.options.items() if value}
    options.setdefault("kind", _OPTIONS[request.operation])
    options.setdefault("apiVersion", "meta.k8s.io/v1")
    if request.dry_run:
        options["dryRun"] = ["All"]
    return options


def review(request: Object) -> Object:
    return {"kind": "AdmissionReview", "apiVersion": API_VERSION, "request": request}


def read_answer(doc: Any, uid: str, *, mutating: bool) -> Verdict:
    if not isinstance(doc, dict):
        raise InvalidReview("not an object")
    if doc.get("apiVersion") != API_VERSION or doc.get("kind") != "AdmissionReview":
        group_version, kind = doc.get("apiVersion") or "", doc.get("kind") or ""
        raise InvalidReview(
            f"expected webhook response of {API_VERSION}, Kind=AdmissionReview, got {group_version}, Kind={kind}"
        )
    response = doc.get("response")
    if not isinstance(response, dict):
        raise InvalidReview("webhook response was absent")
    if response.get("uid") != uid:
        raise InvalidReview(
            f'expected response.uid="{uid}", got "{response.get("uid") or ""}"'
        )
    return Verdict(
        bool(response.get("allowed")), response.get("status"), _patch(response, mutating=mutating),
        tuple(response.get("warnings") or ()), dict(response.get("auditAnnotations") or {}),
    )  # fmt: skip


def _patch(response: Object, *, mutating: bool) -> list[Any] | None:
    patch, kind = response.get("patch"), response.get("patchType")
    if not mutating:
        if patch:
            raise InvalidReview("validating webhook may not return response.patch")
        if kind:
            raise InvalidReview("validating webhook may not return response.patchType")
        return None
    if not patch:
        if kind:
            raise InvalidReview("webhook returned response.patchType but not response.patch")
        return None
    if not kind:
        raise InvalidReview("webhook returned response.patch but not response.patchType")
    if kind != "JSONPatch":
        raise InvalidReview(f'invalid value of response.patchType="{kind}"')
    if not response.get("allowed"):
        return None
    try:
        return list(parse_json_patch(base64.b64decode(patch, validate=True)))
    except (binascii.Error, ValueError, TypeError) as error:
        raise InvalidReview(f"{error}") from error


def denial(hook: str, status: Object | None) -> ApiError:
    """The refusal as clients see it: the webhook's own status, but never one that reads like success."""
    doc = status or {}
    code = int(doc.get("code") or 0)
    message = doc.get("message") or doc.get("reason") or ""
    text = f'admission webhook "{hook}" denied the request'
    text += f": {message}" if message else " without explanation"
    return ApiError(code if code >= 400 else 400, doc.get("reason") or "", text, doc.get("details"))
