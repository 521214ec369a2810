"""What the endpoints ask of custom kinds beside what every row says: where a Scale is kept, what OpenAPI publishes."""

from __future__ import annotations

from apiserver.crd.forms import VersionForm
from apiserver.registry.custom import CustomKind
from machinery.api.kinds import Kind
from machinery.api.table import KindTable
from machinery.meta.objects import Object


class CustomKinds:
    """A view of the custom rows of a table."""

    def __init__(self, kinds: KindTable) -> None:
        self._kinds = kinds

    @staticmethod
    def of(kind: Kind) -> VersionForm | None:
        return kind.form if isinstance(kind, CustomKind) else None  # type: ignore[return-value]

    def raw_schemas(self, *, v3: bool = True) -> dict[Kind, Object]:
        """For OpenAPI."""
        return {kind: kind.form.published(v3=v3) for kind in self._kinds if isinstance(kind, CustomKind)}
