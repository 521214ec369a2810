"""What upstream's schema cannot say: semantic validation, kind by kind, in upstream's order and words. Pure.

`validate(kind, obj, old, subresource)` is the whole interface; every module below registers the rules of its kinds.
"""

from apiserver.validation.field import Cause, Errors
from apiserver.validation.rules import validate, validate_create, validate_update

__all__ = ["Cause", "Errors", "validate", "validate_create", "validate_update"]
