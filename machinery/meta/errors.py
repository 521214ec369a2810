"""One error vocabulary: Kubernetes ``Status`` reasons, as one exception class.

Every layer raises :class:`ApiError`; the edge turns it into a Status document (server) or makes it from one (client).
Callers ask for the reason (``is_not_found(error)``), never for text. Texts are interface: people and tools parse them,
so each constructor composes the sentence upstream's API server composes (apimachinery ``api/errors``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Status = dict[str, Any]
Cause = dict[str, Any]

#: reason -> HTTP code, for reasons that have one fixed code.
CODES = {
    "Unauthorized": 401, "Forbidden": 403, "NotFound": 404, "MethodNotAllowed": 405, "NotAcceptable": 406,
    "AlreadyExists": 409, "Conflict": 409, "Gone": 410, "Expired": 410, "RequestEntityTooLarge": 413,
    "UnsupportedMediaType": 415, "Invalid": 422, "TooManyRequests": 429, "InternalError": 500, "ServerTimeout": 500,
    "ServiceUnavailable": 503, "Timeout": 504, "BadRequest": 400, "StorageReadError": 507,
}  # fmt: skip


class ApiError(Exception):
    """A refusal or failure of the API. ``code`` HTTP status, ``reason`` a Status reason, ``details`` as in Status."""

    def __init__(
        self, code: int, reason: str, message: str, details: dict[str, Any] | None = None,
        *, headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.headers = headers or {}

    def __repr__(self) -> str:
        return f"ApiError({self.code}, {self.reason!r}, {self.message!r})"

    def status(self) -> Status:
        """The ``Status`` document of this error."""
        doc: Status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        doc["message"] = self.message
        if self.reason:
            doc["reason"] = self.reason
        if self.details is not None:
            doc["details"] = self.details
        doc["code"] = self.code
        return doc

    @property
    def causes(self) -> list[Cause]:
        return (self.details or {}).get("causes") or []

    @property
    def retry_after_seconds(self) -> int:
        return int((self.details or {}).get("retryAfterSeconds") or 0)

    @classmethod
    def from_status(cls, doc: Status, code: int = 0) -> ApiError:
        """An error from a Status document (or from anything else a proxy may have answered)."""
        code = int(doc.get("code") or code or 500)
        return cls(code, doc.get("reason") or "", doc.get("message") or f"HTTP {code}", doc.get("details"))


def qualified(name: str, group: str) -> str:
    """``deployments`` + ``apps`` -> ``deployments.apps``."""
    return f"{name}.{group}" if group else name


def _details(group: str, kind: str, name: str = "", **more: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if name:
        out["name"] = name
    if group:
        out["group"] = group
    if kind:
        out["kind"] = kind
    out.update({key: value for key, value in more.items() if value})
    return out


def not_found(group: str, resource: str, name: str) -> ApiError:
    message = f'{qualified(resource, group)} "{name}" not found'
    return ApiError(404, "NotFound", message, _details(group, resource, name))


def already_exists(group: str, resource: str, name: str) -> ApiError:
    message = f'{qualified(resource, group)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _details(group, resource, name))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(group: str, resource: str, name: str, why: str = MODIFIED) -> ApiError:
    message = f'Operation cannot be fulfilled on {qualified(resource, group)} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(group, resource, name))


def apply_conflict(causes: Sequence[Cause], message: str) -> ApiError:
    return ApiError(409, "Conflict", message, {"causes": list(causes)})


def forbidden(group: str, resource: str, name: str, why: str) -> ApiError:
    """403. ``resource`` may be empty (non-resource paths)."""
    if not resource:
        message = f"forbidden: {why}"
    elif name:
        message = f'{qualified(resource, group)} "{name}" is forbidden: {why}'
    else:
        message = f"{qualified(resource, group)} is forbidden: {why}"
    return ApiError(403, "Forbidden", message, _details(group, resource, name))


def invalid(group: str, kind: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """422. A cause is ``{"reason", "message", "field"}``; its text in the sentence is ``field: message``."""
    texts = [f"{cause['field']}: {cause['message']}" if cause.get("field") else cause["message"] for cause in causes]
    distinct = list(dict.fromkeys(texts))
    joined = distinct[0] if len(distinct) == 1 else f"[{', '.join(distinct)}]"
    message = f'{qualified(kind, group)} "{name}" is invalid' + (f": {joined}" if texts else "")
    return ApiError(422, "Invalid", message, _details(group, kind, name, causes=list(causes)))


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def unauthorized(message: str = "Unauthorized") -> ApiError:
    return ApiError(401, "Unauthorized", message)


def method_not_allowed(group: str = "", resource: str = "", verb: str = "") -> ApiError:
    message = "the server does not allow this method on the requested resource"
    if verb:
        message = f"{verb} is not supported on resources of kind \"{qualified(resource, group)}\""
    return ApiError(405, "MethodNotAllowed", message, _details(group, resource))


def not_acceptable(message: str) -> ApiError:
    return ApiError(406, "NotAcceptable", message)


def unsupported_media_type(message: str) -> ApiError:
    return ApiError(415, "UnsupportedMediaType", message)


def too_large(message: str) -> ApiError:
    return ApiError(413, "RequestEntityTooLarge", message)


def expired(message: str) -> ApiError:
    return ApiError(410, "Expired", message)


def too_many_requests(message: str, retry_after_seconds: int = 0, **details: Any) -> ApiError:
    body = {key: value for key, value in details.items() if value}
    headers = {}
    if retry_after_seconds:
        body["retryAfterSeconds"] = retry_after_seconds
        headers["Retry-After"] = str(retry_after_seconds)
    return ApiError(429, "TooManyRequests", message, body, headers=headers)


def internal(message: str) -> ApiError:
    text = f"Internal error occurred: {message}"
    return ApiError(500, "InternalError", text, {"causes": [{"message": message}]})


def service_unavailable(message: str) -> ApiError:
    return ApiError(503, "ServiceUnavailable", message)


def timeout(message: str, retry_after_seconds: int = 0, causes: Sequence[Cause] = ()) -> ApiError:
    details: dict[str, Any] = {"causes": list(causes)} if causes else {}
    if retry_after_seconds:
        details["retryAfterSeconds"] = retry_after_seconds
    return ApiError(504, "Timeout", f"Timeout: {message}", details)


def _reason_is(error: BaseException, *reasons: str) -> bool:
    return isinstance(error, ApiError) and error.reason in reasons


def is_not_found(error: BaseException) -> bool:
    return _reason_is(error, "NotFound")


def is_already_exists(error: BaseException) -> bool:
    return _reason_is(error, "AlreadyExists")


def is_conflict(error: BaseException) -> bool:
    return _reason_is(error, "Conflict")


def is_expired(error: BaseException) -> bool:
    """410 in either of its two names: history is gone, list again."""
    return _reason_is(error, "Expired", "Gone")


def is_forbidden(error: BaseException) -> bool:
    return _reason_is(error, "Forbidden")


def is_invalid(error: BaseException) -> bool:
    return _reason_is(error, "Invalid")


def is_too_many_requests(error: BaseException) -> bool:
    return _reason_is(error, "TooManyRequests")


def has_cause(error: BaseException, cause_reason: str) -> bool:
    """Whether a cause of that reason is listed, e.g. ``NamespaceTerminating``."""
    return isinstance(error, ApiError) and any(cause.get("reason") == cause_reason for cause in error.causes)
