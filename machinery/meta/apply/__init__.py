"""Who owns which field: managedFields and server-side apply. Pure; the caller brings schema, names and the time."""

from machinery.meta.apply.manager import apply_object, update_managed_fields
from machinery.meta.apply.reset import reset_fields

__all__ = ["apply_object", "reset_fields", "update_managed_fields"]
