"""Errors of the storage layer in the API's words."""

from __future__ import annotations

from apiserver.storage.interface import (
    Compacted,
    FutureRevision,
    StorageError,
    StorageFull,
    StorageUnavailable,
)
from machinery.meta.errors import ApiError, internal, service_unavailable, timeout


def too_large_revision(error: FutureRevision) -> ApiError:
    """A version that has not happened: perhaps the client talked to a server that is ahead."""
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    text = f"Too large resource version: {error.revision}, current: {error.current}"
    return timeout(text, 1, causes)


def expired_watch(error: Compacted) -> ApiError:
    return ApiError(410, "Expired", f"too old resource version: {error.revision} ({error.compact_revision})")


EXPIRED_LIST = (
    "The resourceVersion for the provided list is too old."
)
EXPIRED_CONTINUE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


def expired_continue(token: str) -> ApiError:
    """410 with a token that goes on from the same key in the newest state."""
    error = ApiError(410, "Expired", EXPIRED_CONTINUE)
    error.list_continue = token  # type: ignore[attr-defined]
    return error


def translate(error: StorageError) -> ApiError:
    if isinstance(error, FutureRevision):
        return too_large_revision(error)
    if isinstance(error, Compacted):
        return ApiError(410, "Expired", EXPIRED_LIST)
    if isinstance(error, StorageFull):
        return internal("the store is full")
    if isinstance(error, StorageUnavailable):
        return service_unavailable("the store cannot be reached")
    return internal(str(error))
