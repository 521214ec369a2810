"""What patches and server-side apply need to know of a schema, as a protocol.

`meta` lies below `machinery.api` and must not import it. Whatever describes a type with these attributes will do: the
built-in kinds' nodes, the structural schema of a custom resource, or a test's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class SchemaNode(Protocol):
    """One place in a type. Attributes that do not apply are None or empty.

    `type` is object, array, string, integer, number, boolean, quantity, int-or-string or any.
    """

    @property
    def type(self) -> str: ...

    @property
    def format(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def properties(self) -> Mapping[str, Any] | None: ...

    @property
    def additional_properties(self) -> Any: ...

    @property
    def items(self) -> Any: ...

    @property
    def list_type(self) -> str: ...

    @property
    def list_map_keys(self) -> Sequence[str]: ...

    @property
    def map_type(self) -> str: ...

    @property
    def patch_strategy(self) -> str: ...

    @property
    def patch_merge_key(self) -> str: ...

    @property
    def preserve_unknown(self) -> bool: ...

    @property
    def default(self) -> Any: ...
