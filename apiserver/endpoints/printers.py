"""How kinds are printed: built-in ones by the table of printers, custom ones by their definitions."""

from __future__ import annotations

from apiserver.registry.custom import CustomKind
from machinery.api.kinds import Kind
from machinery.api.printers import printer_for
from machinery.api.printers.columns import Printer


class TablePrinters:
    @staticmethod
    def of(kind: Kind) -> Printer:
        return kind.form.printer if isinstance(kind, CustomKind) else printer_for(kind)
