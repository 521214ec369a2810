"""How kinds are printed: built-in ones by the table of printers, custom ones by their definitions."""

from __future__ import annotations

from machinery.api.kinds import Kind
from machinery.api.printers import Printer, printer_for


class TablePrinters:
    def __init__(self) -> None:
        self._custom: dict[int, Printer] = {}

    def of(self, kind: Kind) -> Printer:
        return self._custom.get(id(kind)) or printer_for(kind)

    def set_custom(self, kind: Kind, printer: Printer) -> None:
        self._custom[id(kind)] = printer

    def drop_custom(self, kind: Kind) -> None:
        self._custom.pop(id(kind), None)
