"""The server's refusals in kubectl's words. Pure."""

from __future__ import annotations

from machinery.meta.errors import ApiError


def refusal_text(error: ApiError, doing: str = "") -> str:
    """``doing``: `error when creating "STDIN"`, where a file is at fault; or a note that the error carries."""
    doing = doing or "".join(getattr(error, "__notes__", ())[:1])
    if error.reason == "Unauthorized":
        return f"error: You must be logged in to the server ({error.message})"
    if error.reason == "Invalid" and error.details:
        return _invalid(error)
    reason = f" ({error.reason})" if error.reason else ""
    return f"Error from server{reason}: {doing}{': ' if doing else ''}{error.message}"


def _invalid(error: ApiError) -> str:
    details = error.details or {}
    head = f'The {details.get("kind") or "request"} "{details.get("name", "")}" is invalid'
    if not details.get("kind"):
        head = "The request is invalid"
    causes = list(dict.fromkeys(_cause(cause) for cause in error.causes))
    if not causes:
        return f"{head}: {error.message}"
    if len(causes) == 1:
        return f"{head}: {causes[0]}"
    return f"{head}: \n" + "\n".join(f"* {cause}" for cause in causes)


def _cause(cause: dict[str, object]) -> str:
    field, message = cause.get("field"), cause.get("message", "")
    return f"{field}: {message}" if field else str(message)
