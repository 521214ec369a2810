"""The three ways to change a document by a smaller one: JSON patch, merge patch, strategic merge patch. All pure."""

from machinery.meta.patches.json_patch import apply_json_patch, parse_json_patch, unknown_operation_members
from machinery.meta.patches.merge_patch import apply_merge_patch
from machinery.meta.patches.strategic import apply_strategic_merge

__all__ = [
    "apply_json_patch",
    "apply_merge_patch",
    "apply_strategic_merge",
    "parse_json_patch",
    "unknown_operation_members",
]
